//! What runs beside the control connection, each in a task of its own: uploads, downloads, listings, digests.

pub(crate) mod digest;
pub(crate) mod download;
pub(crate) mod listing;
pub(crate) mod upload;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use causeway_core::identity::{AuthMethod, Factor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use crate::data::deflate::{Packer, Unpacker};
use crate::data::outgoing::Parting;
use crate::data::{Broken, Incoming, Opening, Outgoing};
use crate::session::{Conversation, Ended, Mode, Question, Running, Security, Signal, Type};
use crate::tls::Way;
use crate::wire::Reply;
use crate::wire::ascii::{FromWire, ToWire};

/// What a transfer needs of the control connection.
pub(crate) struct Ticket {
    opening: Opening,
    ascii: bool,
    mode: Mode,
    level: u32,
    notify: bool,
    stall: std::time::Duration,
    lingering: Arc<Semaphore>,
    moved: Arc<AtomicU64>,
    given: oneshot::Receiver<()>,
    question: Question,
}

impl Conversation {
    /// Takes the data connection that was agreed on, for a transfer; refused where there is none, or where it would go
    /// in clear. `listing`: listings are text whatever TYPE says.
    pub(crate) fn ticket(&mut self, listing: bool) -> Result<Ticket, Reply> {
        let inside = self.inside()?;
        let rules = inside.rules;
        let certified = matches!(inside.session.auth_method, AuthMethod::Login(by) if by.has(Factor::Certificate));
        let Security::Tls { sessions, certificate, private, .. } = &self.security else {
            return Err(Reply::new(530, "secure the connection first with AUTH TLS"));
        };
        if !private {
            return Err(Reply::new(521, "data connections must be secured; send PBSZ 0 and PROT P first"));
        }
        let sessions = sessions.of_client(certificate.clone().filter(|_| certified));
        let channel = self.channel.take().ok_or_else(|| Reply::new(425, "send PASV or EPSV first"))?;
        let (go_on, given) = Signal::new();
        let config = &self.terms.config;
        Ok(Ticket {
            opening: Opening {
                channel,
                sessions,
                resume: rules.session_reuse,
                limit: config.data_timeout,
                abort: Self::abort_token(),
                go_on,
            },
            ascii: !listing && self.parameters.kind == Type::Ascii,
            mode: self.parameters.mode,
            level: self.parameters.level,
            notify: rules.close_notify,
            stall: config.stall_timeout,
            lingering: self.lingering.clone(),
            moved: Arc::default(),
            given,
            question: Question::new().0,
        })
    }
}

impl Ticket {
    async fn outgoing(self) -> Result<Outgoing, Broken> {
        let abort = self.opening.abort.clone();
        Ok(Outgoing {
            stream: self.opening.run(Way::Out).await?,
            ascii: self.ascii.then(ToWire::default),
            packer: (self.mode == Mode::Deflate).then(|| Packer::new(self.level)),
            stall: self.stall,
            abort,
            moved: self.moved,
        })
    }

    async fn incoming(self) -> Result<(Incoming, Question), Broken> {
        let abort = self.opening.abort.clone();
        let incoming = Incoming {
            stream: self.opening.run(Way::In).await?,
            ascii: self.ascii.then(FromWire::default),
            unpacker: (self.mode == Mode::Deflate).then(Unpacker::new),
            notify: self.notify,
            stall: self.stall,
            abort,
            moved: self.moved,
            piece: None,
            packed: Bytes::new(),
            ended: false,
            failure: None,
        };
        Ok((incoming, self.question))
    }

    /// Runs the work beside the control connection: `opening` is its first reply, and it gives the reply of its end, and a data connection that waits for
    /// the client to close it.
    pub(crate) fn begin<W>(mut self, what: String, opening: Reply, work: impl FnOnce(Self) -> W) -> Running
    where
        W: Future<Output = (Reply, Option<Parting>)> + Send + 'static,
    {
        let (moved, abort, lingering) = (self.moved.clone(), self.opening.abort.clone(), self.lingering.clone());
        // This end stays here; the ticket keeps one that says nothing.
        let given = std::mem::replace(&mut self.given, Signal::new().1);
        let (question, asked) = Question::new();
        self.question = question;
        let mut running = run(what, moved, abort, Some(lingering), work(self));
        running.opening = Some((given, opening));
        running.asked = Some(asked);
        running
    }
}

/// Runs work that has no data connection.
pub(crate) fn run<W>(
    what: String,
    moved: Arc<AtomicU64>,
    abort: CancellationToken,
    lingering: Option<Arc<Semaphore>>,
    work: W,
) -> Running
where
    W: Future<Output = (Reply, Option<Parting>)> + Send + 'static,
{
    let (tell, ended) = oneshot::channel();
    tokio::spawn(async move {
        let (reply, parting) = work.await;
        // Where the control connection is gone there is nobody to tell.
        let refusal = Broken::refusal_of(&reply);
        drop(tell.send(Ended { reply, refusal }));
        let place: Option<OwnedSemaphorePermit> = lingering.and_then(|l| l.try_acquire_owned().ok());
        if let (Some(parting), Some(_place)) = (parting, place) {
            parting.linger().await;
        }
    });
    Running { what, moved, abort, ended, opening: None, asked: None, aborts: 0, quiet: false, endures: false }
}

/// Runs work that says nothing before its one reply, so that the client is heard meanwhile: its ABOR, and that it is gone.
pub(crate) fn run_quietly(
    what: String,
    abort: CancellationToken,
    work: impl Future<Output = Reply> + Send + 'static,
) -> Running {
    let running = run(what, Arc::default(), abort, None, async move { (work.await, None) });
    Running { quiet: true, ..running }
}
