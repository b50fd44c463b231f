//! The description as one page for people: HTML without scripts, with its own style in it, readable by a screen reader and
//! without colours. It is written from the document alone, so it tells what the document tells.

mod curl;
mod html;

use serde_json::{Map, Value};

use html::{Page, escape};

/// The page's style. Its digest stands in the page's Content Security Policy.
pub const STYLE: &str = include_str!("page/style.css");

/// The methods of a path, in the order in which the page has them.
const METHODS: [&str; 7] = ["get", "head", "post", "put", "patch", "delete", "options"];

/// The page of a document, whose routes are reached at `public_url`.
pub fn render(document: &Value, public_url: &str) -> String {
    let mut page = Page::default();
    let title = format!("{} {}: REST reference", text(document, "/info/title"), text(document, "/info/version"));
    page.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.element("title", &title);
    page.raw("<style>")
        .raw(STYLE)
        .raw("</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#content\">Skip to the content</a>\n");
    page.raw("<header>\n").element("h1", &title);
    for paragraph in text(document, "/info/description").split("\n\n") {
        page.prose("p", paragraph);
    }
    page.raw("<p>The same for programs: <a href=\"v1/openapi.json\">openapi.json</a> (OpenAPI 3.1).</p>\n</header>\n");
    let operations = operations(document);
    let tags = document.get("tags").and_then(Value::as_array).cloned().unwrap_or_default();
    page.raw("<nav aria-label=\"Operations\">\n");
    for tag in &tags {
        page.element("h2", text(tag, "/name")).raw("<ul>\n");
        for operation in operations.iter().filter(|operation| operation.has(text(tag, "/name"))) {
            let label = format!("{} {}", operation.method.to_uppercase(), operation.path);
            page.raw(&format!("<li><a href=\"#{}\"><code>{}</code></a> ", escape(operation.id()), escape(&label)));
            page.raw(&escape(text(operation.value, "/summary"))).raw("</li>\n");
        }
        page.raw("</ul>\n");
    }
    page.raw("<h2><a href=\"#credentials\">Credentials</a></h2>\n<h2><a href=\"#schemas\">Schemas</a></h2>\n</nav>\n<main id=\"content\">\n");
    for tag in &tags {
        page.raw("<section>\n").element("h2", text(tag, "/name")).prose("p", text(tag, "/description"));
        for operation in operations.iter().filter(|operation| operation.has(text(tag, "/name"))) {
            operation.write(&mut page, document, public_url);
        }
        page.raw("</section>\n");
    }
    credentials(&mut page, document);
    schemas(&mut page, document);
    page.raw("</main>\n</body>\n</html>\n");
    page.into_string()
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn object<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    value.pointer(pointer).and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

/// What a `$ref` stands for.
fn resolved<'v>(document: &'v Value, value: &'v Value) -> &'v Value {
    let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return value };
    document.pointer(reference.trim_start_matches('#')).unwrap_or(value)
}

struct Operation<'v> {
    path: &'v str,
    method: &'static str,
    value: &'v Value,
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let mut all = Vec::new();
    for (path, item) in object(document, "/paths") {
        for method in METHODS {
            if let Some(value) = item.get(method) {
                all.push(Operation { path, method, value });
            }
        }
    }
    all
}

impl Operation<'_> {
    fn id(&self) -> &str {
        text(self.value, "/operationId")
    }

    fn has(&self, tag: &str) -> bool {
        text(self.value, "/tags/0") == tag
    }

    fn write(&self, page: &mut Page, document: &Value, public_url: &str) {
        let id = escape(self.id());
        page.raw(&format!("<article id=\"{id}\" aria-labelledby=\"{id}-title\">\n<h3 id=\"{id}-title\">"));
        page.raw(&format!(
            "<span class=\"method {}\">{}</span> <code>{}</code></h3>\n",
            self.method,
            self.method.to_uppercase(),
            escape(self.path)
        ));
        page.prose("p", &format!("{}.", text(self.value, "/summary")));
        for paragraph in text(self.value, "/description").split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
            page.prose("p", paragraph);
        }
        if self.value.get("security").and_then(Value::as_array).is_some_and(Vec::is_empty) {
            page.prose("p", "No credential is needed.");
        }
        self.parameters(page);
        self.body(page, document);
        self.answers(page, document);
        page.element("h4", "With curl")
            .element("pre", &curl::command(document, self.value, (self.method, self.path), public_url));
        page.raw("</article>\n");
    }

    fn parameters(&self, page: &mut Page) {
        let parameters = self.value.get("parameters").and_then(Value::as_array).cloned().unwrap_or_default();
        if parameters.is_empty() {
            return;
        }
        page.element("h4", "Parameters").raw("<table>\n<thead><tr><th scope=\"col\">Name</th><th scope=\"col\">In</th><th scope=\"col\">Value</th><th scope=\"col\">Meaning</th></tr></thead>\n<tbody>\n");
        for parameter in &parameters {
            let required = parameter.get("required") == Some(&Value::Bool(true));
            page.raw("<tr><th scope=\"row\"><code>").raw(&escape(text(parameter, "/name"))).raw("</code>");
            page.raw(if required { " <em>required</em>" } else { "" }).raw("</th>");
            page.element("td", text(parameter, "/in"));
            page.raw("<td>").raw(&html::constraints(parameter.get("schema").unwrap_or(&Value::Null))).raw("</td><td>");
            page.prose("p", text(parameter, "/description"));
            if let Some(example) = parameter.pointer("/examples/example/value") {
                page.raw("<p>Example: <code>").raw(&escape(&plain(example))).raw("</code></p>");
            }
            page.raw("</td></tr>\n");
        }
        page.raw("</tbody>\n</table>\n");
    }

    fn body(&self, page: &mut Page, document: &Value) {
        let Some(body) = self.value.get("requestBody") else { return };
        page.element("h4", "Body").prose("p", text(body, "/description"));
        if body.get("required") == Some(&Value::Bool(false)) {
            page.prose("p", "It may be left out.");
        }
        content(page, document, body);
    }

    fn answers(&self, page: &mut Page, document: &Value) {
        page.element("h4", "Answers");
        for (status, answer) in object(self.value, "/responses") {
            let answer = resolved(document, answer);
            let headers: Vec<String> =
                object(answer, "/headers").map(|(name, _)| format!("<code>{}</code>", escape(name))).collect();
            page.raw(&format!("<details><summary><strong>{}</strong> ", escape(status)));
            page.raw(&html::inline(text(answer, "/description"))).raw("</summary>\n");
            page.raw("<p>Headers: ").raw(&headers.join(", ")).raw("</p>\n");
            content(page, document, answer);
            page.raw("</details>\n");
        }
    }
}

/// The media types of a body or an answer, with their schemas and examples.
fn content(page: &mut Page, document: &Value, of: &Value) {
    for (media_type, content) in object(of, "/content") {
        page.raw("<p><code>").raw(&escape(media_type)).raw("</code></p>\n");
        let schema = content.get("schema").unwrap_or(&Value::Null);
        match schema.pointer("/allOf/0/$ref").or_else(|| schema.get("$ref")).and_then(Value::as_str) {
            Some(reference) => {
                let name = escape(reference.rsplit('/').next().unwrap_or_default());
                page.raw(&format!("<p>Schema: <a href=\"#schema-{name}\">{name}</a></p>\n"));
            }
            None => {
                page.raw("<p>").raw(&html::constraints(schema)).raw("</p>\n");
            }
        }
        if media_type == "multipart/form-data" || media_type == "application/x-www-form-urlencoded" {
            html::properties(page, resolved(document, schema));
        }
        for (name, example) in object(content, "/examples") {
            let example = resolved(document, example);
            let named = if name == "example" { "Example".to_owned() } else { format!("Example: {name}") };
            let value = example.get("value").unwrap_or(&Value::Null);
            let shown =
                value.as_str().map_or_else(|| serde_json::to_string_pretty(value).unwrap_or_default(), str::to_owned);
            page.element("p", &named).element("pre", &shown);
        }
    }
}

/// A value as it is written in a request.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn credentials(page: &mut Page, document: &Value) {
    page.raw("<section id=\"credentials\">\n").element("h2", "Credentials").raw("<dl>\n");
    for (name, scheme) in object(document, "/components/securitySchemes") {
        page.element("dt", name).prose("dd", text(scheme, "/description"));
    }
    page.raw("</dl>\n</section>\n");
}

fn schemas(page: &mut Page, document: &Value) {
    page.raw("<section id=\"schemas\">\n").element("h2", "Schemas");
    for (name, schema) in object(document, "/components/schemas") {
        let id = escape(name);
        page.raw(&format!("<article id=\"schema-{id}\">\n")).element("h3", name);
        page.prose("p", text(schema, "/description"));
        html::properties(page, schema);
        for variant in schema.get("oneOf").and_then(Value::as_array).into_iter().flatten() {
            html::properties(page, variant);
        }
        page.raw("<details><summary>JSON Schema</summary>\n");
        page.element("pre", &serde_json::to_string_pretty(schema).unwrap_or_default()).raw("</details>\n</article>\n");
    }
    page.raw("</section>\n");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_the_document_is_text() {
        let document = serde_json::json!({
            "info": { "title": "<b>", "version": "1", "description": "a `<i>` & \"b\"" },
            "tags": [{ "name": "T", "description": "<script>" }],
            "paths": { "/x/{id}": { "get": { "tags": ["T"], "operationId": "getX", "summary": "<u>", "responses": {} } } },
        });
        let page = render(&document, "https://gateway.example");
        for tag in ["<b>", "<i>", "<script", "<u>"] {
            assert!(!page.contains(tag), "{tag}");
        }
        assert!(page.contains("a <code>&lt;i&gt;</code> &amp; &quot;b&quot;"));
        assert!(page.contains("id=\"getX\"") && page.contains("href=\"#getX\""));
    }
}
