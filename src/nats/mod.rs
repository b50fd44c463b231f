//! Events to a stream of NATS JetStream: core's [`EventSink`] port.
//!
//! JetStream keeps an event when it has acknowledged it, and drops one whose `Nats-Msg-Id` (the event's id) it has kept within the stream's
//! window of duplicates. A batch is published without a wait in between: each message names the one that must be the last of the stream
//! (`Nats-Expected-Last-Msg-Id`), so that none is kept behind one that was lost, and the order holds. After a failure, and where somebody else
//! publishes into the stream too, they go one by one. `Nats-Expected-Stream` keeps another stream from taking them.
//!
//! The stream is the operator's: the gateway neither makes nor changes one, and needs no right but to publish below its subject and
//! to hear the acknowledgements (`_INBOX.>`).

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{Context, ContextBuilder};
use async_nats::{Client, ConnectOptions};
use async_trait::async_trait;
use bytes::Bytes;
use causeway_core::ports::EventSink;
use causeway_core::records::{EventRecord, StoredEvent};
use causeway_core::{Error, ErrorKind, Result};
use secrecy::ExposeSecret as _;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use uuid::Uuid;

use crate::config::nats::{Login, Target};
use crate::failure::{Failure, Outcome};
use crate::trust;

/// How long connecting, or a batch, may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long one acknowledgement may take.
const ACKNOWLEDGED: Duration = Duration::from_secs(5);
/// How often a silent server is asked whether it is still there.
const PING: Duration = Duration::from_secs(10);
/// How often it is looked whether the connection still stands, while acknowledgements are waited for.
const LOOK: Duration = Duration::from_millis(100);
/// Commands that may wait for the connection: more than a batch has, and no more than that in memory while the server is away.
const WAITING: usize = 256;
/// In the place of the tenant where an event belongs to none; no tenant can have this name.
const NO_TENANT: &str = "_";

/// The connection, once there is one; it is made again by the client itself where it breaks.
#[derive(Default)]
struct Link {
    context: Option<Context>,
    /// Whether something failed and what came of the messages behind it is not known.
    one_by_one: bool,
}

/// Sends to a stream.
pub struct JetStream {
    name: String,
    target: Target,
    options: ConnectOptions,
    link: Mutex<Link>,
}

impl std::fmt::Debug for JetStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JetStream({})", self.target.stream)
    }
}

impl JetStream {
    /// Fails where certificates or credentials are not what they should be. Nothing is connected yet.
    pub fn new(target: Target) -> Outcome<Self> {
        let mut options = ConnectOptions::new()
            .name("causeway")
            .connection_timeout(ACKNOWLEDGED)
            .ping_interval(PING)
            .client_capacity(WAITING)
            .require_tls(target.ca.is_some());
        if let Some(ca) = &target.ca {
            // Read again at each connect; whether they can be is told at the start.
            trust::roots(ca, "events.nats_ca")?;
            options = options.add_root_certificates(ca.clone());
        }
        options = match &target.login {
            Login::Nobody => options,
            Login::Password(user, password) => {
                options.user_and_password(user.clone(), password.expose_secret().to_owned())
            }
            Login::Token(token) => options.token(token.expose_secret().to_owned()),
            // The line end that a secret loses belongs to the last line's form.
            Login::Credentials(text) => options
                .credentials(&format!("{}\n", text.expose_secret()))
                .map_err(|e| Failure::configuration(format!("events.nats_credentials: {e}")))?,
        };
        // How far it came is noted under the stream's name: the servers may move.
        let name = format!("nats {}", target.stream);
        Ok(Self { name, target, options, link: Mutex::default() })
    }

    fn subject(&self, event: &EventRecord) -> String {
        let tenant = if event.tenant.is_empty() { NO_TENANT } else { &event.tenant };
        format!("{}.{tenant}.{}", self.target.subject, event.kind)
    }

    /// The connection, where it stands.
    async fn context(&self, link: &mut Link, deadline: Instant) -> Result<Context> {
        let away = |why: &dyn std::fmt::Display| Error::new(ErrorKind::Unavailable, format!("the NATS server: {why}"));
        let context = if let Some(context) = &link.context {
            context.clone()
        } else {
            let connecting = self.options.clone().connect(self.target.url.as_str());
            let client = timeout_at(deadline, connecting)
                .await
                .map_err(|_| away(&"it does not answer in time"))?
                .map_err(|error| away(&error))?;
            let context = ContextBuilder::new().timeout(ACKNOWLEDGED).build(client);
            link.context.insert(context).clone()
        };
        // What is published now would wait in memory.
        if context.client().connection_state() != State::Connected {
            return Err(away(&"the connection is lost"));
        }
        Ok(context)
    }

    /// Publishes one. `previous`: the one that must be the last of the stream.
    async fn publish(
        &self,
        context: &Context,
        event: &EventRecord,
        previous: Option<Uuid>,
        deadline: Instant,
    ) -> Result<PublishAckFuture, PublishError> {
        let mut message = PublishMessage::build()
            .payload(Bytes::from(event.body.clone()))
            .message_id(event.id.to_string())
            .expected_stream(&self.target.stream);
        if let Some(previous) = previous {
            message = message.expected_last_message_id(previous.to_string());
        }
        let published = timeout_at(deadline, context.send_publish(self.subject(event), message)).await;
        published.unwrap_or_else(|_| Err(PublishError::new(PublishErrorKind::TimedOut)))
    }

    /// Publishes all before it waits for the first acknowledgement. How many of the first ones are kept.
    async fn at_once(
        &self,
        context: &Context,
        events: &[StoredEvent],
        deadline: Instant,
    ) -> (usize, Result<(), PublishError>) {
        let line = Line::of(context);
        let mut acknowledgements = Vec::with_capacity(events.len());
        let (mut previous, mut ended) = (None, Ok(()));
        for stored in events {
            match self.publish(context, &stored.event, previous, deadline).await {
                Ok(acknowledgement) => acknowledgements.push(acknowledgement),
                Err(error) => {
                    ended = Err(error);
                    break;
                }
            }
            previous = Some(stored.event.id);
        }
        let count = acknowledgements.len();
        for (kept, acknowledgement) in acknowledgements.into_iter().enumerate() {
            if let Err(error) = line.acknowledged(acknowledgement, deadline).await {
                return (kept, Err(error));
            }
        }
        (count, ended)
    }

    /// What has become of an event, in words.
    fn refused(&self, event: &EventRecord, error: &PublishError) -> Error {
        let stream = &self.target.stream;
        match error.kind() {
            PublishErrorKind::TimedOut => {
                Error::new(ErrorKind::Unavailable, "JetStream does not acknowledge events in time")
            }
            PublishErrorKind::BrokenPipe | PublishErrorKind::MaxAckPending => {
                Error::new(ErrorKind::Unavailable, "the connection to the NATS server is lost")
            }
            PublishErrorKind::StreamNotFound => {
                let subject = self.subject(event);
                let words = format!("no stream takes `{subject}`; make `{stream}` with `{}.>`", self.target.subject);
                Error::new(ErrorKind::NotFound, words)
            }
            PublishErrorKind::WrongLastMessageId
            | PublishErrorKind::WrongLastSequence
            | PublishErrorKind::MaxPayloadExceeded
            | PublishErrorKind::Other => {
                let subject = self.subject(event);
                let words = format!("event {} for `{subject}` is not taken by `{stream}`: {error}", event.id);
                Error::new(ErrorKind::Conflict, words)
            }
        }
    }
}

/// A connection as it was when a batch began: what was published on it is not acknowledged on another one.
struct Line {
    client: Client,
    connects: u64,
}

impl Line {
    fn of(context: &Context) -> Self {
        let client = context.client();
        let connects = client.statistics().connects.load(Ordering::Relaxed);
        Self { client, connects }
    }

    /// Returns when it is broken.
    async fn broken(&self) {
        loop {
            sleep(LOOK).await;
            let connects = self.client.statistics().connects.load(Ordering::Relaxed);
            if self.client.connection_state() != State::Connected || connects != self.connects {
                return;
            }
        }
    }

    /// Waits until an event is kept.
    async fn acknowledged(&self, acknowledgement: PublishAckFuture, deadline: Instant) -> Result<(), PublishError> {
        tokio::select! {
            biased;
            answer = acknowledgement.into_future() => answer.map(drop),
            () = self.broken() => Err(PublishError::new(PublishErrorKind::BrokenPipe)),
            () = sleep_until(deadline) => Err(PublishError::new(PublishErrorKind::TimedOut)),
        }
    }
}

#[async_trait]
impl EventSink for JetStream {
    fn name(&self) -> &str {
        &self.name
    }

    async fn send(&self, events: &[StoredEvent]) -> (usize, Result<()>) {
        let deadline = Instant::now() + TIMEOUT;
        let mut link = self.link.lock().await;
        let context = match self.context(&mut link, deadline).await {
            Ok(context) => context,
            Err(error) => return (0, Err(error)),
        };
        let mut kept = 0;
        if !link.one_by_one {
            let (taken, ended) = self.at_once(&context, events, deadline).await;
            kept = taken;
            match (ended, events.get(kept)) {
                (Err(error), Some(next)) if error.kind() != PublishErrorKind::WrongLastMessageId => {
                    link.one_by_one = true;
                    return (kept, Err(self.refused(&next.event, &error)));
                }
                // Nothing before it was lost: somebody else's message came between.
                (Err(_), Some(_)) => {}
                (_, None) | (Ok(()), _) => return (kept, Ok(())),
            }
        }
        let line = Line::of(&context);
        for stored in events.iter().skip(kept) {
            if kept > 0 && Instant::now() >= deadline {
                return (kept, Ok(()));
            }
            let sent = match self.publish(&context, &stored.event, None, deadline).await {
                Ok(acknowledgement) => line.acknowledged(acknowledgement, deadline).await,
                Err(error) => Err(error),
            };
            if let Err(error) = sent {
                link.one_by_one = true;
                return (kept, Err(self.refused(&stored.event, &error)));
            }
            kept += 1;
        }
        link.one_by_one = false;
        (kept, Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use causeway_core::events::{Facts, Operation};

    use super::*;

    fn sink(login: Login) -> Outcome<JetStream> {
        JetStream::new(Target {
            url: "nats://127.0.0.1:1".to_owned(),
            stream: "CAUSEWAY".to_owned(),
            subject: "causeway.events".to_owned(),
            login,
            ca: None,
        })
    }

    #[test]
    fn subjects_name_the_tenant_and_the_type() {
        let sink = sink(Login::Nobody).unwrap();
        let event = Facts::of_gateway_in(&"acme".into(), "gw-1", Operation::Upload).event("file.uploaded");
        assert_eq!(sink.subject(&event), "causeway.events.acme.file.uploaded");
        let event = Facts::of_gateway("gw-1", Operation::Login).event("auth.failed");
        assert_eq!(sink.subject(&event), "causeway.events._.auth.failed");
        assert_eq!(sink.name(), "nats CAUSEWAY");
    }

    #[test]
    fn credentials_are_read_at_the_start() {
        // From the documentation of the client; the seed is nobody's.
        let text = "-----BEGIN NATS USER JWT-----\neyJ0eXAiOiJqd3QiLCJhbGciOiJlZDI1NTE5\n------END NATS USER JWT------\n\n\
                    -----BEGIN USER NKEY SEED-----\nSUAIO3FHUX5PNV2LQIIP7TZ3N4L7TX3W53MQGEIVYFIGA635OZCKEYHFLM\n\
                    ------END USER NKEY SEED------";
        assert!(sink(Login::Credentials(text.into())).is_ok());
        let failed = sink(Login::Credentials("nonsense".into())).unwrap_err();
        assert!(failed.message.starts_with("events.nats_credentials: "), "{}", failed.message);
        assert!(!failed.message.contains("nonsense"));
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_away() {
        let sink = sink(Login::Nobody).unwrap();
        let event = Facts::of_gateway_in(&"acme".into(), "gw-1", Operation::Upload).event("file.uploaded");
        let (kept, ended) = sink.send(&[StoredEvent { position: 1, event }]).await;
        assert_eq!((kept, ended.unwrap_err().kind()), (0, ErrorKind::Unavailable));
    }
}
