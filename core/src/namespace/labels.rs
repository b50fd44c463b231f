//! Classification and tags of files: what they may be (contract, `api.md`, "Files").

use std::collections::BTreeMap;

use super::Entry;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::Tenant;
use crate::records::Node;

/// Tags of one file at most.
pub const MAX_TAGS: usize = 32;
/// The longest key of a tag, in characters.
pub const MAX_TAG_KEY: usize = 64;
/// The longest value of a tag, in characters.
pub const MAX_TAG_VALUE: usize = 256;

/// What becomes of a file's classification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Classify {
    /// It stays as it is.
    #[default]
    Keep,
    /// The file has none any more.
    Remove,
    /// One of the tenant's list.
    As(String),
}

/// A change of a file's labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// The classification.
    pub classification: Classify,
    /// All tags of the file from now on; none: they stay as they are.
    pub tags: Option<BTreeMap<String, String>>,
}

impl Labels {
    /// Those of an entry, for a copy of it. Where it has none, those of what the copy replaces stay: copying over a file takes
    /// no label away.
    pub(crate) fn of(entry: &Entry) -> Self {
        Self {
            classification: entry.classification.clone().map_or(Classify::Keep, Classify::As),
            tags: Some(entry.tags.clone()).filter(|tags| !tags.is_empty()),
        }
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Fails with `InvalidArgument` where a label is none that this tenant's files may have.
    pub fn check(&self, tenant: &Tenant) -> Result<()> {
        if let Classify::As(word) = &self.classification {
            check_classification(tenant, word)?;
        }
        self.tags.as_ref().map_or(Ok(()), check_tags)
    }

    /// Sets them on a node. Fails with `IsFolder`: folders have no labels.
    pub(crate) fn apply(&self, node: &mut Node) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        if node.is_folder() {
            return Err(Error::new(
                ErrorKind::IsFolder,
                "this is a folder, and only files have a classification and tags; label the files in it",
            ));
        }
        match &self.classification {
            Classify::Keep => {}
            Classify::Remove => node.classification = None,
            Classify::As(word) => node.classification = Some(word.clone()),
        }
        if let Some(tags) = &self.tags {
            node.tags.clone_from(tags);
        }
        Ok(())
    }
}

/// Fails with `InvalidArgument` where the word is none of the tenant's list.
pub fn check_classification(tenant: &Tenant, word: &str) -> Result<()> {
    if tenant.classifications.iter().any(|known| known == word) {
        return Ok(());
    }
    let known = tenant.classifications.join("`, `");
    Err(Error::new(ErrorKind::InvalidArgument, format!("this is one of `{known}`")))
}

/// Fails with `InvalidArgument` where there are too many tags, or one is too long, empty or has control characters.
pub fn check_tags(tags: &BTreeMap<String, String>) -> Result<()> {
    let wrong = |text: String| Err(Error::new(ErrorKind::InvalidArgument, text));
    if tags.len() > MAX_TAGS {
        return wrong(format!("a file has at most {MAX_TAGS} tags; these are {}", tags.len()));
    }
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > MAX_TAG_KEY {
            return wrong(format!("the key of a tag has 1 to {MAX_TAG_KEY} characters"));
        }
        if value.chars().count() > MAX_TAG_VALUE {
            return wrong(format!("the value of a tag has at most {MAX_TAG_VALUE} characters"));
        }
        if key.chars().chain(value.chars()).any(char::is_control) {
            return wrong("a tag has no control characters; leave them out".to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::CertificateRules;

    fn tenant() -> Tenant {
        Tenant {
            id: "acme".into(),
            quota: None,
            mounts: Vec::new(),
            certificates: CertificateRules::default(),
            classifications: Tenant::default_classifications(),
        }
    }

    fn tags(count: usize, key: usize, value: usize) -> BTreeMap<String, String> {
        (0..count).map(|n| (format!("{n:0key$}"), "é".repeat(value))).collect()
    }

    #[test]
    fn limits_are_in_characters_and_hold_at_their_edge() {
        assert!(check_tags(&tags(MAX_TAGS, MAX_TAG_KEY, MAX_TAG_VALUE)).is_ok());
        assert!(check_tags(&BTreeMap::new()).is_ok());
        for wrong in [tags(MAX_TAGS + 1, 3, 1), tags(1, MAX_TAG_KEY + 1, 1), tags(1, 1, MAX_TAG_VALUE + 1)] {
            assert!(check_tags(&wrong).is_err());
        }
        for (key, value) in [("", "a"), ("a\n", "a"), ("a", "\0")] {
            assert!(check_tags(&BTreeMap::from([(key.to_owned(), value.to_owned())])).is_err(), "{key:?}");
        }
    }

    #[test]
    fn a_classification_is_of_the_tenants_list() {
        for word in ["public", "internal", "confidential", "restricted"] {
            assert!(check_classification(&tenant(), word).is_ok());
        }
        for word in ["", "Public", "secret"] {
            let error = check_classification(&tenant(), word);
            assert!(error.is_err_and(|error| error.message().contains("`confidential`")), "{word}");
        }
    }
}
