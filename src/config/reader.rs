//! A small declarative reader over spanned TOML. A [`Section`] is one table: it is asked for its keys by name and
//! parser, reports what is wrong with each and goes on with the next, and when it is dropped it reports the keys that
//! nobody asked for.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use toml_span::Value;
use toml_span::value::{Table, ValueInner};

use super::report::{Located, Report, Spot, start};

/// What a text parser answers: the value, or what is wrong and what to do.
pub type Parsed<T> = Result<T, String>;

/// One table of the file, or its absence.
pub struct Section<'a> {
    report: &'a Report,
    path: String,
    offset: usize,
    table: Option<&'a Table<'a>>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub fn root(report: &'a Report, value: &'a Value<'a>) -> Self {
        Self { report, path: String::new(), offset: 0, table: value.as_table(), asked: RefCell::default() }
    }

    /// Where problems go.
    pub const fn report(&self) -> &'a Report {
        self.report
    }

    /// Whether the table stands in the file.
    pub const fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// Where the table itself stands.
    pub fn spot(&self) -> Spot {
        Spot { key: self.path.clone(), offset: self.offset }
    }

    fn key_path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// `form`: how its value is to be written; the tests look at that.
    fn find(&self, key: &'static str, form: &dyn std::fmt::Display) -> Option<(Spot, &'a Value<'a>)> {
        self.asked.borrow_mut().push(key);
        self.report.note(|| (self.key_path(key), form.to_string()));
        let (name, value) = self.table?.get_key_value(key)?;
        Some((Spot { key: self.key_path(key), offset: start(name.span) }, value))
    }

    fn wrong_type(&self, spot: &Spot, expected: &str, found: &Value<'_>) {
        self.report.error(spot, format!("expected {expected}, found {}", type_name(found)));
    }

    /// Reports a REQUIRED key that is missing (one that is there and wrong was reported already).
    pub fn require<T>(&self, key: &'static str, value: Option<T>) -> Option<T> {
        if value.is_none() && self.table.is_some() && !self.has(key) {
            let spot = Spot { key: self.key_path(key), offset: self.offset };
            self.report.error(&spot, "this key is required here; add it");
        }
        value
    }

    /// A text, read by a parser.
    pub fn text<T>(&self, key: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> Option<Located<T>> {
        let (spot, value) = self.find(key, &"text")?;
        let Some(text) = value.as_str() else {
            self.wrong_type(&spot, "a string in quotes", value);
            return None;
        };
        match parse(text) {
            Ok(value) => Some(Located { value, spot }),
            Err(message) => {
                self.report.error(&spot, message);
                None
            }
        }
    }

    /// A text where `""` means the same as no key.
    pub fn text_or_empty<T>(&self, key: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> Option<Located<T>> {
        let parse = |text: &str| if text.is_empty() { Ok(None) } else { parse(text).map(Some) };
        let found = self.text(key, parse)?;
        found.value.map(|value| Located { value, spot: found.spot })
    }

    /// Whether the key stands in the file, right or wrong.
    pub fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// A list of texts, each read by a parser; each wrong one is reported in its own line. None where one is wrong.
    pub fn texts<T>(&self, key: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> Option<Located<Vec<Located<T>>>> {
        let (spot, value) = self.find(key, &"texts")?;
        let Some(list) = value.as_array() else {
            self.wrong_type(&spot, "a list of strings in brackets", value);
            return None;
        };
        let mut items = Vec::with_capacity(list.len());
        for item in list {
            let spot = Spot { key: spot.key.clone(), offset: start(item.span) };
            match item.as_str().map(&parse) {
                None => self.wrong_type(&spot, "strings in the list", item),
                Some(Ok(value)) => items.push(Located { value, spot }),
                Some(Err(message)) => self.report.error(&spot, message),
            }
        }
        (items.len() == list.len()).then_some(Located { value: items, spot })
    }

    /// true or false.
    pub fn flag(&self, key: &'static str) -> Option<Located<bool>> {
        let (spot, value) = self.find(key, &"flag")?;
        let Some(flag) = value.as_bool() else {
            self.wrong_type(&spot, "true or false without quotes", value);
            return None;
        };
        Some(Located { value: flag, spot })
    }

    /// true, false, or a word.
    pub fn flag_or<T: From<bool>>(&self, key: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> Option<Located<T>> {
        let (spot, value) = self.find(key, &"flag or text")?;
        match (value.as_bool(), value.as_str().map(parse)) {
            (Some(flag), _) => Some(Located { value: flag.into(), spot }),
            (None, Some(Ok(value))) => Some(Located { value, spot }),
            (None, Some(Err(message))) => {
                self.report.error(&spot, message);
                None
            }
            (None, None) => {
                self.wrong_type(&spot, "true or false without quotes, or a word in quotes", value);
                None
            }
        }
    }

    /// A whole number in a range.
    pub fn number(&self, key: &'static str, range: RangeInclusive<u32>) -> Option<Located<u32>> {
        let form = format_args!("number {} to {}", range.start(), range.end());
        let (spot, value) = self.find(key, &form)?;
        let Some(number) = value.as_integer() else {
            self.wrong_type(&spot, "a whole number without quotes", value);
            return None;
        };
        let value = u32::try_from(number).ok().filter(|n| range.contains(n));
        if value.is_none() {
            let (least, most) = range.into_inner();
            self.report.error(&spot, format!("{number} is out of range; give {least} to {most}"));
        }
        value.map(|value| Located { value, spot })
    }

    /// A table, there or not. Its keys can be asked for in either case.
    pub fn table(&self, key: &'static str) -> Section<'a> {
        let path = self.key_path(key);
        let absent =
            |path| Section { report: self.report, path, offset: self.offset, table: None, asked: RefCell::default() };
        let Some((spot, value)) = self.find(key, &"table") else { return absent(path) };
        let Some(table) = value.as_table() else {
            self.wrong_type(&spot, &format!("a table; write [{path}]"), value);
            return absent(path);
        };
        Section { report: self.report, path, offset: spot.offset, table: Some(table), asked: RefCell::default() }
    }

    /// A list of tables; empty where it is not there.
    pub fn tables(&self, key: &'static str) -> Vec<Section<'a>> {
        let Some((spot, value)) = self.find(key, &"tables") else { return Vec::new() };
        let Some(list) = value.as_array() else {
            self.wrong_type(&spot, &format!("a list of tables; write [[{}]]", spot.key), value);
            return Vec::new();
        };
        let mut tables = Vec::with_capacity(list.len());
        for item in list {
            let offset = start(item.span);
            match item.as_table() {
                Some(table) => tables.push(Section {
                    report: self.report,
                    path: spot.key.clone(),
                    offset,
                    table: Some(table),
                    asked: RefCell::default(),
                }),
                None => self.wrong_type(&Spot { key: spot.key.clone(), offset }, "tables in the list", item),
            }
        }
        tables
    }

    /// A table of texts under keys that the operator chooses.
    pub fn free_texts<T>(&self, key: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> Vec<(String, Located<T>)> {
        let Some((spot, value)) = self.find(key, &"map") else { return Vec::new() };
        let Some(table) = value.as_table() else {
            self.wrong_type(&spot, "a table of strings", value);
            return Vec::new();
        };
        let mut pairs = Vec::new();
        for (name, value) in table {
            let spot = Spot { key: format!("{}.{}", spot.key, name.name), offset: start(name.span) };
            match value.as_str().map(&parse) {
                None => self.wrong_type(&spot, "a string in quotes", value),
                Some(Ok(value)) => pairs.push((name.name.to_string(), Located { value, spot })),
                Some(Err(message)) => self.report.error(&spot, message),
            }
        }
        pairs
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        let Some(table) = self.table else { return };
        let asked = self.asked.borrow();
        for name in table.keys() {
            if asked.iter().any(|known| *known == name.name) {
                continue;
            }
            let spot = Spot { key: self.key_path(&name.name), offset: start(name.span) };
            let hint = match nearest(&name.name, asked.iter().copied()) {
                Some(known) => format!("; did you mean `{known}`?"),
                None => "; remove it".to_owned(),
            };
            self.report.error(&spot, format!("unknown key `{}`{hint}", name.name));
        }
    }
}

/// The known word that is nearest to a mistyped one, if any is near at all.
pub fn nearest<'w>(typed: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    known
        .map(|word| {
            (strsim::normalized_damerau_levenshtein(typed, word).max(strsim::jaro_winkler(typed, word) - 0.15), word)
        })
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}

fn type_name(value: &Value<'_>) -> &'static str {
    match value.as_ref() {
        ValueInner::String(_) => "a string",
        ValueInner::Integer(_) => "a whole number",
        ValueInner::Float(_) => "a fractional number",
        ValueInner::Boolean(_) => "a boolean",
        ValueInner::Array(_) => "a list",
        ValueInner::Table(_) => "a table",
    }
}
