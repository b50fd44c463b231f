//! Writing HTML: text is escaped, and what stands between backticks is code.

use serde_json::{Map, Value};

/// A page that is being written.
#[derive(Default)]
pub struct Page(String);

impl Page {
    /// Markup, as it is.
    pub fn raw(&mut self, markup: &str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// An element with text in it.
    pub fn element(&mut self, name: &str, class: &str, text: &str) -> &mut Self {
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        self.raw(&format!("<{name}{class}>{}</{name}>\n", escape(text)))
    }

    /// An element with a sentence in it, in which backticks mean code.
    pub fn prose(&mut self, name: &str, text: &str) -> &mut Self {
        if text.is_empty() { self } else { self.raw(&format!("<{name}>{}</{name}>\n", inline(text))) }
    }

    /// The whole.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// Text as HTML may hold it, in an attribute too.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// A sentence, in which backticks mean code.
pub fn inline(text: &str) -> String {
    let mut out = String::new();
    for (n, part) in text.split('`').enumerate() {
        let (before, after) = if n % 2 == 1 { ("<code>", "</code>") } else { ("", "") };
        out.push_str(before);
        out.push_str(&escape(part));
        out.push_str(after);
    }
    out
}

/// What a schema says of a value, on a line.
pub fn constraints(schema: &Value) -> String {
    let code = |value: &Value| format!("<code>{}</code>", escape(&super::plain(value)));
    let mut said = Vec::new();
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let name = escape(reference.rsplit('/').next().unwrap_or_default());
        said.push(format!("<a href=\"#schema-{name}\">{name}</a>"));
    }
    match schema.get("type") {
        Some(Value::Array(types)) => said.push(types.iter().map(super::plain).collect::<Vec<_>>().join(" or ")),
        Some(kind) => said.push(escape(&super::plain(kind))),
        None => {}
    }
    if let Some(items) = schema.get("items") {
        said.push(format!("of {}", constraints(items)));
    }
    for part in ["anyOf", "oneOf", "allOf"] {
        if let Some(parts) = schema.get(part).and_then(Value::as_array) {
            said.push(parts.iter().map(constraints).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" or "));
        }
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        said.push(format!("one of {}", words.iter().map(code).collect::<Vec<_>>().join(", ")));
    }
    for (key, says) in [
        ("const", "always"),
        ("format", "format"),
        ("minimum", "at least"),
        ("maximum", "at most"),
        ("minLength", "characters at least"),
        ("maxLength", "characters at most"),
        ("maxProperties", "members at most"),
        ("pattern", "pattern"),
        ("default", "default"),
    ] {
        if let Some(value) = schema.get(key) {
            said.push(format!("{says} {}", code(value)));
        }
    }
    said.join("; ")
}

/// The members of an object, as a table.
pub fn properties(page: &mut Page, schema: &Value) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object).filter(|all| !all.is_empty()) else {
        return;
    };
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    page.raw("<table>\n<thead><tr><th scope=\"col\">Member</th><th scope=\"col\">Value</th><th scope=\"col\">Meaning</th></tr></thead>\n<tbody>\n");
    for (name, member) in properties {
        page.raw("<tr><th scope=\"row\"><code>").raw(&escape(name)).raw("</code>");
        page.raw(if required.iter().any(|required| required == name) { " <em>required</em>" } else { "" })
            .raw("</th><td>");
        page.raw(&constraints(member)).raw("</td><td>");
        page.prose("p", member.get("description").and_then(Value::as_str).unwrap_or_default());
        if let Some(inner) = member.get("properties").and_then(Value::as_object) {
            inner_names(page, inner);
        }
        page.raw("</td></tr>\n");
    }
    page.raw("</tbody>\n</table>\n");
}

fn inner_names(page: &mut Page, inner: &Map<String, Value>) {
    let names: Vec<String> = inner.keys().map(|name| format!("<code>{}</code>", escape(name))).collect();
    page.raw("<p>With ").raw(&names.join(", ")).raw("</p>");
}
