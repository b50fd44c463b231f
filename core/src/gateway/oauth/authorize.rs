//! What an application asks a person for (RFC 6749 section 4.1.1, RFC 7636 section 4.3).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;

use super::parse_scopes;
use super::refusal::{OAuthFault, OAuthRefusal};
use crate::gateway::inner::Inner;
use crate::identity::OAuthClientMatch;
use crate::records::AuthorizationRequest;

/// The longest `state`, in bytes.
const MAX_STATE: usize = 2048;

/// The parameters of a request, as they were sent. What was sent empty was not sent (RFC 6749 section 3.1).
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// `client_id`.
    pub client_id: Option<String>,
    /// `redirect_uri`.
    pub redirect_uri: Option<String>,
    /// `response_type`.
    pub response_type: Option<String>,
    /// `scope`.
    pub scope: Option<String>,
    /// `state`.
    pub state: Option<String>,
    /// `code_challenge`.
    pub code_challenge: Option<String>,
    /// `code_challenge_method`.
    pub code_challenge_method: Option<String>,
    /// The names of parameters that were sent more than once.
    pub repeated: Vec<String>,
}

impl Asked {
    fn is_repeated(&self, name: &str) -> bool {
        self.repeated.iter().any(|repeated| repeated == name)
    }
}

/// A request that is right.
#[derive(Clone, Debug)]
pub struct Authorization {
    /// Who asks.
    pub found: OAuthClientMatch,
    /// For what.
    pub request: AuthorizationRequest,
}

/// An answer for an application (RFC 6749 sections 4.1.2 and 4.1.2.1).
#[derive(Debug)]
pub struct OAuthAnswer {
    /// Where it goes.
    pub redirect_uri: String,
    /// What the application wants to have back.
    pub state: Option<String>,
    /// The code, or why there is none, with a sentence.
    pub outcome: Result<SecretString, (OAuthFault, &'static str)>,
}

/// Why nobody is asked.
#[derive(Debug)]
pub enum AuthorizationRefusal {
    /// It is not certain who asks, or that the answer may go where it is to go. The person is told this sentence, and nobody is sent
    /// anywhere (RFC 6749 section 4.1.2.1).
    Untrusted(&'static str),
    /// The application is told.
    Answer(OAuthAnswer),
}

impl Inner {
    /// See [`crate::Gateway::authorization`].
    pub(crate) fn authorization(&self, asked: &Asked) -> Result<Authorization, AuthorizationRefusal> {
        use AuthorizationRefusal::{Answer, Untrusted};
        if asked.is_repeated("client_id") || asked.is_repeated("redirect_uri") {
            return Err(Untrusted("the application has named itself, or where to go on, twice"));
        }
        let Some(id) = &asked.client_id else { return Err(Untrusted("the application does not say which one it is")) };
        let Some(found) = self.directory().find_oauth_client(id) else {
            return Err(Untrusted("there is no such application here"));
        };
        let redirect_uri = match (&asked.redirect_uri, found.client.redirect_uris.as_slice()) {
            (Some(asked), _) if found.client.redirects_to(asked) => asked.clone(),
            (None, [one]) if one.is_whole() => one.as_str().to_owned(),
            (Some(_), _) => {
                return Err(Untrusted("the application wants to go on at an address that is not registered for it"));
            }
            (None, _) => return Err(Untrusted("the application does not say at which of its addresses to go on")),
        };
        let state = asked.state.as_ref().filter(|_| !asked.is_repeated("state"));
        let echoed = state.filter(|state| state.len() <= MAX_STATE && is_visible(state)).cloned();
        match checked(asked, echoed.is_some() == asked.state.is_some()) {
            Ok(challenge) => Ok(Authorization {
                request: AuthorizationRequest {
                    client: found.client.id.to_string(),
                    redirect_named: asked.redirect_uri.is_some(),
                    redirect_uri,
                    scope: asked.scope.clone(),
                    state: echoed,
                    challenge,
                },
                found,
            }),
            Err(refused) => Err(Answer(OAuthAnswer { redirect_uri, state: echoed, outcome: Err(refused) })),
        }
    }
}

/// VSCHAR of RFC 6749 appendix A: what `state` and the like are made of.
fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
}

/// The challenge of a request that is right but for who asks and where the answer goes.
fn checked(asked: &Asked, state_is_usable: bool) -> Result<String, (OAuthFault, &'static str)> {
    let wrong = |sentence| Err((OAuthFault::InvalidRequest, sentence));
    if !asked.repeated.is_empty() {
        return wrong("a parameter is there twice");
    }
    if !state_is_usable {
        return wrong("state is too long, or not of visible ASCII");
    }
    match asked.response_type.as_deref() {
        Some("code") => {}
        Some(_) => return Err((OAuthFault::UnsupportedResponseType, "the only response_type is code")),
        None => return wrong("response_type is missing"),
    }
    let Some(challenge) = &asked.code_challenge else {
        return wrong("code_challenge is missing; PKCE is required (RFC 7636)");
    };
    // Without a method it would be `plain` (section 4.3), which shows the verifier to whoever sees the request.
    if asked.code_challenge_method.as_deref() != Some("S256") {
        return wrong("code_challenge_method has to be S256");
    }
    if URL_SAFE_NO_PAD.decode(challenge).map_or(0, |digest| digest.len()) != 32 {
        return wrong("code_challenge is no SHA-256 in base64url");
    }
    match parse_scopes(asked.scope.as_deref()) {
        Ok(_) => Ok(challenge.clone()),
        Err(OAuthRefusal::Refused(fault, _)) => Err((fault, "one of the scopes is not known here")),
        Err(OAuthRefusal::Gateway(_)) => wrong("the scopes cannot be read"),
    }
}
