//! Secrets: never in the file in clear, always a reference: `env:NAME` or `file:/path`. (`vault:path#field` is known,
//! but not built yet.) Hashes may stand in the file, or be referred to in the same way.

use std::path::PathBuf;

use secrecy::SecretString;

use super::reader::{Parsed, Section};
use super::report::{Located, Report, Spot};
use super::value;

#[derive(Clone, Debug)]
enum Reference {
    Environment(String),
    File(PathBuf),
}

fn reference(report: &Report, spot: &Spot, text: &str) -> Option<Parsed<Reference>> {
    let (kind, rest) = text.split_once(':')?;
    match kind {
        "env" => {
            let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let valid = !rest.is_empty() && rest.chars().all(good);
            Some(if valid {
                Ok(Reference::Environment(rest.to_owned()))
            } else {
                Err("`env:` wants the name of an environment variable; write it like \"env:NAME\"".to_owned())
            })
        }
        "file" => Some(if rest.is_empty() {
            Err("`file:` wants a path; write it like \"file:/run/secrets/name\"".to_owned())
        } else {
            Ok(Reference::File(report.path(rest)))
        }),
        "vault" => {
            report.not_built(spot, "`vault:`");
            Some(Err(String::new()))
        }
        _ => None,
    }
}

fn resolve(reference: &Reference) -> Parsed<SecretString> {
    let value = match reference {
        Reference::Environment(name) => std::env::var(name).map_err(|_| {
            format!("the environment variable {name} is not set to a text; set it, or check with --no-secrets")
        })?,
        Reference::File(path) => std::fs::read_to_string(path)
            .map_err(|e| {
                format!(
                    "{} cannot be read ({}); make it readable, or check with --no-secrets",
                    path.display(),
                    e.kind()
                )
            })?
            .trim_end_matches(['\r', '\n'])
            .to_owned(),
    };
    if value.is_empty() {
        Err("the secret that this refers to is empty; give it a value".to_owned())
    } else {
        Ok(value.into())
    }
}

/// A secret that is referred to; none where references are not resolved.
pub type Secret = Option<SecretString>;

impl Section<'_> {
    /// A secret: a reference, never the value. The check sees the value where it is resolved.
    pub fn secret(&self, key: &'static str, check: impl Fn(&str) -> Parsed<()>) -> Option<Located<Secret>> {
        self.referred(key, check, false)
    }

    /// A secret, or `""` for none.
    pub fn secret_or_empty(&self, key: &'static str, check: impl Fn(&str) -> Parsed<()>) -> Option<Located<Secret>> {
        self.referred(key, check, true)
    }

    fn referred(
        &self,
        key: &'static str,
        check: impl Fn(&str) -> Parsed<()>,
        may_be_empty: bool,
    ) -> Option<Located<Secret>> {
        let found = self.text(key, |text| Ok(text.to_owned()))?;
        if found.value.is_empty() && may_be_empty {
            return None;
        }
        let report = self.report();
        let Some(parsed) = reference(report, &found.spot, &found.value) else {
            report.error(
                &found.spot,
                "a secret stands here in clear; put it into the environment or a file and write \"env:NAME\" or \"file:/path\"",
            );
            return None;
        };
        let secret = self.looked_up(&found.spot, parsed, check)?;
        Some(Located { value: secret, spot: found.spot })
    }

    /// A hash: in the file itself, or referred to. `""` means none.
    pub fn hash(&self, key: &'static str, check: impl Fn(&str) -> Parsed<()>) -> Option<Located<Secret>> {
        let found = self.text_or_empty(key, |text| Ok(text.to_owned()))?;
        let secret = match reference(self.report(), &found.spot, &found.value) {
            Some(parsed) => self.looked_up(&found.spot, parsed, check)?,
            None => match check(&found.value) {
                Ok(()) => Some(found.value.into()),
                Err(message) => {
                    self.report().error(&found.spot, message);
                    return None;
                }
            },
        };
        Some(Located { value: secret, spot: found.spot })
    }

    fn looked_up(&self, spot: &Spot, parsed: Parsed<Reference>, check: impl Fn(&str) -> Parsed<()>) -> Option<Secret> {
        use secrecy::ExposeSecret as _;
        let report = self.report();
        if let Ok(Reference::File(path)) = &parsed {
            report.reads(path);
        }
        let reference = match parsed {
            Ok(reference) => reference,
            // Said already.
            Err(message) if message.is_empty() => return Some(None),
            Err(message) => {
                report.error(spot, message);
                return None;
            }
        };
        if !report.resolves_secrets() {
            return Some(None);
        }
        match resolve(&reference).and_then(|secret| check(secret.expose_secret()).map(|()| secret)) {
            Ok(secret) => Some(Some(secret)),
            Err(message) => {
                report.error(spot, message);
                None
            }
        }
    }
}

/// No check, in the form of one.
#[allow(clippy::unnecessary_wraps)]
pub fn any(_: &str) -> Parsed<()> {
    Ok(())
}

/// An Argon2id PHC string whose costs are in bounds.
pub fn password_hash(text: &str) -> Parsed<()> {
    causeway_core::identity::check_phc(text).map_err(|e| e.message().to_owned())
}

/// A secret of time-based codes, in base32.
pub fn totp_secret(text: &str) -> Parsed<()> {
    causeway_core::identity::check_totp_secret(&text.into()).map_err(|e| format!("the secret {}", e.message()))
}

/// A secret that requests are signed with.
pub fn signing_secret(text: &str) -> Parsed<()> {
    causeway_core::identity::check_signing_secret(&text.into()).map_err(|e| format!("the secret {}", e.message()))
}

/// 64 hex digits.
pub fn key_hash(text: &str) -> Parsed<()> {
    match hex::decode(text) {
        Ok(digest) if digest.len() == 32 => Ok(()),
        _ => Err("is no SHA-256 in hex; write what `causeway hash-key` prints, or a reference to it".to_owned()),
    }
}

/// A webhook's secret: `whsec_` and base64, or any text.
pub fn webhook_secret(text: &str) -> Parsed<()> {
    use base64::Engine as _;
    match text.strip_prefix("whsec_") {
        Some(encoded) => match base64::engine::general_purpose::STANDARD.decode(encoded) {
            Ok(key) if !key.is_empty() => Ok(()),
            _ => Err("begins with whsec_, but base64 does not follow; write whsec_ and standard base64".to_owned()),
        },
        None => value::words(text).map(|_| ()).map_err(|e| format!("the secret {e}")),
    }
}

/// 32 bytes in base64.
pub fn storage_key(text: &str) -> Parsed<()> {
    use base64::Engine as _;
    match base64::engine::general_purpose::STANDARD.decode(text) {
        Ok(key) if key.len() == 32 => Ok(()),
        _ => Err("is no key of 32 bytes in base64; make one with `openssl rand -base64 32`".to_owned()),
    }
}
