//! One control connection from its first byte to its last: greeting, TLS, the queue of commands, time-outs, shutdown.
//!
//! Commands are taken while something runs (RFC 959 section 4.1.3, RFC 1123 section 4.1.2.12): ABOR, STAT, NOOP and QUIT are answered at
//! once, others wait their turn in a short queue; when that is full the socket is not read until there is room.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use causeway_core::events::Operation;
use causeway_core::identity::{EndReason, Offence};
use causeway_core::{Error, ErrorKind, Session};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::control::{Control, Secured, SlowLine};
use crate::session::{Answer, Conversation, Running, Security, Step};
use crate::tls::Sessions;
use crate::wire::{Command, Line, Malformed, Reply, Verb, command};
use crate::{Start, verbs};

/// Commands that may wait while something runs.
const QUEUED: usize = 16;
/// Lines that are no commands before the connection is closed.
const MAX_NONSENSE: u32 = 20;
/// How long what has been said before the end of an upload is listened to: a client that never pauses is not waited for.
const CATCHING_UP: Duration = Duration::from_secs(1);
/// How long what a connection began may take to end once the client is gone.
const ENDING: Duration = Duration::from_secs(30);

/// Serves a connection until it ends.
pub(crate) async fn serve(
    mut talk: Conversation,
    mut control: Control,
    start: Start,
    shutdown: CancellationToken,
    cut: CancellationToken,
) {
    let peer = talk.peer;
    let ended = cut.run_until_cancelled(converse(&mut talk, &mut control, start, &shutdown)).await;
    match ended {
        Some(Ok(())) => control.close().await,
        Some(Err(error)) => tracing::debug!(%peer, %error, "an FTPS connection ended"),
        None => {}
    }
    // Nobody is blamed for what the gateway itself ended.
    if !shutdown.is_cancelled() {
        talk.settle();
    }
    if let Some(running) = &mut talk.running
        && running.endures
    {
        // As long as it goes on it takes the session's place: nobody begins one after the other by hanging up.
        let _ = cut.run_until_cancelled(&mut running.ended).await;
    } else if let Some(running) = &mut talk.running {
        // It does not outlive its control connection; after QUIT its end was awaited (RFC 959 section 4.1.1).
        running.abort.cancel();
        if timeout(ENDING, &mut running.ended).await.is_err() {
            tracing::error!(%peer, "a transfer of an ended connection does not end");
        }
    }
    talk.leave().await;
}

/// What happens next.
enum Event {
    Line(Option<Line>),
    Step(Step),
    Stranger(std::net::IpAddr),
    Late,
    /// A line took too long.
    SlowLine(SlowLine),
    Leaving,
    /// The gateway has ended the session.
    Dismissed(&'static str),
}

/// What a connection is at, beside what it has said.
struct Turns {
    /// When the time to log in began.
    opened: Instant,
    /// When something last happened.
    touched: Instant,
    queue: VecDeque<Command>,
    nonsense: u32,
    /// QUIT came.
    quitting: bool,
    /// The gateway is shutting down.
    leaving: bool,
    /// The gateway has ended the session, and why.
    dismissed: Option<&'static str>,
}

impl Turns {
    /// Whether the client has said its last word, though others may be answered before it.
    fn has_quit(&self) -> bool {
        self.quitting || self.queue.iter().any(|command| command.verb == Verb::Quit)
    }
}

async fn converse(
    talk: &mut Conversation,
    control: &mut Control,
    start: Start,
    shutdown: &CancellationToken,
) -> io::Result<()> {
    let now = Instant::now();
    let mut turns = Turns {
        opened: now,
        touched: now,
        queue: VecDeque::new(),
        nonsense: 0,
        quitting: false,
        leaving: false,
        dismissed: None,
    };
    if start == Start::Implicit {
        secure(talk, control, &turns).await?;
        if let Security::Tls { private, sized, .. } = &mut talk.security {
            (*private, *sized) = (true, true);
        }
    }
    let banner = talk.terms.config.banner.clone();
    let greeting = if banner.is_empty() { "FTP server ready".to_owned() } else { banner };
    control.send(&Reply::new(220, greeting)).await?;
    loop {
        if talk.running.is_none() {
            if turns.quitting {
                return Ok(());
            }
            if let Some(why) = turns.dismissed {
                return control.send(&Reply::new(421, why)).await;
            }
            if turns.leaving {
                return control.send(&Reply::new(421, "the gateway is shutting down; come back later")).await;
            }
            if let Some(command) = turns.queue.pop_front() {
                if !answer(talk, control, &mut turns, command).await? {
                    return Ok(());
                }
                continue;
            }
        }
        match next(talk, control, &turns, shutdown).await? {
            Event::Line(None) => return Ok(()),
            Event::Line(Some(line)) => {
                turns.touched = Instant::now();
                if !take(talk, control, &mut turns, line).await? {
                    return Ok(());
                }
            }
            Event::Step(Step::Opening(reply)) => control.send(&reply).await?,
            Event::Step(Step::Asked(answer)) => {
                // Where the client is gone the answer is not given, which is a no: nothing is finished that nobody awaits.
                if !catch_up(talk, control, &mut turns).await? {
                    return Ok(());
                }
                let aborting = talk.running.as_ref().is_some_and(|running| running.aborts > 0);
                // Its task ends either way.
                let _ = answer.send(!aborting);
            }
            Event::Step(Step::Ended(ended)) => {
                turns.touched = Instant::now();
                let running = talk.running.take();
                if let (Some(running), Some(refusal)) = (&running, ended.refusal) {
                    talk.refuse(Operation::Transfer, &running.what, &refusal).await;
                }
                control.send(&ended.reply).await?;
                // Each command has its reply, the second ABOR of an impatient client too.
                for _ in 0..running.map_or(0, |running| running.aborts) {
                    control.send(&Reply::new(226, "ABOR is done")).await?;
                }
            }
            Event::Stranger(address) => talk.record_stranger(address).await,
            Event::Late => {
                talk.blame.add(Offence::GraceExceeded);
                let inside = talk.is_inside();
                let why = if inside { "the connection was idle for too long" } else { "the login took too long" };
                return control.send(&Reply::new(421, why)).await;
            }
            Event::SlowLine(slow) => {
                talk.blame.add(Offence::GraceExceeded);
                return control.send(&Reply::new(421, slow.to_string())).await;
            }
            Event::Leaving => turns.leaving = true,
            Event::Dismissed(why) => {
                turns.dismissed = Some(why);
                match &talk.running {
                    // What comes to its end in any case is not waited for.
                    Some(running) if running.endures => return control.send(&Reply::new(421, why)).await,
                    // What is being committed comes to its end all the same.
                    Some(running) => running.abort.cancel(),
                    None => {}
                }
            }
        }
    }
}

/// Waits for what happens next.
async fn next(
    talk: &mut Conversation,
    control: &mut Control,
    turns: &Turns,
    shutdown: &CancellationToken,
) -> io::Result<Event> {
    let busy = talk.running.is_some();
    let deadline = if talk.is_inside() {
        (!busy).then(|| turns.touched + talk.terms.config.idle_timeout)
    } else {
        Some(turns.opened + talk.terms.config.login_grace)
    };
    // Nothing is answered between a transfer's command and its first reply, which is soon.
    let opening = talk.running.as_ref().is_some_and(|running| running.opening.is_some());
    let reads = !turns.has_quit() && turns.dismissed.is_none() && !opening && (!busy || turns.queue.len() < QUEUED);
    let late = async {
        match deadline {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    };
    let ended = ended(talk.session_of_now());
    let (running, strangers) = talk.waits();
    tokio::select! {
        biased;
        step = Running::step(running) => Ok(Event::Step(step)),
        () = shutdown.cancelled(), if !turns.leaving => Ok(Event::Leaving),
        why = ended, if turns.dismissed.is_none() => Ok(Event::Dismissed(why)),
        address = Conversation::stranger(strangers) => Ok(Event::Stranger(address)),
        line = control.next(), if reads => match line {
            Err(error) => match error.downcast::<SlowLine>() {
                Ok(slow) => Ok(Event::SlowLine(slow)),
                Err(error) => Err(error),
            },
            Ok(line) => Ok(Event::Line(line)),
        },
        () = late => Ok(Event::Late),
    }
}

/// Waits until the gateway ends the session; for ever where there is none. The reason.
async fn ended(session: Option<Arc<Session>>) -> &'static str {
    let Some(session) = session else { return std::future::pending().await };
    session.ended().cancelled().await;
    session.end_reason().map_or("the gateway has ended this session", EndReason::sentence)
}

/// Takes a line: a command is answered, or waits its turn. False where the connection is to end.
async fn take(talk: &mut Conversation, control: &mut Control, turns: &mut Turns, line: Line) -> io::Result<bool> {
    let parsed = match line {
        Line::TooLong => Err(Reply::new(500, "the line is too long")),
        Line::Text(text) if text.is_empty() => return Ok(true),
        Line::Text(text) => command::parse(&text).map_err(|why| match why {
            Malformed::NoVerb | Malformed::Unknown => {
                Reply::new(500, "this is no command that is known here; HELP lists them")
            }
            Malformed::NotHere => Reply::new(502, "this command does not exist here"),
        }),
    };
    let command = match parsed {
        Ok(command) => command,
        Err(refusal) => {
            turns.nonsense += 1;
            if turns.nonsense >= MAX_NONSENSE {
                let error = Error::new(ErrorKind::InvalidArgument, "too many lines that are no commands");
                talk.refuse(Operation::Login, "", &error).await;
                control.send(&Reply::new(421, "too many lines that are no commands; goodbye")).await?;
                return Ok(false);
            }
            control.send(&refusal).await?;
            return Ok(true);
        }
    };
    let Some(running) = &mut talk.running else { return answer(talk, control, turns, command).await };
    let turn = turns.queue.is_empty() && !running.quiet;
    match command.verb {
        Verb::Abor => {
            running.aborts = running.aborts.saturating_add(1);
            running.abort.cancel();
        }
        Verb::Quit if turn => {
            turns.quitting = true;
            // Whether it is still there to hear it or not: it has said that what is under way may end.
            let _ = control.send(&Reply::new(221, "goodbye; what is under way comes to its end first")).await;
        }
        Verb::Noop if turn => control.send(&Reply::new(200, "still here; a transfer is under way")).await?,
        Verb::Stat if turn && command.argument.is_empty() => {
            let reply = verbs::stat::of_session(talk);
            control.send(&reply).await?;
        }
        _ => turns.queue.push_back(command),
    }
    Ok(true)
}

/// Takes the lines that the client has sent until now. False, or an error, where the client is gone: it gets no 226, so that
/// what it was sending is incomplete, however its data connection ended. Libraries end TLS in order when a program gives up
/// or dies, so that the end of the data alone is no word; QUIT is one.
async fn catch_up(talk: &mut Conversation, control: &mut Control, turns: &mut Turns) -> io::Result<bool> {
    let until = Instant::now() + CATCHING_UP;
    while !turns.has_quit() && turns.queue.len() < QUEUED && Instant::now() < until {
        let Some(line) = control.next_of_now().await else { break };
        let Some(line) = line? else { return Ok(false) };
        turns.touched = Instant::now();
        if !take(talk, control, turns, line).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Answers a command. False where the connection is to end.
async fn answer(
    talk: &mut Conversation,
    control: &mut Control,
    turns: &mut Turns,
    command: Command,
) -> io::Result<bool> {
    let was_inside = talk.is_inside();
    if talk.has_lost_its_certificate().await {
        control.send(&Reply::new(421, "the client certificate is not valid any more; log in with another one")).await?;
        return Ok(false);
    }
    match verbs::dispatch(talk, command).await {
        Ok(Answer::Reply(reply)) | Err(reply) => control.send(&reply).await?,
        Ok(Answer::Begun(running)) => talk.running = Some(running),
        Ok(Answer::Close(reply)) => {
            control.send(&reply).await?;
            return Ok(false);
        }
        Ok(Answer::Secure(reply)) => {
            // What came behind AUTH in clear could be anybody's (RFC 4217 section 15.2).
            let injected = control.discard() || !turns.queue.is_empty();
            turns.queue.clear();
            if injected {
                let error =
                    Error::new(ErrorKind::PermissionDenied, "commands that came in clear behind AUTH were thrown away");
                talk.refuse(Operation::Login, "", &error).await;
            }
            control.send(&reply).await?;
            secure(talk, control, turns).await?;
            talk.forget_clear();
        }
    }
    turns.touched = Instant::now();
    turns.opened += std::mem::take(&mut talk.queued);
    if was_inside && !talk.is_inside() {
        // REIN, or another USER: there is time for another login.
        turns.opened = turns.touched;
    }
    Ok(true)
}

async fn secure(talk: &mut Conversation, control: &mut Control, turns: &Turns) -> io::Result<()> {
    let sessions = Sessions::new(&talk.terms.tls())?;
    let deadline = turns.opened + talk.terms.config.login_grace;
    let secured = timeout_at(deadline, control.secure(sessions.control.clone())).await;
    let secured = secured.unwrap_or_else(|_| {
        talk.blame.add(Offence::GraceExceeded);
        Err(io::ErrorKind::TimedOut.into())
    })?;
    let Secured { cipher, certificate } = secured;
    if talk.terms.config.certificate_required && certificate.is_none() {
        return Err(io::Error::other("the client showed no certificate"));
    }
    talk.security = Security::Tls { sessions, cipher, certificate, sized: false, private: false };
    Ok(())
}
