//! What tokens claim, read out of their members: each of one type, or the token is refused.

use serde_json::{Map, Value};

use super::LEEWAY;
use crate::identity::{Scope, ScopeSet};

/// The longest text of a claim that is looked at, in characters.
const MAX_TEXT: usize = 255;
/// The last second of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

/// The members of a token's payload.
#[derive(Clone, Copy)]
pub(crate) struct Claims<'c>(pub(crate) &'c Map<String, Value>);

/// Why a token holds no more, or not yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Untimely {
    /// Its times are none.
    Malformed,
    /// It has ended.
    Over,
    /// It has not begun, or was made in the future.
    Early,
}

impl<'c> Claims<'c> {
    /// A text that is printable and not long. None where it is not there, or something else.
    pub(crate) fn text(self, name: &str) -> Option<&'c str> {
        let text = self.0.get(name)?.as_str()?;
        let good = (1..=MAX_TEXT).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        good.then_some(text)
    }

    /// A moment in seconds since 1970 (RFC 7519 section 2, "NumericDate"), rounded down. None where it is not there.
    fn moment(self, name: &str) -> Result<Option<i64>, Untimely> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let whole = value.as_i64().or_else(|| {
            let number = value.as_f64()?.floor();
            // Exact far beyond every date.
            (number.abs() < 1e15).then_some(number as i64)
        });
        whole.filter(|seconds| (0..=LAST_SECOND).contains(seconds)).map(Some).ok_or(Untimely::Malformed)
    }

    /// When it ends, where it holds at this moment (RFC 7519 sections 4.1.4 to 4.1.6).
    pub(crate) fn end(self, now: i64) -> Result<i64, Untimely> {
        let (end, from, made) = (self.moment("exp")?, self.moment("nbf")?, self.moment("iat")?);
        let end = end.ok_or(Untimely::Malformed)?;
        if end.saturating_add(LEEWAY) <= now {
            return Err(Untimely::Over);
        }
        let early = [from, made].into_iter().flatten().any(|moment| moment.saturating_sub(LEEWAY) > now);
        if early { Err(Untimely::Early) } else { Ok(end) }
    }

    /// When it was made.
    pub(crate) fn made(self) -> Option<i64> {
        self.moment("iat").ok()?
    }

    /// Whether it is meant for this audience: a text, or a list of texts (RFC 7519 section 4.1.3).
    pub(crate) fn is_for(self, audience: &str) -> bool {
        match self.0.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(list)) => {
                list.iter().all(Value::is_string) && list.iter().any(|one| one.as_str() == Some(audience))
            }
            _ => false,
        }
    }

    /// The scopes of a member that is a text with spaces or a list of texts. Words that are no scope here are somebody else's. None
    /// where it is of another type; without it there are no scopes.
    pub(crate) fn scopes(self, name: &str) -> Option<ScopeSet> {
        let words: Vec<&str> = match self.0.get(name) {
            None => Vec::new(),
            Some(Value::String(text)) => text.split(' ').collect(),
            Some(Value::Array(list)) => list.iter().map(Value::as_str).collect::<Option<_>>()?,
            Some(_) => return None,
        };
        Some(words.into_iter().filter_map(Scope::parse).collect())
    }
}

/// What is left of the scopes that a token names, of those that its owner has now.
pub(crate) fn cut(named: ScopeSet, has: ScopeSet) -> ScopeSet {
    named.words().filter(|scope| has.allows(*scope)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with<T>(claims: Value, ask: impl FnOnce(Claims<'_>) -> T) -> T {
        ask(Claims(claims.as_object().unwrap()))
    }

    #[test]
    fn times_are_looked_at_with_leeway() {
        let end = |claims: Value| with(claims, |claims| claims.end(1000));
        assert_eq!(end(json!({ "exp": 1000 })), Ok(1000));
        assert_eq!(end(json!({ "exp": 971 })), Ok(971));
        assert_eq!(end(json!({ "exp": 1000.9, "nbf": 1030, "iat": 1030 })), Ok(1000));
        assert_eq!(end(json!({ "exp": 970 })), Err(Untimely::Over));
        assert_eq!(end(json!({ "exp": 2000, "nbf": 1031 })), Err(Untimely::Early));
        assert_eq!(end(json!({ "exp": 2000, "iat": 1031 })), Err(Untimely::Early));
        for wrong in [
            json!({}),
            json!({ "exp": "2000" }),
            json!({ "exp": null }),
            json!({ "exp": -1 }),
            json!({ "exp": 1e300 }),
            json!({ "exp": 18_446_744_073_709_551_615_u64 }),
            json!({ "exp": [2000] }),
            json!({ "exp": 2000, "nbf": "1" }),
            json!({ "exp": 2000, "iat": true }),
        ] {
            assert_eq!(end(wrong.clone()), Err(Untimely::Malformed), "{wrong}");
        }
    }

    #[test]
    fn audiences_and_scopes_come_in_two_forms() {
        let is_for = |aud: Value| with(json!({ "aud": aud }), |claims| claims.is_for("causeway"));
        assert!(is_for(json!("causeway")) && is_for(json!(["other", "causeway"])));
        for wrong in [
            json!("causeway "),
            json!("Causeway"),
            json!([]),
            json!(["other"]),
            json!([["causeway"]]),
            json!(["causeway", 7]),
            json!(null),
            json!({ "causeway": true }),
        ] {
            assert!(!is_for(wrong.clone()), "{wrong}");
        }
        let scopes = |scope: Value| with(json!({ "scope": scope }), |claims| claims.scopes("scope"));
        let both: ScopeSet = [Scope::FilesRead, Scope::FilesWrite].into_iter().collect();
        assert_eq!(scopes(json!("openid files:read  files:write")), Some(both));
        assert_eq!(scopes(json!(["files:write", "files:read", "files"])), Some(both));
        assert_eq!(scopes(json!("")), Some(ScopeSet::NONE));
        assert_eq!(scopes(json!(["files:read", 7])), None);
        assert_eq!(scopes(json!(7)), None);
        assert_eq!(with(json!({}), |claims| claims.scopes("scope")), Some(ScopeSet::NONE));
    }

    #[test]
    fn scopes_are_cut_by_what_is_had_now() {
        let set = |scopes: &[Scope]| scopes.iter().copied().collect::<ScopeSet>();
        let asked = set(&[Scope::FilesRead, Scope::AuditRead]);
        assert_eq!(cut(asked, set(&[Scope::FilesRead, Scope::FilesWrite])), set(&[Scope::FilesRead]));
        assert_eq!(cut(asked, set(&[Scope::Admin])), set(&[Scope::AuditRead]), "what a scope implies can be had alone");
        assert_eq!(cut(ScopeSet::NONE, ScopeSet::all()), ScopeSet::NONE);
    }

    #[test]
    fn texts_are_printable_and_not_long() {
        let text = |value: Value| with(json!({ "sub": value }), |claims| claims.text("sub").map(str::to_owned));
        assert_eq!(text(json!("Jörg|auth0")), Some("Jörg|auth0".to_owned()));
        for wrong in
            [json!(""), json!("a\nb"), json!("a\u{85}"), json!("x".repeat(256)), json!(7), json!(null), json!(["a"])]
        {
            assert_eq!(text(wrong.clone()), None, "{wrong}");
        }
    }
}
