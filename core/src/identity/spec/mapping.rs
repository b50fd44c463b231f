//! A mapping rule, as it is declared.

use serde::{Deserialize, Serialize};

use super::login::{any, bound, over_sftp, protocol_words, protocols, root};
use super::{Fault, Faults};
use crate::identity::texts;
use crate::identity::{Factor, Mapping, NamePattern, PathTemplate};

/// The longest pattern, in bytes: a compiled one may take far more memory than its text.
pub const MAX_PATTERN: usize = 1_024;

/// A rule that stands for many logins of one shape.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingSpec {
    /// The names that it is for: a regular expression of the whole name.
    pub username: String,
    /// The identity's id, in the same tenant.
    pub identity: String,
    /// The protocols that its logins may come by.
    #[serde(default = "over_sftp")]
    pub protocols: Vec<String>,
    /// Start folder and root of each; `${group}` stands for what the name's group captured.
    #[serde(default = "root")]
    pub home: String,
    /// Each one's file of keys, relative to the configuration's folder.
    #[serde(default)]
    pub authorized_keys_file: Option<String>,
    /// What each must prove.
    #[serde(default = "any")]
    pub require: String,
    /// Networks that they may come from; empty: all.
    #[serde(default)]
    pub allow_from: Vec<String>,
}

impl MappingSpec {
    /// The rule with this id, or all that is wrong with it. That the identity is there is not looked at.
    pub fn mapping(&self, id: &str) -> Result<Mapping, Vec<Fault>> {
        let mut faults = Faults::default();
        let id = faults.take("id", texts::slug(id));
        let pattern = if self.username.len() > MAX_PATTERN {
            faults.note("username", format!("is longer than {MAX_PATTERN} bytes; write a shorter pattern"));
            None
        } else {
            faults.take("username", NamePattern::new(&self.username).map_err(|error| error.to_string()))
        };
        let identity = faults.take("identity", texts::slug(&self.identity));
        let protocols = protocols(&mut faults, &self.protocols);
        // Without a pattern nothing can be said of what refers to its groups.
        let (mut home, mut file) = (None, None);
        if let Some(pattern) = &pattern {
            home = faults.take("home", PathTemplate::home(&self.home, pattern).map_err(|error| error.to_string()));
            file = self.authorized_keys_file.as_deref().filter(|text| !text.is_empty()).and_then(|text| {
                let template = PathTemplate::key_file(text, pattern).map_err(|error| error.to_string());
                faults.take("authorized_keys_file", template)
            });
        }
        let require = faults.take("require", texts::require(&self.require));
        if require.is_some_and(|require| require.names(Factor::Totp)) {
            faults.note("require", "asks for a code (totp), which a rule has no secret for");
        }
        bound(&mut faults, "allow_from", &self.allow_from);
        let allow_from = faults.list("allow_from", &self.allow_from, texts::network);
        let mapping = (|| {
            Some(Mapping {
                id: id?.into(),
                username: pattern?,
                identity: identity?.into(),
                protocols,
                home: home?,
                authorized_keys_file: file,
                require: require?,
                allow_from,
            })
        })();
        faults.finish(mapping)
    }

    /// How a rule would be declared.
    pub fn of(mapping: &Mapping) -> Self {
        Self {
            username: mapping.username.as_str().to_owned(),
            identity: mapping.identity.to_string(),
            protocols: protocol_words(&mapping.protocols),
            home: mapping.home.to_string(),
            authorized_keys_file: mapping.authorized_keys_file.as_ref().map(ToString::to_string),
            require: mapping.require.as_str().to_owned(),
            allow_from: mapping.allow_from.iter().map(ToString::to_string).collect(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn spec(json: serde_json::Value) -> MappingSpec {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_is_right_is_shown_as_it_was_declared() {
        let declared = spec(serde_json::json!({
            "username": "branch-(?<nr>[0-9]{3})", "identity": "edi", "protocols": ["sftp"],
            "home": "/inbound/branch-${nr}", "authorized_keys_file": "keys/branch-${nr}.pub", "require": "any",
            "allow_from": ["10.0.0.0/8"],
        }));
        let made = declared.mapping("branches").unwrap();
        assert_eq!(made.login("branch-007").unwrap().home.as_str(), "/inbound/branch-007");
        assert_eq!(MappingSpec::of(&made), declared);
    }

    #[test]
    fn all_that_is_wrong_is_told() {
        let wrong = spec(serde_json::json!({
            "username": "(?<a>.)", "identity": "", "protocols": ["scp"], "home": "/${b}", "authorized_keys_file": "/etc/x",
            "require": "password+totp", "allow_from": ["x"],
        }));
        let faults = wrong.mapping("-").unwrap_err();
        let fields: Vec<&str> = faults.iter().map(|fault| &*fault.field).collect();
        let expected = ["id", "identity", "protocols[0]", "home", "authorized_keys_file", "require", "allow_from[0]"];
        assert_eq!(fields, expected);
        let long =
            MappingSpec { username: "x".repeat(MAX_PATTERN + 1), identity: "edi".into(), ..MappingSpec::default() };
        assert_eq!(long.mapping("m").unwrap_err()[0].field, "username");
    }
}
