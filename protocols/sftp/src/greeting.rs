//! What a client says of itself in clear, before the first key exchange: its identification (RFC 4253 section 4.2) and
//! its lists of algorithms (`SSH_MSG_KEXINIT`, section 7.1). russh tells neither to the code that authenticates, and the
//! audit trail wants both, so they are read on their way in.

use std::sync::{Arc, OnceLock};

/// Longest identification line (RFC 4253 section 4.2).
const MAX_LINE: usize = 255;
/// No client's first packet is longer (RFC 4253 section 6.1).
const MAX_BYTES: usize = MAX_LINE + 35_000;
const KEXINIT: u8 = 20;

/// What was learned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// The identification, printable ASCII only.
    pub(crate) client_version: Option<String>,
    /// The cipher that the negotiation comes to (RFC 4253 section 7.1: the client's first that the server has too).
    pub(crate) cipher: Option<String>,
}

/// Reads along until both are known.
pub(crate) struct Listener {
    seen: Vec<u8>,
    ciphers: Arc<[&'static str]>,
    heard: Arc<OnceLock<Greeting>>,
}

impl Listener {
    /// Tells `heard` what was learned; `ciphers` are the server's.
    pub(crate) fn new(ciphers: Arc<[&'static str]>, heard: Arc<OnceLock<Greeting>>) -> Self {
        Self { seen: Vec::new(), ciphers, heard }
    }

    /// Takes what came in; false when there is no need to listen any more.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> bool {
        self.seen.extend_from_slice(bytes);
        let parsed = parse(&self.seen, &self.ciphers);
        let done = parsed.cipher.is_some() || self.seen.len() > MAX_BYTES;
        if done {
            let _ = self.heard.set(parsed);
        }
        !done
    }
}

fn parse(seen: &[u8], ours: &[&'static str]) -> Greeting {
    let mut greeting = Greeting::default();
    let Some(end) = seen.iter().take(MAX_LINE + 1).position(|byte| *byte == b'\n') else { return greeting };
    let line = seen.get(..end).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    greeting.client_version =
        Some(line.iter().map(|byte| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '?' }).collect());
    greeting.cipher = seen.get(end + 1..).and_then(|packet| cipher(packet, ours)).map(str::to_owned);
    greeting
}

/// The cipher that is agreed on in the packet that begins here.
fn cipher(packet: &[u8], ours: &[&'static str]) -> Option<&'static str> {
    let (length, rest) = number(packet)?;
    let payload = rest.get(..length)?;
    let (kind, lists) = payload.get(1..)?.split_first()?;
    if *kind != KEXINIT {
        return None;
    }
    // Sixteen bytes of cookie, then key exchange, host key, cipher to the server.
    let mut lists = lists.get(16..)?;
    for _ in 0..2 {
        (_, lists) = list(lists)?;
    }
    let (theirs, _) = list(lists)?;
    theirs.split(|byte| *byte == b',').find_map(|name| ours.iter().copied().find(|own| own.as_bytes() == name))
}

fn list(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = number(input)?;
    rest.split_at_checked(length)
}

fn number(input: &[u8]) -> Option<(usize, &[u8])> {
    let (bytes, rest) = input.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*bytes) as usize, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hello(line: &str, lists: &[&str]) -> Vec<u8> {
        let mut payload = vec![4, KEXINIT];
        payload.extend_from_slice(&[7; 16]);
        for list in lists {
            payload.extend_from_slice(&(list.len() as u32).to_be_bytes());
            payload.extend_from_slice(list.as_bytes());
        }
        payload.extend_from_slice(&[0; 9]);
        let mut all = line.as_bytes().to_vec();
        all.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        all.extend_from_slice(&payload);
        all
    }

    fn listen(bytes: &[u8], step: usize) -> Option<Greeting> {
        let heard = Arc::new(OnceLock::new());
        let mut listener = Listener::new(Arc::from(["aes128-gcm@openssh.com", "aes256-ctr"]), heard.clone());
        let _ = bytes.chunks(step).all(|chunk| listener.hear(chunk));
        heard.get().cloned()
    }

    #[test]
    fn version_and_cipher_are_heard() {
        let bytes =
            hello("SSH-2.0-Test_1 \u{e9}\r\n", &["x25519", "ed25519", "none-such,aes256-ctr,aes128-gcm@openssh.com"]);
        for step in [1, 7, 4096] {
            let greeting = listen(&bytes, step).unwrap();
            assert_eq!(greeting.client_version.as_deref(), Some("SSH-2.0-Test_1 ??"));
            assert_eq!(greeting.cipher.as_deref(), Some("aes256-ctr"));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), step in 1usize..50) {
            let _ = listen(&bytes, step);
            let mut all = b"SSH-2.0-x\r\n".to_vec();
            all.extend_from_slice(&bytes);
            let _ = listen(&all, step);
        }
    }
}
