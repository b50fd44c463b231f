//! A code behind the password: most FTP clients know no ACCT, and send what people type as one word.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use super::inner::Inner;
use super::login::Admission;
use crate::error::Result;
use crate::identity::{Credential, Factor, Peer, Progress, Protocol};

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
        let (first, second) = match self.apart(&credential, progress, peer).await {
            Some((password, code)) => (password, Some(code)),
            None => (credential, None),
        };
        let admission = self.log_in_by(progress, first, peer).await?;
        match (admission, second) {
            (Admission::More(next), Some(code)) if next.has(Factor::Totp) => self.log_in_by(progress, code, peer).await,
            (admission, _) => Ok(admission),
        }
    }

    /// The password and the code of an FTP login that has to show both, where what was sent is its password with six digits behind. None:
    /// it is one word. A word that ends so is examined twice, whoever sends it and whatever is right, so that time tells nothing; a wrong
    /// code is counted as one, since who sends it has the password.
    async fn apart(
        &self,
        credential: &Credential,
        progress: &Progress,
        peer: &Peer,
    ) -> Option<(Credential, Credential)> {
        let Credential::Password { login, password } = credential else { return None };
        let text = password.expose_secret();
        let (word, code) = text.split_at_checked(text.len().checked_sub(DIGITS)?)?;
        let looks_so = !word.is_empty() && code.bytes().all(|byte| byte.is_ascii_digit());
        if peer.protocol != Protocol::Ftps || !looks_so {
            return None;
        }
        let claim = self.claim(credential, peer);
        let unthrottled = || self.throttle.check(&claim.counted, claim.ip).is_ok();
        let wanted = claim.wanted(Factor::Password, progress.proven(), peer);
        let wanted = wanted.filter(|found| found.login.require.names(Factor::Totp));
        let hash = wanted.and_then(|found| found.login.password_hash.as_ref());
        let word = SecretString::from(word);
        let right = self.verifier.verify_while(hash, &word, unthrottled, progress.queue()).await;
        (right && wanted.is_some()).then(|| {
            let login = login.clone();
            let password = Credential::Password { login: login.clone(), password: word };
            (password, Credential::Code { login, code: code.into() })
        })
    }
}
