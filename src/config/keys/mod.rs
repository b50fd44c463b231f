//! The keys of the configuration file, described: what each says, its form, its default, and from when on a change of it counts
//! where the file is read again. The parsers of the sections read the keys; a test holds that both know the same ones, in the same
//! form, with the same defaults. The JSON Schema for editors is made of this ([`super::schema`]), and what a reload tells.

mod gateway;
mod tenant;

pub use gateway::ROOT;

/// From when on a change of a key counts in a gateway that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// When the file is read again.
    AtOnce,
    /// For connections that come then.
    NewConnections,
    /// When the gateway is started again.
    Restart,
}

/// What a text is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any.
    Any,
    /// An id of this file.
    Slug,
    /// A login's name.
    Username,
    /// A time: `30s`, `15m`, `24h`, `7d`.
    Duration,
    /// A size: `64 MiB`.
    Size,
    /// A size and `/s`.
    Rate,
    /// One of these.
    OneOf(fn() -> Vec<&'static str>),
    /// A reference to a secret: `env:NAME`, `file:/path`.
    Secret,
    /// A path in a tree, with `/` in front.
    TreePath,
    /// An address to listen on.
    Listen,
    /// A network, or one address.
    Network,
    /// A URL.
    Url,
    /// A moment (RFC 3339).
    Moment,
    /// Text with this pattern (ECMA 262).
    Pattern(&'static str),
}

/// How a key's value is written.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// A text.
    Text(Kind),
    /// A text, where `""` means none.
    TextOrEmpty(Kind),
    /// A list of texts.
    Texts(Kind),
    /// true or false.
    Flag,
    /// true, false, or a text.
    FlagOrText(Kind),
    /// A whole number between these.
    Number(u32, u32),
    /// A table with these keys.
    Table(&'static [Key]),
    /// A list of such tables.
    Tables(&'static [Key]),
    /// A table of texts under keys that the operator chooses.
    Map(Kind),
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// How its value is written.
    pub form: Form,
    /// What it says, in a sentence.
    pub says: &'static str,
    /// What counts where it is not there, as JSON; none: nothing that could be written here.
    pub default: Option<&'static str>,
    /// Whether it must be there.
    pub required: bool,
    /// From when on a change of it counts.
    pub counts: Counts,
}

impl Key {
    const fn new(name: &'static str, form: Form, says: &'static str) -> Self {
        Self { name, form, says, default: None, required: false, counts: Counts::AtOnce }
    }

    const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    const fn next(self) -> Self {
        Self { counts: Counts::NewConnections, ..self }
    }

    const fn restart(self) -> Self {
        Self { counts: Counts::Restart, ..self }
    }

    /// The keys of a table; none where it is none.
    pub const fn keys(&self) -> Option<&'static [Self]> {
        match self.form {
            Form::Table(keys) | Form::Tables(keys) => Some(keys),
            Form::Text(_)
            | Form::TextOrEmpty(_)
            | Form::Texts(_)
            | Form::Flag
            | Form::FlagOrText(_)
            | Form::Number(..)
            | Form::Map(_) => None,
        }
    }
}

/// The first words of the parsers' choices.
fn words<T>(choices: &'static [(&'static str, T)]) -> Vec<&'static str> {
    choices.iter().map(|(word, _)| *word).collect()
}

const fn text(name: &'static str, kind: Kind, says: &'static str) -> Key {
    Key::new(name, Form::Text(kind), says)
}

const fn text_or_empty(name: &'static str, kind: Kind, says: &'static str) -> Key {
    Key::new(name, Form::TextOrEmpty(kind), says)
}

const fn texts(name: &'static str, kind: Kind, says: &'static str) -> Key {
    Key::new(name, Form::Texts(kind), says)
}

const fn flag(name: &'static str, says: &'static str) -> Key {
    Key::new(name, Form::Flag, says)
}

const fn flag_or_text(name: &'static str, kind: Kind, says: &'static str) -> Key {
    Key::new(name, Form::FlagOrText(kind), says)
}

const fn number(name: &'static str, least: u32, most: u32, says: &'static str) -> Key {
    Key::new(name, Form::Number(least, most), says)
}

const fn table(name: &'static str, keys: &'static [Key], says: &'static str) -> Key {
    Key::new(name, Form::Table(keys), says)
}

const fn tables(name: &'static str, keys: &'static [Key], says: &'static str) -> Key {
    Key::new(name, Form::Tables(keys), says)
}

const fn map(name: &'static str, kind: Kind, says: &'static str) -> Key {
    Key::new(name, Form::Map(kind), says)
}

/// The key at a place like `tenant.login.username`; where there is none, the last one on the way that is there.
pub fn find(path: &str) -> Option<&'static Key> {
    let mut keys = ROOT;
    let mut found = None;
    for name in path.split('.') {
        let Some(key) = keys.iter().find(|key| key.name == name) else { break };
        found = Some(key);
        let Some(inside) = key.keys() else { break };
        keys = inside;
    }
    found
}

#[cfg(test)]
#[path = "../keys_test.rs"]
mod tests;
