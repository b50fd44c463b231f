//! The fields that carry signatures: `Signature-Input` and `Signature` (RFC 9421 section 4), dictionaries of RFC 9651, and
//! `X-Signature`, hex. Read strictly: what cannot be understood is told, and refused.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::convert::Infallible;

use causeway_core::identity::MessageSignature;
use http::{HeaderMap, HeaderValue};
use sfv::visitor::{DictionaryVisitor, EntryVisitor, Ignored};
use sfv::{Dictionary, InnerList, KeyRef, ListEntry, ListSerializer, Parameters, Parser};

use super::components::Component;
use super::{SIGNATURE, SIGNATURE_INPUT, X_SIGNATURE};
use crate::digest::from_hex;

/// Why something cannot be read, in a sentence for the client.
pub type Fault = Cow<'static, str>;

/// Signatures of one request at most.
const MAX_SIGNATURES: usize = 4;
/// Components of one signature at most.
const MAX_COMPONENTS: usize = 64;

/// One signature, and what it says that it signs.
#[derive(Debug)]
pub struct Input {
    /// What is covered, in order.
    pub components: Vec<Component>,
    /// The value of `@signature-params` (section 2.3).
    pub parameters: String,
    message: MessageSignature,
}

impl Input {
    /// With what it may have signed, and what of the request it leaves open.
    pub fn into_message(self, bases: Vec<Vec<u8>>, uncovered: Vec<String>) -> MessageSignature {
        MessageSignature { bases, uncovered, ..self.message }
    }
}

fn dictionary(headers: &HeaderMap, name: &'static str) -> Result<Dictionary, Fault> {
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    let joined = lines.join(&b", "[..]);
    let unreadable = |_| Fault::from(format!("`{name}` is no dictionary of structured fields (RFC 9421 section 4)"));
    if Parser::new(&joined).parse_dictionary_with_visitor(Labels::default()).map_err(unreadable)? {
        return Err(format!("a label stands twice in `{name}`; give each signature its own").into());
    }
    Parser::new(&joined).parse::<Dictionary>().map_err(unreadable)
}

/// Whether a key stands twice: of two signatures under one label one would be passed over.
#[derive(Default)]
struct Labels {
    seen: BTreeSet<String>,
    twice: bool,
}

impl<'de> DictionaryVisitor<'de> for Labels {
    type Out = bool;
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        self.twice |= !self.seen.insert(key.as_str().to_owned());
        Ok(Ignored)
    }

    fn finish(self) -> Result<bool, Infallible> {
        Ok(self.twice)
    }
}

/// The signatures of a request: none, where it has neither field.
pub fn inputs(headers: &HeaderMap) -> Result<Vec<Input>, Fault> {
    let (inputs, mut signatures) = (dictionary(headers, SIGNATURE_INPUT)?, dictionary(headers, SIGNATURE)?);
    if inputs.len() > MAX_SIGNATURES {
        return Err(format!("there are more than {MAX_SIGNATURES} signatures; send one").into());
    }
    let mut read = Vec::with_capacity(inputs.len());
    for (label, entry) in &inputs {
        let label = label.as_str();
        let ListEntry::InnerList(list) = entry else {
            return Err(format!("`{label}` in `Signature-Input` is no list of components in parentheses").into());
        };
        let signature = match signatures.shift_remove(label) {
            Some(ListEntry::Item(item)) => item.bare_item.as_byte_sequence().map(<[u8]>::to_vec),
            Some(ListEntry::InnerList(_)) | None => None,
        };
        let Some(signature) = signature else {
            return Err(format!("`{label}` has no signature in `Signature`; write {label}=:<base64>:").into());
        };
        read.push(input(label, list, signature)?);
    }
    match signatures.keys().next() {
        Some(label) => Err(format!("`{}` in `Signature` has no `Signature-Input`", label.as_str()).into()),
        None => Ok(read),
    }
}

fn input(label: &str, list: &InnerList, signature: Vec<u8>) -> Result<Input, Fault> {
    if list.items.len() > MAX_COMPONENTS {
        return Err(format!("`{label}` covers more than {MAX_COMPONENTS} components").into());
    }
    let components = list.items.iter().map(Component::read).collect::<Result<Vec<_>, _>>()?;
    for (at, component) in components.iter().enumerate() {
        if components.iter().take(at).any(|before| before.is_same(component)) {
            return Err(format!("`{label}` covers {} twice", component.identifier()).into());
        }
    }
    let text = |name: &str| text(label, &list.params, name);
    let moment = |name: &str| moment(label, &list.params, name);
    text("tag")?;
    text("nonce")?;
    let message = MessageSignature {
        label: label.to_owned(),
        key_id: text("keyid")?,
        algorithm: text("alg")?,
        created: moment("created")?,
        expires: moment("expires")?,
        signature,
        ..MessageSignature::default()
    };
    Ok(Input { components, parameters: parameters(list), message })
}

/// The inner list as section 2.3 serialises it: in the order in which it came.
fn parameters(list: &InnerList) -> String {
    let mut serializer = ListSerializer::new();
    let mut inner = serializer.inner_list();
    inner.items(&list.items);
    let _ = inner.finish().parameters(&list.params);
    serializer.finish().unwrap_or_default()
}

fn text(label: &str, parameters: &Parameters, name: &str) -> Result<Option<String>, Fault> {
    match parameters.get(name) {
        None => Ok(None),
        Some(value) => match value.as_string() {
            Some(text) => Ok(Some(text.as_str().to_owned())),
            None => Err(format!("`{name}` of `{label}` is no string in quotes").into()),
        },
    }
}

fn moment(label: &str, parameters: &Parameters, name: &str) -> Result<Option<i64>, Fault> {
    match parameters.get(name) {
        None => Ok(None),
        Some(value) => match value.as_integer() {
            Some(moment) => Ok(Some(moment.into())),
            None => Err(format!("`{name}` of `{label}` is no whole number of seconds since 1970").into()),
        },
    }
}

/// `X-Signature`: the HMAC-SHA-256 of the body as 64 hex digits.
pub fn plain(headers: &HeaderMap) -> Result<Option<[u8; 32]>, Fault> {
    let mut values = headers.get_all(X_SIGNATURE).iter();
    let (first, more) = (values.next(), values.next());
    let Some(value) = first else { return Ok(None) };
    let mac = value.to_str().ok().and_then(from_hex).filter(|_| more.is_none());
    mac.map(Some)
        .ok_or_else(|| "`X-Signature` is the HMAC-SHA-256 of the body as 64 hex digits, and is sent once".into())
}

/// For `fuzz/`: what is read of any bytes is what a base can be made of, or is refused.
#[cfg(feature = "fuzz")]
pub fn fuzz(data: &[u8]) {
    use http::Request;

    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let mut request = Request::builder().method("POST");
    for name in [SIGNATURE_INPUT, SIGNATURE] {
        request = request.header(name, lines.next().unwrap_or_default());
    }
    let query = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let request = request.uri(format!("/api/v1/files?{query}")).header("content-digest", "sha-256=:AAAA:");
    let Ok(request) = request.body(()) else { return };
    let (parts, ()) = request.into_parts();
    let Ok(inputs) = inputs(&parts.headers) else { return };
    let config = crate::ApiConfig::new("https://gateway.example/x", "");
    for input in inputs {
        for target in super::base::called(&parts, &config) {
            let Ok(base) = super::base::of(&input, &target, &parts) else { continue };
            let base = String::from_utf8(base).unwrap_or_default();
            // One line for each component and one for the parameters: no value can pass itself off as another line.
            assert_eq!(base.lines().count(), input.components.len() + 1, "{base}");
            assert!(base.ends_with(&format!("\"@signature-params\": {}", input.parameters)), "{base}");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn read(input: &str, signature: &str) -> Result<Vec<Input>, String> {
        inputs(&headers(&[(SIGNATURE_INPUT, input), (SIGNATURE, signature)])).map_err(Cow::into_owned)
    }

    #[test]
    fn parameters_stay_as_they_came() {
        let input = "sig1=(\"@method\"   \"content-digest\";sf);keyid=\"k\"; created=7;nonce=\"n\";x=?1, b=()";
        let read = read(input, "b=:AA==:,  sig1=:AQ==:").unwrap();
        let parameters: Vec<&str> = read.iter().map(|input| input.parameters.as_str()).collect();
        assert_eq!(parameters, ["(\"@method\" \"content-digest\";sf);keyid=\"k\";created=7;nonce=\"n\";x", "()"]);
        let message = &read.first().unwrap().message;
        assert_eq!((message.key_id.as_deref(), message.created, message.expires), (Some("k"), Some(7), None));
        assert_eq!(message.signature, [1]);
    }

    #[test]
    fn several_lines_are_one_dictionary() {
        let map = headers(&[
            (SIGNATURE_INPUT, "a=(\"@method\")"),
            (SIGNATURE, "b=:AA==:"),
            (SIGNATURE_INPUT, "b=(\"@path\")"),
            (SIGNATURE, "a=:AA==:"),
        ]);
        assert_eq!(inputs(&map).unwrap().len(), 2);
        assert_eq!(inputs(&HeaderMap::new()).unwrap().len(), 0);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for (input, signature, word) in [
            ("sig1", "sig1=:AA==:", "parentheses"),
            ("sig1=(", "sig1=:AA==:", "no dictionary"),
            ("sig1=(\"@method\")", "", "no signature"),
            ("sig1=(\"@method\")", "sig2=:AA==:", "no signature"),
            ("sig1=(\"@method\")", "sig1=\"AA==\"", "no signature"),
            ("", "sig1=:AA==:", "no `Signature-Input`"),
            ("a=(), a=()", "a=:AA==:", "twice"),
            ("a=()", "a=:AA==:, a=:AQ==:", "twice"),
            ("sig1=(\"@method\" \"@method\")", "sig1=:AA==:", "twice"),
            ("sig1=(\"a\";key=\"x\" \"a\";key=\"x\")", "sig1=:AA==:", "twice"),
            ("sig1=(\"@method\");created=\"7\"", "sig1=:AA==:", "whole number"),
            ("sig1=(\"@method\");created=7.5", "sig1=:AA==:", "whole number"),
            ("sig1=(\"@method\");keyid=token", "sig1=:AA==:", "no string"),
            ("sig1=(\"@method\");nonce=1", "sig1=:AA==:", "no string"),
            ("sig1=(@method)", "sig1=:AA==:", "no dictionary"),
            ("sig1=(method)", "sig1=:AA==:", "no string"),
            ("sig1=(\"@status\")", "sig1=:AA==:", "@status"),
            ("sig1=(\"Date\")", "sig1=:AA==:", "Date"),
            ("a=(), b=(), c=(), d=(), e=()", "", "more than 4"),
        ] {
            let said = read(input, signature).unwrap_err();
            assert!(said.contains(word), "{input}: {said}");
        }
    }

    #[test]
    fn x_signature_is_hex_and_sent_once() {
        let hex = "aB".repeat(32);
        assert_eq!(plain(&headers(&[(X_SIGNATURE, &hex)])).unwrap(), Some([0xab; 32]));
        assert_eq!(plain(&HeaderMap::new()).unwrap(), None);
        for wrong in ["", "ab", &format!("sha256={hex}"), &format!("{hex}00"), &"zz".repeat(32)] {
            assert!(plain(&headers(&[(X_SIGNATURE, wrong)])).is_err(), "{wrong}");
        }
        assert!(plain(&headers(&[(X_SIGNATURE, &hex), (X_SIGNATURE, &hex)])).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(input in "[ -~]{0,80}", signature in "[ -~]{0,40}") {
            let _ = read(&input, &signature);
            let _ = read(&format!("s=({input})"), &format!("s=:{signature}:"));
        }
    }
}
