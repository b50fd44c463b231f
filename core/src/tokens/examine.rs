//! Looking at the gateway's own access tokens (RFC 9068 section 4).

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::claims::Untimely;
use super::jws::Compact;
use super::minting::FOLLOW;
use super::{AccessClaims, Claims, Subject, Via};
use crate::error::Result;
use crate::gateway::Inner;
use crate::records::now;

/// The type of access tokens (RFC 9068 section 2.1).
const KIND: &str = "at+jwt";
/// A key that is not known is looked for unless that was done this short ago.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What a token turned out to be.
#[derive(Debug)]
pub(crate) enum Judged<T> {
    /// It holds.
    Holds(T),
    /// Nobody who may sign has signed it, or it is none: somebody tries.
    Wrong,
    /// It was right, or may have been, and holds no more, not yet, or not here. The sentence is for the client.
    Lapsed(&'static str),
}

impl<T> Judged<T> {
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Judged<U> {
        match self {
            Self::Holds(held) => Judged::Holds(change(held)),
            Self::Wrong => Judged::Wrong,
            Self::Lapsed(why) => Judged::Lapsed(why),
        }
    }
}

/// A token that holds.
#[derive(Debug)]
pub(crate) enum Token {
    /// The gateway's own.
    Own(Held),
    /// An issuer's: whom it stands for.
    Foreign(Subject),
}

/// An access token of the gateway's own that holds, as far as the token and its grant go. Whether whom it came from is still let in is
/// another question.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// What it says.
    pub(crate) claims: AccessClaims,
    /// Its id.
    pub(crate) id: Uuid,
    /// When it was made.
    pub(crate) made: OffsetDateTime,
    /// When it ends.
    pub(crate) ends: OffsetDateTime,
}

pub(super) const fn untimely(why: Untimely) -> &'static str {
    match why {
        Untimely::Malformed => "the token does not say when it ends, or not in a way that is known here",
        Untimely::Over => "the token has expired; get a new one",
        Untimely::Early => "the token does not hold yet; compare the clocks",
    }
}

impl Inner {
    /// Whether a token says that it is this gateway's own.
    pub(super) fn says_own(&self, compact: &Compact<'_>) -> bool {
        Claims(&compact.claims).text("iss") == Some(&self.settings.tokens.issuer)
    }

    /// Looks at a token of anybody's: the gateway's own, or an issuer's. `Unavailable` where it cannot be said what it is worth.
    pub(crate) async fn examine_token(self: &Arc<Self>, token: &str) -> Result<Judged<Token>> {
        let Some(compact) = Compact::parse(token) else { return Ok(Judged::Wrong) };
        Ok(if self.says_own(&compact) {
            self.examine_compact(&compact).await?.map(Token::Own)
        } else {
            self.examine_foreign(&compact).await?.map(Token::Foreign)
        })
    }

    /// Looks at a token of the gateway's own. `Unavailable` where it cannot be said what it is worth.
    pub(crate) async fn examine_own(&self, token: &str) -> Result<Judged<Held>> {
        match Compact::parse(token) {
            Some(compact) if self.says_own(&compact) => self.examine_compact(&compact).await,
            _ => Ok(Judged::Wrong),
        }
    }

    pub(super) async fn examine_compact(&self, compact: &Compact<'_>) -> Result<Judged<Held>> {
        let header = &compact.header;
        // Exactly what is written here has `alg`, `kid` and `typ`.
        let (Some(kid), Some(KIND), 3) = (&header.kid, header.kind.as_deref(), header.members) else {
            return Ok(Judged::Wrong);
        };
        self.follow_tokens(FOLLOW).await?;
        let mut key = self.mint.key(kid, now());
        if key.is_none() {
            self.follow_tokens(LOOK_AGAIN).await?;
            key = self.mint.key(kid, now());
        }
        let Some(key) = key else {
            return Ok(Judged::Lapsed(
                "the token's key is not one that is believed here, or not any more; get a new token",
            ));
        };
        if !key.verifies(header.algorithm, compact.signed, &compact.signature) {
            return Ok(Judged::Wrong);
        }
        let claims = Claims(&compact.claims);
        let ends = match claims.end(OffsetDateTime::now_utc().unix_timestamp()) {
            Ok(ends) => ends,
            Err(why) => return Ok(Judged::Lapsed(untimely(why))),
        };
        let Some(held) = self.read_own(claims, ends) else {
            return Ok(Judged::Lapsed("the token is of another kind than is known here; get a new one"));
        };
        if self.mint.is_revoked(held.claims.grant) {
            return Ok(Judged::Lapsed("the token was revoked; get a new one"));
        }
        Ok(Judged::Holds(held))
    }

    fn read_own(&self, claims: Claims<'_>, ends: i64) -> Option<Held> {
        if !claims.is_for(&self.settings.tokens.issuer) {
            return None;
        }
        let moment = |seconds| OffsetDateTime::from_unix_timestamp(seconds).ok();
        Some(Held {
            claims: AccessClaims {
                tenant: claims.text("tenant")?.into(),
                identity: claims.text("sub")?.into(),
                login: claims.text("login")?.into(),
                by: Via::parse(claims.text("via")?)?,
                client: claims.text("client_id")?.into(),
                scopes: claims.0.get("scope").filter(|scope| scope.is_string()).and_then(|_| claims.scopes("scope"))?,
                grant: Uuid::parse_str(claims.text("grant")?).ok()?,
                key: claims.text("key").map(str::to_owned),
            },
            id: Uuid::parse_str(claims.text("jti")?).ok()?,
            made: moment(claims.made()?)?,
            ends: moment(ends)?,
        })
    }
}
