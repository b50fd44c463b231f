//! Who is it? `none`, `password` and `publickey` of RFC 4252, and nothing else. The gateway decides; here is only asked.

use causeway_core::identity::PublicKey;
use causeway_core::{Credential, ErrorKind};
use russh::keys::PublicKey as SshKey;
use russh::server::Auth;
use russh::{MethodKind, MethodSet};
use secrecy::SecretString;

use crate::connection::Connection;

/// The methods that are offered.
pub(crate) fn methods() -> MethodSet {
    MethodSet::from(&[MethodKind::PublicKey, MethodKind::Password][..])
}

/// "No", and every method may be tried again until the tries are used up.
pub(crate) fn reject() -> Auth {
    Auth::Reject { proceed_with_methods: Some(methods()), partial_success: false }
}

/// RFC 4252 section 8.
pub(crate) async fn password(connection: &Connection, user: &str, password: &str) -> Auth {
    let credential = Credential::Password { login: user.to_owned(), password: SecretString::from(password) };
    enter(connection, credential).await
}

/// The query of RFC 4252 section 7: would this key do? A "no" counts as no failure.
pub(crate) fn offered(connection: &Connection, user: &str, key: &SshKey) -> Auth {
    match blob(key) {
        Some(key) if connection.gateway().accepts_key(user, &key, &connection.peer()) => Auth::Accept,
        _ => reject(),
    }
}

/// RFC 4252 section 7, with a signature that russh has verified.
pub(crate) async fn signed(connection: &Connection, user: &str, key: &SshKey) -> Auth {
    match blob(key) {
        Some(key) => enter(connection, Credential::PublicKey { login: user.to_owned(), key }).await,
        None => reject(),
    }
}

async fn enter(connection: &Connection, credential: Credential) -> Auth {
    match connection.gateway().login(credential, &connection.peer()).await {
        Ok(session) => {
            connection.entered(session);
            Auth::Accept
        }
        Err(error) => {
            if error.kind() != ErrorKind::Unauthenticated {
                tracing::debug!(%error, "a login was not possible");
            }
            match error.kind() {
                // The credential is right, but there are too many sessions. SSH can say that only to who is logged in: the
                // handler ends the connection with these words in the same breath. Without a session nothing can be done.
                ErrorKind::Throttled if error.retry_after().is_none() => {
                    connection.dismiss(error.message().to_owned());
                    return Auth::Accept;
                }
                // Nobody can tell whether it is right.
                ErrorKind::Unavailable => connection.dismiss(error.message().to_owned()),
                _ => {}
            }
            reject()
        }
    }
}

/// The key's blob. By which algorithm it signs is the handler's to look at.
fn blob(key: &SshKey) -> Option<PublicKey> {
    key.to_bytes().ok().map(|blob| PublicKey { blob })
}
