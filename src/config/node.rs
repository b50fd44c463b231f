//! `[node]`: this process among those of a cluster.

use super::reader::Section;
use super::value;

/// What stands in every event and audit entry.
#[derive(Clone, Debug)]
pub struct Node {
    /// The node's name.
    pub name: String,
}

impl Node {
    /// Reads the table.
    pub fn read(section: &Section<'_>) -> Self {
        let name = section.text("name", |text| {
            let name = value::words(text)?;
            if name.len() > 255 { Err("is longer than 255 bytes; shorten it".to_owned()) } else { Ok(name) }
        });
        Self { name: name.map_or_else(host_name, |found| found.value) }
    }
}

/// The host's name, or `localhost` where it has none that is a text.
pub fn host_name() -> String {
    let names = rustix::system::uname();
    match names.nodename().to_str() {
        Ok(name) if !name.is_empty() => name.to_owned(),
        _ => "localhost".to_owned(),
    }
}
