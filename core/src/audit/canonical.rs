//! JSON as bytes that depend on nothing but the values: RFC 8785 (JSON Canonicalization Scheme), as far as the gateway's
//! own values need it. There are no floating-point numbers among them, so section 3.2.2.3 shrinks to integers.

use crate::events::{escape, is_hidden};

/// A JSON value of the gateway's own. The keys of an object must differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer. Beyond [`EXACT`] it is written as a string, as RFC 8785 appendix D advises: parsers that read numbers
    /// as IEEE 754 doubles would round it silently.
    Integer(u64),
    /// A string.
    Text(String),
    /// An array.
    Array(Vec<Self>),
    /// An object, its members in the order in which they are shown.
    Object(Vec<(&'static str, Self)>),
    /// An object whose keys are not known beforehand.
    Map(Vec<(String, Self)>),
}

/// The largest integer that a double holds with all its neighbours below: 2^53.
pub const EXACT: u64 = 1 << 53;

impl Value {
    /// The canonical bytes of RFC 8785: no white space, members sorted by the UTF-16 code units of their keys.
    pub fn to_canonical(&self) -> Vec<u8> {
        let mut out = String::with_capacity(512);
        self.write(&mut out, true);
        out.into_bytes()
    }

    /// The same without sorting: members stand in the order in which they were given. What shows nothing itself
    /// ([`crate::events::is_hidden`]) is escaped, which RFC 8785 forbids: a parser reads the same, and who looks at the bytes in
    /// a terminal, a mail or a log is not deceived.
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(512);
        self.write(&mut out, false);
        out
    }

    fn write(&self, out: &mut String, canonical: bool) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Integer(number) if *number <= EXACT => out.push_str(&number.to_string()),
            Self::Integer(number) => write_string(out, &number.to_string(), canonical),
            Self::Text(text) => write_string(out, text, canonical),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write(out, canonical);
                }
                out.push(']');
            }
            Self::Object(members) => {
                write_members(out, members.iter().map(|(key, value)| (*key, value)).collect(), canonical);
            }
            Self::Map(members) => {
                write_members(out, members.iter().map(|(key, value)| (key.as_str(), value)).collect(), canonical);
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

/// A number that is no whole one from 0 on is written as a string.
impl From<&serde_json::Value> for Value {
    fn from(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(truth) => Self::Bool(*truth),
            serde_json::Value::Number(number) => {
                number.as_u64().map_or_else(|| Self::Text(number.to_string()), Self::Integer)
            }
            serde_json::Value::String(text) => Self::Text(text.clone()),
            serde_json::Value::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            serde_json::Value::Object(members) => {
                Self::Map(members.iter().map(|(name, member)| (name.clone(), member.into())).collect())
            }
        }
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Section 3.2.3: names are compared as arrays of UTF-16 code units, which is not the order of code points.
fn write_members(out: &mut String, mut members: Vec<(&str, &Value)>, canonical: bool) {
    if canonical {
        members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    }
    out.push('{');
    for (index, (key, value)) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(out, key, canonical);
        out.push(':');
        value.write(out, canonical);
    }
    out.push('}');
}

/// Section 3.2.2.2: the short escapes where JSON has them, `\u00xx` in lower case for other control characters below
/// U+0020, a backslash before quote and backslash, everything else as it is; where it need not be canonical, what is hidden
/// is escaped too.
fn write_string(out: &mut String, text: &str, canonical: bool) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if c < ' ' || (!canonical && is_hidden(c)) => escape(out, c),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(members: &[(&str, Value)]) -> Value {
        Value::Map(members.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect())
    }

    #[test]
    fn sorts_as_in_section_3_2_3() {
        let value = map(&[
            ("\u{20ac}", "Euro Sign".into()),
            ("\r", "Carriage Return".into()),
            ("\u{fb33}", "Hebrew Letter Dalet With Dagesh".into()),
            ("1", "One".into()),
            ("\u{1f600}", "Emoji: Grinning Face".into()),
            ("\u{80}", "Control".into()),
            ("\u{f6}", "Latin Small Letter O With Diaeresis".into()),
        ]);
        let expected = "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"\u{f6}\":\"Latin Small Letter O With Diaeresis\",\
                        \"\u{20ac}\":\"Euro Sign\",\"\u{1f600}\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}";
        assert_eq!(String::from_utf8(value.to_canonical()).unwrap(), expected);
    }

    #[test]
    fn writes_strings_and_literals_as_in_section_3_2_2() {
        // The sample of section 3.2.2, without its floating-point numbers.
        let value = map(&[
            ("string", "\u{20ac}$\u{f}\nA'B\"\\\\\"/".into()),
            ("literals", Value::Array(vec![Value::Null, true.into(), false.into()])),
        ]);
        // Section 3.2.4 gives the bytes.
        let expected = "{\"literals\":[null,true,false],\"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        assert_eq!(String::from_utf8(value.to_canonical()).unwrap(), expected);
        let bytes = Value::from("\u{20ac}$\u{f}\nA'").to_canonical();
        assert_eq!(hex::encode(bytes), "22e282ac245c75303030665c6e412722");
    }

    #[test]
    fn escapes_every_control_character() {
        let all: String = (0u8..0x21).map(char::from).chain(['\u{7f}', '\u{2028}']).collect();
        let below = "\"\\u0000\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\b\\t\\n\\u000b\\f\\r\\u000e\\u000f\\u0010\\u0011\\u0012\
                        \\u0013\\u0014\\u0015\\u0016\\u0017\\u0018\\u0019\\u001a\\u001b\\u001c\\u001d\\u001e\\u001f ";
        let value = Value::from(all);
        assert_eq!(value.to_canonical(), format!("{below}\u{7f}\u{2028}\"").as_bytes(), "all else is as it is");
        assert_eq!(value.to_json(), format!("{below}\\u007f\\u2028\""));
    }

    #[test]
    fn integers_are_exact_or_strings() {
        assert_eq!(Value::from(0).to_json(), "0");
        assert_eq!(Value::from(9_007_199_254_740_992).to_json(), "9007199254740992");
        assert_eq!(Value::from(9_007_199_254_740_993).to_json(), "\"9007199254740993\"");
    }

    #[test]
    fn the_shown_order_is_kept() {
        let value =
            Value::Object(vec![("b", 1.into()), ("a", Value::Object(vec![("d", Value::Null), ("c", true.into())]))]);
        assert_eq!(value.to_json(), r#"{"b":1,"a":{"d":null,"c":true}}"#);
        assert_eq!(value.to_canonical(), br#"{"a":{"c":true,"d":null},"b":1}"#);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            (0..=EXACT).prop_map(Value::Integer),
            any::<String>().prop_map(Value::Text),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                proptest::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|m| Value::Map(m.into_iter().collect())),
            ]
        })
    }

    fn as_serde(value: &Value) -> serde_json::Value {
        match value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(b) => (*b).into(),
            Value::Integer(n) => (*n).into(),
            Value::Text(t) => t.clone().into(),
            Value::Array(items) => items.iter().map(as_serde).collect(),
            Value::Object(members) => members.iter().map(|(k, v)| ((*k).to_owned(), as_serde(v))).collect(),
            Value::Map(members) => members.iter().map(|(k, v)| (k.clone(), as_serde(v))).collect(),
        }
    }

    proptest! {
        #[test]
        fn a_parser_reads_back_the_same(value in any_value()) {
            let canonical = value.to_canonical();
            prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&canonical).unwrap(), as_serde(&value));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&value.to_json()).unwrap(), as_serde(&value));
        }

        #[test]
        fn what_a_parser_has_read_is_written_alike(value in any_value()) {
            prop_assert_eq!(Value::from(&as_serde(&value)).to_canonical(), value.to_canonical());
        }

        #[test]
        fn the_order_of_members_does_not_matter(members in proptest::collection::btree_map(any::<String>(), any_value(), 0..8)) {
            let forward: Vec<_> = members.into_iter().collect();
            let backward: Vec<_> = forward.iter().rev().cloned().collect();
            prop_assert_eq!(Value::Map(forward).to_canonical(), Value::Map(backward).to_canonical());
        }
    }
}
