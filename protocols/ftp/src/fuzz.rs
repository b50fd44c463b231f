//! What the fuzz targets call (`fuzz/` in the repository). Each function panics when a rule is broken.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use causeway_core::{Gateway, Session};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::control::Control;
use crate::session::{Conversation, Security};
use crate::wire::facts::FactSet;
use crate::wire::lines::MAX_LINE;
use crate::wire::{Line, Lines, Reply, Verb, address, command, moment, pattern, reply};
use crate::{DataRules, Ends, FtpsConfig, NoForwarders, Start, Terms, connection};

/// Lines as commands: what is read of one says what was sent, and neither an argument's own parser nor a reply that repeats
/// it can be made to panic or to end a line early.
pub fn commands(data: &[u8]) {
    for line in data.split(|byte| *byte == b'\n') {
        let Ok(read) = command::parse(line) else { continue };
        let word: Vec<u8> = line.iter().take_while(|byte| **byte != b' ').copied().collect();
        let old = [("XPWD", "PWD"), ("XCWD", "CWD"), ("XCUP", "CDUP"), ("XMKD", "MKD"), ("XRMD", "RMD")];
        let word = String::from_utf8_lossy(&word).to_ascii_uppercase();
        let word = old.iter().find(|(from, _)| *from == word).map_or(word.as_str(), |(_, to)| to);
        assert_eq!(read.verb.word(), word, "it is the verb that was sent");
        let behind = line.iter().position(|byte| *byte == b' ').and_then(|at| line.get(at + 1..)).unwrap_or_default();
        assert_eq!(read.argument, behind, "the argument is all that stands behind one space");

        let text = String::from_utf8_lossy(&read.argument);
        if let Some(at) = address::parse_port(&text)
            && let SocketAddr::V4(v4) = at
        {
            let again = address::format_pasv(*v4.ip(), v4.port());
            assert_eq!(address::parse_port(&again), Some(at), "an address is written as it is read");
        }
        let _ = address::parse_eprt(&text);
        if let Some(at) = moment::parse(&text) {
            assert_eq!(moment::parse(&moment::stamp(at)), Some(at - at.rem_euclid(1_000_000)), "so is a time");
        }
        let facts = FactSet::parse(&text);
        assert_eq!(FactSet::parse(&facts.names()), facts, "so are facts");
        let (pattern, name) = text.split_once(' ').unwrap_or((&text, &text));
        if !pattern::is_pattern(pattern) {
            assert_eq!(pattern::matches(pattern, name), pattern == name);
        }
        for reply in [
            Reply::new(550, text.to_string()),
            Reply::lines(211, text.to_string(), vec![text.to_string(), reply::quoted(&text)], text.to_string()),
        ] {
            assert_eq!(replies(&reply.encode()), [reply.code], "a reply stays one, whatever it repeats");
        }
    }
}

/// Bytes of a control connection, given to the reader of lines at once and in pieces: both must find the same lines, in
/// bounds, and answer Telnet options in whole commands that refuse.
pub fn lines(data: &[u8]) {
    let Some((&step, stream)) = data.split_first() else { return };
    let mut whole = Lines::default();
    whole.push(stream);
    let mut pieces = Lines::default();
    let mut answers = Vec::new();
    for piece in stream.chunks(usize::from(step) + 1) {
        pieces.push(piece);
        while let Some(line) = pieces.next_line() {
            assert_eq!(whole.next_line(), Some(line.clone()), "cut in pieces it is another line");
            if let Line::Text(text) = line {
                assert!(text.len() <= MAX_LINE && !text.contains(&b'\n'), "a line is a line");
            }
        }
        answers.extend(pieces.take_answers());
    }
    assert_eq!(whole.next_line(), None, "in pieces there are fewer lines");
    assert_eq!(whole.is_partial(), pieces.is_partial());
    assert_eq!(without_telnet(&answers), b"", "only options are answered, and each is refused");
    // What waits to be sent is bounded; of what comes at once some may stay without an answer.
    assert!(answers.starts_with(&whole.take_answers()));
    assert_eq!(pieces.clear(), whole.clear());
    assert!(!pieces.is_partial() && pieces.next_line().is_none(), "what is thrown away is gone");
}

/// What is there without IAC WONT and IAC DONT and their options.
fn without_telnet(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some((first, rest)) = bytes.split_first() {
        if let [255, 252 | 254, _, rest @ ..] = bytes {
            bytes = rest;
        } else {
            out.push(*first);
            bytes = rest;
        }
    }
    out
}

/// The codes of the replies in a stream, which must hold whole replies and nothing else (RFC 959 section 4.2).
fn replies(stream: &[u8]) -> Vec<u16> {
    let text = std::str::from_utf8(stream);
    assert!(text.is_ok(), "replies are UTF-8");
    let (mut codes, mut open) = (Vec::new(), None);
    for line in text.unwrap_or_default().split_inclusive("\r\n") {
        let said = line.strip_suffix("\r\n");
        assert!(said.is_some_and(|said| !said.contains(char::is_control)), "half a line, or more than one: {line:?}");
        let said = said.unwrap_or_default();
        let code = said.get(..3).and_then(|code| code.parse::<u16>().ok()).filter(|code| (100..600).contains(code));
        match (open, code, said.get(3..4)) {
            (Some(begun), Some(code), Some(" ")) if begun == code => {
                codes.push(code);
                open = None;
            }
            // A line in the middle cannot be taken for the last one: it begins with a space.
            (Some(_), _, _) => assert!(said.starts_with(' '), "a line of a longer reply begins with a space: {said:?}"),
            (None, Some(code), Some(" ")) => codes.push(code),
            (None, Some(code), Some("-")) => open = Some(code),
            (None, _, _) => assert!(said.is_empty() && line.is_empty(), "no reply: {said:?}"),
        }
    }
    assert_eq!(open, None, "half a reply");
    codes
}

/// There is no certificate: in memory TLS is taken for granted.
#[derive(Debug)]
struct NoCertificate;

impl ResolvesServerCert for NoCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

/// What sessions on a gateway share.
pub struct Place {
    terms: Arc<Terms>,
}

impl Place {
    /// On a gateway; in active mode too, though nobody is connected to.
    ///
    /// # Errors
    /// None that is the client's: rustls does not build its settings.
    pub fn new(gateway: Arc<Gateway>) -> Result<Self, rustls::Error> {
        const PORTS: RangeInclusive<u16> = 1..=1;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(NoCertificate));
        let long = Duration::from_hours(1);
        let config = FtpsConfig {
            certificate_required: false,
            forwarders: Arc::new(NoForwarders),
            banner: String::new(),
            passive_ports: PORTS,
            passive_address: None,
            passive_addresses: Vec::new(),
            active_mode: false,
            mode_z: true,
            data: DataRules { session_reuse: true, close_notify: true },
            logins: std::collections::HashMap::new(),
            login_grace: long,
            line_timeout: long,
            idle_timeout: long,
            stall_timeout: long,
            data_timeout: long,
            max_auth_tries: 3,
        };
        let ports = crate::data::ports::Ports::new(PORTS);
        Ok(Self { terms: Arc::new(Terms { gateway, config, ports, tls: watch::channel(Arc::new(tls)).1 }) })
    }

    /// A whole session on a pipe in memory, in which data connections are pipes, too. The first byte says how: whether
    /// the client has secured the connection already, whether it is logged in (as `session`) with PROT P, in what pieces its
    /// bytes come, and whether it reads its downloads. Then come the bytes of the control connection; what stands behind
    /// three NULs, where they are, is the content of every upload. Whatever comes, the session ends, and answers in whole
    /// replies: each line once at the most, beside the first replies of transfers.
    pub async fn session(&self, session: Option<Arc<Session>>, data: &[u8]) {
        let Some((&how, script)) = data.split_first() else { return };
        let split = script.windows(3).position(|three| three == [0, 0, 0]);
        let (script, content) = match split {
            Some(at) => (script.get(..at).unwrap_or_default(), script.get(at + 3..).unwrap_or_default()),
            None => (script, &b"one\r\ntwo\n"[..]),
        };
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000));
        let mut talk = Conversation::new(self.terms.clone(), Ends { peer, local: peer, reached: peer }, Box::new(()));
        let (secured, inside) = (how & 1 == 1, how & 2 == 2);
        if inside
            && let Some(session) = session
            && let Ok(sessions) = crate::tls::Sessions::new(&self.terms.tls())
        {
            talk.security = Security::Tls { sessions, cipher: None, certificate: None, sized: true, private: true };
            talk.enter(session);
        }
        let far_ends = Arc::new(Mutex::new(Vec::new()));
        talk.memory = Some(data_connections(content.to_vec(), how & 4 == 4, far_ends.clone()));

        let (control, mut client) = duplex(64 * 1024);
        let start = if secured && !inside { Start::Implicit } else { Start::Explicit };
        let (shutdown, cut) = (CancellationToken::new(), CancellationToken::new());
        let serving =
            connection::serve(talk, Control::in_memory(control, Duration::from_hours(1)), start, shutdown, cut);
        let talking = async {
            let step = (usize::from(how >> 3) + 1) * 11;
            let (mut reader, mut writer) = tokio::io::split(&mut client);
            let mut said = Vec::new();
            let sending = async {
                for piece in script.chunks(step) {
                    // A session that has ended takes no more.
                    if writer.write_all(piece).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                let _ = writer.shutdown().await;
            };
            let ((), read) = tokio::join!(sending, reader.read_to_end(&mut said));
            assert!(read.is_ok());
            said
        };
        let ((), said) = tokio::join!(serving, talking);
        let far_ends = std::mem::take(&mut *far_ends.lock().unwrap_or_else(PoisonError::into_inner));
        for far_end in far_ends {
            // What the session has left, it has closed.
            let ended: Result<(), _> = far_end.await;
            assert!(ended.is_ok());
        }

        let mut lines = Lines::default();
        lines.push(script);
        let mut asked = 0;
        while let Some(line) = lines.next_line() {
            asked += usize::from(line != Line::Text(Vec::new()));
        }
        let codes = replies(&without_telnet(&said));
        assert_eq!(codes.first(), Some(&220), "the greeting comes first");
        let finals = codes.iter().filter(|code| **code >= 200).count();
        // The greeting; and 421 may end the connection without having been asked.
        assert!(finals <= asked + 2, "{finals} replies to {asked} lines: {codes:?}");
        if !inside
            && !secured
            && !script.to_ascii_uppercase().windows(4).any(|word| word == Verb::Auth.word().as_bytes())
        {
            let harmless = [220, 221, 200, 211, 214, 215, 421, 500, 501, 502, 503, 530];
            assert!(codes.iter().all(|code| harmless.contains(code)), "in clear nothing is done: {codes:?}");
        }
    }
}

/// The far ends of data connections: each sends its content and closes, and reads what comes, or does neither.
fn data_connections(
    content: Vec<u8>,
    reads: bool,
    far_ends: Arc<Mutex<Vec<JoinHandle<()>>>>,
) -> Box<dyn FnMut() -> DuplexStream + Send + Sync> {
    Box::new(move || {
        let (near, far) = duplex(4096);
        let content = content.clone();
        let work = tokio::spawn(async move {
            let (mut reader, mut writer) = tokio::io::split(far);
            let sending = async {
                let _ = writer.write_all(&content).await;
                let _ = writer.shutdown().await;
            };
            let taking = async {
                let mut taken = Vec::new();
                if reads {
                    let _ = reader.read_to_end(&mut taken).await;
                }
            };
            tokio::join!(sending, taking);
        });
        far_ends.lock().unwrap_or_else(PoisonError::into_inner).push(work);
        near
    })
}
