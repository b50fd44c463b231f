//! Who is it? `none`, `password` and `publickey` of RFC 4252 and `keyboard-interactive` of RFC 4256, one after the other
//! where a login needs several. The gateway decides; here is only asked.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use causeway_core::identity::{Factor, FactorSet, Progress, PublicKey, QueueTime};
use causeway_core::{Admission, Credential, ErrorKind};
use russh::keys::PublicKey as SshKey;
use russh::server::{Auth, PublicKeyOffer, VerifiedCertificate, VerifiedPublicKey};
use russh::{MethodKind, MethodSet};
use secrecy::SecretString;
use tokio::time::{Instant, sleep_until};

use crate::connection::Connection;
use crate::{certificate, hardware_key};

/// A "no" comes after a multiple of this by a power of two, so that its time tells nothing of how it came about (a rule
/// was asked, a key file was read). OpenSSH has the same.
const PACE: Duration = Duration::from_millis(5);
/// Beyond this, what took so long was a queue, and waiting more would only hurt.
const PACED: Duration = Duration::from_secs(1);

/// The methods that are offered to everybody, whatever the login must prove.
pub(crate) fn methods() -> MethodSet {
    MethodSet::from(&[MethodKind::PublicKey, MethodKind::Password, MethodKind::KeyboardInteractive][..])
}

/// The methods by which these can be proven.
fn methods_for(factors: FactorSet) -> MethodSet {
    let mut methods = MethodSet::empty();
    for factor in factors.iter() {
        match factor {
            Factor::PublicKey | Factor::Certificate => methods.push(MethodKind::PublicKey),
            Factor::Password => {
                methods.push(MethodKind::Password);
                methods.push(MethodKind::KeyboardInteractive);
            }
            Factor::Totp => methods.push(MethodKind::KeyboardInteractive),
        }
    }
    methods
}

/// What `keyboard-interactive` has asked for, and waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    Password,
    Code,
}

/// A client's way in: what it has proven, what it was asked, and how often it has failed.
pub(crate) struct Attempt {
    progress: Progress,
    asked: Asked,
    requests: usize,
    failures: usize,
    max_failures: usize,
}

impl Attempt {
    /// Of a client that may fail this often. As in OpenSSH a refused offer of a key counts, the first question for the
    /// methods (`none`) and a step that is right do not. `queue` takes what its steps wait for the gateway's own queue.
    pub(crate) fn new(max_failures: usize, queue: QueueTime) -> Self {
        Self { progress: Progress::timed(queue), asked: Asked::Nothing, requests: 0, failures: 0, max_failures }
    }

    /// Begins a request of this user; false where it has failed too often already.
    fn begin(&mut self, user: &str) -> bool {
        self.progress.bind(user);
        self.asked = Asked::Nothing;
        self.requests += 1;
        self.failures < self.max_failures
    }

    /// "No", and what may be tried next: what is missing of a login that has proven something, or everything.
    fn refusal(&self) -> Auth {
        let next = self.progress.next();
        let methods = if next.is_empty() { methods() } else { methods_for(next) };
        Auth::Reject { proceed_with_methods: Some(methods), partial_success: false }
    }

    fn fail(&mut self, connection: &Connection) {
        self.failures += 1;
        if self.failures >= self.max_failures {
            connection.failed_too_often();
        }
    }

    async fn refuse(&mut self, connection: &Connection, began: Instant) -> Auth {
        self.fail(connection);
        pace(began).await;
        self.refusal()
    }

    /// RFC 4252 section 5.2: what is there?
    pub(crate) fn none(&mut self, connection: &Connection, user: &str) -> Auth {
        self.begin(user);
        if self.requests > 1 {
            self.fail(connection);
        }
        self.refusal()
    }

    /// RFC 4252 section 8.
    pub(crate) async fn password(&mut self, connection: &Connection, user: &str, password: &str) -> Auth {
        let began = Instant::now();
        if !self.begin(user) {
            return self.refusal();
        }
        let credential = Credential::Password { login: user.to_owned(), password: SecretString::from(password) };
        self.show(connection, credential, began).await
    }

    /// The query of RFC 4252 section 7: would this key do? For the gateway a "no" is no failure.
    pub(crate) async fn offered(&mut self, connection: &Connection, user: &str, offer: PublicKeyOffer<'_>) -> Auth {
        let began = Instant::now();
        if !self.begin(user) {
            return self.refusal();
        }
        let gateway = connection.gateway();
        let key = connection.takes(offer.algorithm).then_some(offer.public_key).and_then(blob);
        let good = match (key, offer.certificate) {
            // What a certificate comes to is decided when its key has signed: then it is its holder who shows it, and a
            // refusal goes on record.
            (Some(_), Some(_)) => gateway.believes_certificates(),
            (Some(key), None) => gateway.accepts_key(&mut self.progress, user, &key, &connection.peer()).await,
            (None, _) => false,
        };
        if good { Auth::Accept } else { self.refuse(connection, began).await }
    }

    /// RFC 4252 section 7, with a signature that russh has verified.
    pub(crate) async fn signed(&mut self, connection: &Connection, user: &str, key: VerifiedPublicKey<'_>) -> Auth {
        let began = Instant::now();
        if !self.begin(user) {
            return self.refusal();
        }
        let presence = hardware_key::presence(key.signature);
        match connection.takes(key.algorithm).then_some(key.public_key).and_then(blob) {
            Some(key) => {
                let credential = Credential::PublicKey { login: user.to_owned(), key, presence };
                self.show(connection, credential, began).await
            }
            None => self.refuse(connection, began).await,
        }
    }

    /// RFC 4256 section 3.1: what is to be typed? The same for every login, known or not, until one has proven something.
    pub(crate) fn interactive(&mut self, user: &str) -> Auth {
        if !self.begin(user) {
            return self.refusal();
        }
        let next = self.progress.next();
        if next.is_empty() || next.has(Factor::Password) {
            return self.ask(Asked::Password);
        }
        if next.has(Factor::Totp) {
            return self.ask(Asked::Code);
        }
        // Nothing that is missing can be typed.
        self.refusal()
    }

    /// RFC 4256 section 3.4: the answers to what was asked.
    pub(crate) async fn answered(
        &mut self,
        connection: &Connection,
        user: &str,
        mut answers: impl Iterator<Item = Bytes>,
    ) -> Auth {
        let began = Instant::now();
        let asked = self.asked;
        if !self.begin(user) {
            return self.refusal();
        }
        let answer = answers.next().filter(|_| answers.next().is_none());
        let Some(text) = answer.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok()) else {
            return self.refuse(connection, began).await;
        };
        let (login, text) = (user.to_owned(), SecretString::from(text));
        let credential = match asked {
            Asked::Password => Credential::Password { login, password: text },
            Asked::Code => Credential::Code { login, code: text },
            Asked::Nothing => return self.refuse(connection, began).await,
        };
        match self.show(connection, credential, began).await {
            // The code is asked for in the same exchange, so that nothing has to be begun again.
            Auth::Reject { partial_success: true, .. }
                if self.progress.next() == FactorSet::NONE.with(Factor::Totp) =>
            {
                self.ask(Asked::Code)
            }
            other => other,
        }
    }

    fn ask(&mut self, what: Asked) -> Auth {
        self.asked = what;
        let prompt = match what {
            Asked::Password => "Password: ",
            Asked::Code => "Verification code: ",
            Asked::Nothing => return self.refusal(),
        };
        let prompts = vec![(Cow::Borrowed(prompt), false)];
        Auth::Partial { name: Cow::Borrowed(""), instructions: Cow::Borrowed(""), prompts: Cow::Owned(prompts) }
    }

    /// A certificate in place of a key (PROTOCOL.certkeys). russh has verified its holder's signature; by which algorithm
    /// that signs was asked of [`Attempt::offered`].
    pub(crate) async fn certified(
        &mut self,
        connection: &Connection,
        user: &str,
        shown: VerifiedCertificate<'_>,
    ) -> Auth {
        let began = Instant::now();
        if !self.begin(user) {
            return self.refusal();
        }
        let presence = hardware_key::presence(shown.signature);
        let certificate = certificate::read(shown.certificate)
            .inspect_err(|why| {
                tracing::info!(login = &*causeway_core::identity::without_keys(user), ip = %connection.peer().ip, %why, "a certificate is refused");
            })
            .ok();
        let credential = Credential::Certificate { login: user.to_owned(), certificate, presence };
        self.show(connection, credential, began).await
    }

    async fn show(&mut self, connection: &Connection, credential: Credential, began: Instant) -> Auth {
        let before = self.progress.queue().so_far();
        let outcome = connection.gateway().log_in(&mut self.progress, credential, &connection.peer()).await;
        // What was spent in the queue tells nothing, and is not to be doubled.
        let began = began + self.progress.queue().so_far().saturating_sub(before);
        match outcome {
            Ok(Admission::In(session)) => {
                connection.entered(session);
                Auth::Accept
            }
            Ok(Admission::More(next)) => {
                Auth::Reject { proceed_with_methods: Some(methods_for(next)), partial_success: true }
            }
            Err(error) => {
                if error.kind() != ErrorKind::Unauthenticated {
                    tracing::debug!(%error, "a login was not possible");
                }
                match error.kind() {
                    // The credential is right, but there are too many sessions. SSH can say that only to who is logged
                    // in: the handler ends the connection with these words in the same breath. Without a session nothing
                    // can be done.
                    ErrorKind::Throttled if error.retry_after().is_none() => {
                        connection.dismiss(error.message().to_owned());
                        return Auth::Accept;
                    }
                    // Nobody can tell whether it is right.
                    ErrorKind::Unavailable => connection.dismiss(error.message().to_owned()),
                    _ => {}
                }
                self.refuse(connection, began).await
            }
        }
    }
}

/// Waits until the next moment at which a "no" may come.
async fn pace(began: Instant) {
    let mut until = PACE;
    while until < began.elapsed() && until < PACED {
        until *= 2;
    }
    sleep_until(began + until).await;
}

/// The key's blob; none where it is too weak. By which algorithm it signs is the handler's to look at.
fn blob(key: &SshKey) -> Option<PublicKey> {
    key.to_bytes().ok().map(|blob| PublicKey { blob }).filter(PublicKey::is_accepted)
}
