//! Time-based codes (RFC 6238) for a login, enrolled in two steps: a secret is made and shown once, and is in force when a code of
//! it has been brought. Until then the login is what it was. The secret is kept in the ledger as it is, as codes cannot be checked by
//! less: who holds the ledger can make codes, and needs the passwords all the same.

use secrecy::SecretString;

use super::{ManagedBy, Refusal};
use crate::error::{Error, ErrorKind, Result};
use crate::gateway::Inner;
use crate::identity::spec::{Fault, LoginSpec, PendingCodes};
use crate::identity::{Factor, FactorSet, Require, Session, generate_totp_secret, texts};
use crate::ports::{Durability, Reach};
use crate::records::now;

/// What it is called in what is said of it.
const LOGIN: &str = "login";

/// What a login asks for once its codes are in force: what it asks for now, and a code. Where it takes any one of several things,
/// a password goes before a key.
fn with_codes(spec: &LoginSpec) -> Option<String> {
    let code = FactorSet::NONE.with(Factor::Totp);
    let first = match Require::parse(&spec.require)? {
        Require::All(wanted) => wanted.without(code),
        Require::Any if spec.password_hash.is_some() => FactorSet::NONE.with(Factor::Password),
        Require::Any if !spec.authorized_keys.is_empty() => FactorSet::NONE.with(Factor::PublicKey),
        Require::Any => return None,
    };
    Some(Require::All(first.with(Factor::Totp)).as_str().to_owned())
}

/// What a login asks for once it has no codes: what it asked for before it had any; else the rest of what it asks for now, where
/// that is no less than it seems. One thing alone cannot be said but as `any`, which takes every other thing, too.
fn without_codes(spec: &LoginSpec) -> Option<String> {
    if spec.require_before.is_some() {
        return spec.require_before.clone();
    }
    let Require::All(wanted) = Require::parse(&spec.require)? else { return Some(spec.require.clone()) };
    let rest = wanted.without(FactorSet::NONE.with(Factor::Totp));
    if rest.iter().count() > 1 {
        return Some(Require::All(rest).as_str().to_owned());
    }
    let only = |factor| rest.has(factor);
    let others = [
        (spec.password_hash.is_some(), Factor::Password),
        (!spec.authorized_keys.is_empty(), Factor::PublicKey),
        (!spec.client_certificates.is_empty(), Factor::Certificate),
    ];
    let safe = others.into_iter().all(|(there, factor)| !there || only(factor));
    safe.then(|| "any".to_owned())
}

impl Inner {
    /// See [`crate::Gateway::begin_totp`].
    pub(crate) async fn begin_totp(
        &self,
        session: &Session,
        (tenant, username): (Option<&str>, &str),
        require: Option<String>,
    ) -> Result<SecretString, Refusal> {
        let secret = generate_totp_secret()?;
        let begun = |spec: &LoginSpec| {
            let require = match &require {
                None => with_codes(spec).ok_or_else(|| {
                    vec![Fault::new(
                        "require",
                        "the login has no password and no key; say what it has to prove beside the code",
                    )]
                })?,
                Some(text) => match texts::require(text) {
                    Ok(wanted) if wanted.names(Factor::Totp) => wanted.as_str().to_owned(),
                    Ok(_) => return Err(vec![Fault::new("require", "does not ask for a code; add +totp")]),
                    Err(detail) => return Err(vec![Fault::new("require", detail)]),
                },
            };
            Ok(LoginSpec { totp_pending: Some(PendingCodes { secret: Some(secret.clone()), require }), ..spec.clone() })
        };
        self.change_login(session, (tenant, username), begun).await?;
        Ok(secret)
    }

    /// See [`crate::Gateway::confirm_totp`].
    pub(crate) async fn confirm_totp(
        &self,
        session: &Session,
        (tenant, username): (Option<&str>, &str),
        code: &SecretString,
    ) -> Result<(), Refusal> {
        let known = self.administered_called::<LoginSpec>(session, (tenant, username), LOGIN).await?;
        let pending = known.spec.and_then(|spec| spec.totp_pending).ok_or_else(nothing_pending)?;
        let secret = pending.secret.ok_or_else(nothing_pending)?;
        let wrong =
            || Refusal::Wrong(vec![Fault::new("code", "this is no code of now; the clock of the app may be wrong")]);
        let at = now();
        // Counted apart from the login's own codes: nobody is to be kept out by what goes wrong here.
        let counted = format!("{}@{} (enrolment)", known.key.id, known.key.tenant);
        let seconds = u64::try_from(at / 1_000_000).unwrap_or(0);
        let Some(step) = self.codes.step(&counted, &secret, code, seconds)? else { return Err(wrong()) };
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        // The code that confirms is used by it, and lets nobody in any more.
        let (owner, login) = (known.key.tenant.clone(), known.key.id.clone());
        let first = self.write(Reach::of(&known.key.tenant), Durability::Disk, move |tx| {
            let (owner, login) = (owner.clone(), login.clone());
            Box::pin(async move { tx.use_code(&owner, &login, step, at).await })
        });
        if !first.await? {
            self.codes.replayed(&counted);
            return Err(wrong());
        }
        self.codes.taken(&counted);
        let confirmed = |spec: &LoginSpec| {
            // Begun anew meanwhile: then another secret is to be confirmed.
            let pending = spec.totp_pending.clone().filter(|pending| pending.is_of(&secret));
            let pending =
                pending.ok_or_else(|| vec![Fault::new("code", "the enrolment was begun anew; take its code")])?;
            let had = Require::parse(&spec.require).is_some_and(|require| require.names(Factor::Totp));
            Ok(LoginSpec {
                require_before: if had { spec.require_before.clone() } else { Some(spec.require.clone()) },
                require: pending.require,
                totp_secret: pending.secret,
                totp_pending: None,
                ..spec.clone()
            })
        };
        self.change_login(session, (tenant, username), confirmed).await
    }

    /// See [`crate::Gateway::remove_totp`].
    pub(crate) async fn remove_totp(
        &self,
        session: &Session,
        (tenant, username): (Option<&str>, &str),
    ) -> Result<(), Refusal> {
        let known = self.administered_called::<LoginSpec>(session, (tenant, username), LOGIN).await?;
        let (has, declared) = (known.spec.is_some_and(|spec| spec.has_codes()), known.managed_by == ManagedBy::Config);
        if !has && !declared {
            return Err(Error::new(ErrorKind::NotFound, "the login has no time-based codes").into());
        }
        let removed = |spec: &LoginSpec| {
            let require = without_codes(spec).ok_or_else(|| {
                let detail = "without the code one thing is left, and the login has others, which `any` would take, too; \
                              put the login with the `require` that you want";
                vec![Fault::new("require", detail)]
            })?;
            Ok(LoginSpec { require, require_before: None, totp_secret: None, totp_pending: None, ..spec.clone() })
        };
        self.change_login(session, (tenant, username), removed).await
    }

    /// Makes another one of a login as it is when that is done.
    async fn change_login(
        &self,
        session: &Session,
        named: (Option<&str>, &str),
        change: impl Fn(&LoginSpec) -> Result<LoginSpec, Vec<Fault>>,
    ) -> Result<(), Refusal> {
        self.change_by(session, named, None, LOGIN, |now| {
            let Some(spec) = &now.spec else {
                let sentence = "the record of this login cannot be read; put it anew";
                return Err(Error::new(ErrorKind::Conflict, sentence).into());
            };
            match (change(spec), now.managed_by) {
                (Ok(next), _) => Ok(Some(next)),
                (Err(faults), ManagedBy::Api) => Err(Refusal::Wrong(faults)),
                // What the configuration declares is refused as such.
                (Err(_), ManagedBy::Config) => Ok(Some(spec.clone())),
            }
        })
        .await
    }
}

fn nothing_pending() -> Error {
    Error::new(ErrorKind::Conflict, "no enrolment waits for its code; begin one with POST …/totp")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(require: &str, password: bool, key: bool) -> LoginSpec {
        LoginSpec {
            require: require.to_owned(),
            password_hash: password.then(|| "$argon2id$".to_owned().into()),
            authorized_keys: if key { vec!["ssh-ed25519 AAAA".to_owned()] } else { Vec::new() },
            ..LoginSpec::default()
        }
    }

    #[test]
    fn a_code_comes_on_top_of_what_is_asked_for() {
        for (require, password, key, with) in [
            ("any", true, true, Some("password+totp")),
            ("any", true, false, Some("password+totp")),
            ("any", false, true, Some("publickey+totp")),
            ("any", false, false, None),
            ("publickey+password", true, true, Some("publickey+password+totp")),
            ("password+totp", true, false, Some("password+totp")),
        ] {
            assert_eq!(with_codes(&spec(require, password, key)).as_deref(), with, "{require} {password} {key}");
        }
    }

    #[test]
    fn without_codes_no_login_asks_for_less_than_it_seems() {
        for (require, password, key, without) in [
            ("publickey+password+totp", true, true, Some("publickey+password")),
            ("password+totp", true, false, Some("any")),
            ("password+totp", true, true, None),
            ("publickey+totp", false, true, Some("any")),
        ] {
            assert_eq!(without_codes(&spec(require, password, key)).as_deref(), without, "{require} {password} {key}");
        }
        let before = LoginSpec { require_before: Some("any".to_owned()), ..spec("password+totp", true, true) };
        assert_eq!(without_codes(&before).as_deref(), Some("any"), "as it was before");
    }
}
