//! A code behind the password: most FTP clients know no ACCT, and send what people type as one word.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;

use super::inner::Inner;
use super::login::Admission;
use crate::error::Result;
use crate::identity::{Credential, Factor, Peer, Progress, Protocol, is_code_of};

/// Digits of a code (RFC 4226 section 5.3).
const DIGITS: usize = 6;

impl Inner {
    /// See [`super::Gateway::log_in`].
    pub(crate) async fn log_in(
        self: &Arc<Self>,
        progress: &mut Progress,
        credential: Credential,
        peer: &Peer,
    ) -> Result<Admission> {
        let (first, second) = match self.apart(&credential, peer) {
            Some((password, code)) => (password, Some(code)),
            None => (credential, None),
        };
        let admission = self.log_in_by(progress, first, peer).await?;
        match (admission, second) {
            (Admission::More(next), Some(code)) if next.has(Factor::Totp) => self.log_in_by(progress, code, peer).await,
            (admission, _) => Ok(admission),
        }
    }

    /// The password and the code of an FTP login that has to show both, where the code of now stands behind the password. None: it is one
    /// word. So one password is checked, whatever was sent, and whoever does not know it learns nothing of the code.
    fn apart(&self, credential: &Credential, peer: &Peer) -> Option<(Credential, Credential)> {
        let Credential::Password { login, password } = credential else { return None };
        let text = password.expose_secret();
        let (word, code) = text.split_at_checked(text.len().checked_sub(DIGITS)?)?;
        if peer.protocol != Protocol::Ftps || word.is_empty() {
            return None;
        }
        let found = self.directory().find_login(login)?.login;
        let secret = found.totp_secret.as_ref().filter(|_| found.require.names(Factor::Totp))?;
        let code = SecretString::from(code);
        let now = u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).ok()?;
        is_code_of(secret, &code, now).then(|| {
            let login = login.clone();
            let password = Credential::Password { login: login.clone(), password: word.into() };
            (password, Credential::Code { login, code })
        })
    }
}
