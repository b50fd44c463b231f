//! Events to a stream of NATS JetStream: core's [`EventSink`] port.
//!
//! JetStream keeps an event when it has acknowledged it, and drops one whose `Nats-Msg-Id` (the event's id) it has kept within the stream's
//! window of duplicates. Each is published when the one before is acknowledged, so that none is kept behind one that was lost, and the
//! order holds. `Nats-Expected-Stream` keeps another stream from taking them.
//!
//! Why there is no second one under way: what would keep the order is `Nats-Expected-Last-Msg-Id`, and in a stream with replicas a server (2.15.1)
//! takes a mismatch for a failed write and ends the stream. `Nats-Expected-Last-Sequence` is let down by whoever else publishes into
//! the stream: their message takes the number of the event that is refused, and the one behind that is kept.
//!
//! The stream is the operator's: the gateway neither makes nor changes one, and needs no right but to publish below its subject and
//! to hear the acknowledgements (`_INBOX.>`).

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
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

use crate::config::nats::{Login, Target};
use crate::failure::{Failure, Outcome};
use crate::trust;

/// How long connecting may take, and how long a batch goes on with another event.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long one acknowledgement may take.
const ACKNOWLEDGED: Duration = Duration::from_secs(5);
/// How often a silent server is asked whether it is still there.
const PING: Duration = Duration::from_secs(10);
/// How often it is looked whether the connection still stands, while an acknowledgement is waited for.
const LOOK: Duration = Duration::from_millis(100);
/// Commands that may wait for the connection: one event is under way at a time.
const WAITING: usize = 16;
/// In the place of the tenant where an event belongs to none; no tenant can have this name.
const NO_TENANT: &str = "_";

/// Sends to a stream.
pub struct JetStream {
    name: String,
    target: Target,
    options: ConnectOptions,
    /// The connection, once there is one; it is made again by the client itself where it breaks.
    link: Mutex<Option<Context>>,
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
            // The servers that are learned of come without a scheme, and would be spoken to in clear.
            .require_tls(target.ca.is_some() || target.url.starts_with("tls://"));
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
    async fn context(&self, link: &mut Option<Context>, deadline: Instant) -> Result<Context> {
        let away = |why: &dyn std::fmt::Display| Error::new(ErrorKind::Unavailable, format!("the NATS server: {why}"));
        let context = if let Some(context) = link.as_ref() {
            context.clone()
        } else {
            let connecting = self.options.clone().connect(self.target.url.as_str());
            let client = timeout_at(deadline, connecting)
                .await
                .map_err(|_| away(&"it does not answer in time"))?
                .map_err(|error| away(&error))?;
            let context = ContextBuilder::new().timeout(ACKNOWLEDGED).build(client);
            link.insert(context).clone()
        };
        // What is published now would wait in memory.
        if context.client().connection_state() != State::Connected {
            return Err(away(&"the connection is lost"));
        }
        Ok(context)
    }

    /// Publishes one, and waits until it is kept.
    async fn publish(&self, line: &Line, context: &Context, event: &EventRecord) -> Result<(), PublishError> {
        let by = Instant::now() + ACKNOWLEDGED;
        let message = PublishMessage::build()
            .payload(Bytes::from(event.body.clone()))
            .message_id(event.id.to_string())
            .expected_stream(&self.target.stream);
        let published = timeout_at(by, context.send_publish(self.subject(event), message)).await;
        let acknowledgement = published.unwrap_or_else(|_| Err(PublishError::new(PublishErrorKind::TimedOut)))?;
        let kept = line.acknowledged(acknowledgement, by).await?;
        // Older servers call one a duplicate that they have not kept yet, and may still lose.
        if kept.sequence == 0 { Err(PublishError::new(PublishErrorKind::Other)) } else { Ok(()) }
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
    async fn acknowledged(&self, acknowledgement: PublishAckFuture, by: Instant) -> Result<PublishAck, PublishError> {
        tokio::select! {
            biased;
            answer = acknowledgement.into_future() => answer,
            () = self.broken() => Err(PublishError::new(PublishErrorKind::BrokenPipe)),
            () = sleep_until(by) => Err(PublishError::new(PublishErrorKind::TimedOut)),
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
        let line = Line::of(&context);
        for (kept, StoredEvent { event, .. }) in events.iter().enumerate() {
            if kept > 0 && Instant::now() >= deadline {
                return (kept, Ok(()));
            }
            if let Err(error) = self.publish(&line, &context, event).await {
                return (kept, Err(self.refused(event, &error)));
            }
        }
        (events.len(), Ok(()))
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
