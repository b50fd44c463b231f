//! Receives the body of a request as a part of an upload: streamed, never held whole, with the digest that was announced
//! of it (RFC 9530; tus 1.0.0, "Checksum").

use causeway_core::transfer::{Incomplete, Part};
use causeway_core::{Error, ErrorKind};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::body::BodyReader;
use crate::interim::Interim;
use crate::problem::{HttpFault, Problem};
use crate::resumable::tell_progress;

/// A digest that a body must have.
pub enum Announced {
    /// SHA-256.
    Sha256([u8; 32]),
    /// SHA-1, which tus clients may use against faults of the line.
    Sha1([u8; 20]),
}

enum Running {
    Sha256(Sha256, [u8; 32]),
    Sha1(Sha1, [u8; 20]),
}

impl Running {
    fn new(announced: Announced) -> Self {
        match announced {
            Announced::Sha256(digest) => Self::Sha256(Sha256::new(), digest),
            Announced::Sha1(digest) => Self::Sha1(Sha1::new(), digest),
        }
    }

    fn update(&mut self, data: &[u8]) {
        match self {
            Self::Sha256(hash, _) => hash.update(data),
            Self::Sha1(hash, _) => hash.update(data),
        }
    }

    fn matches(self) -> bool {
        match self {
            Self::Sha256(hash, digest) => hash.finalize().as_slice() == digest,
            Self::Sha1(hash, digest) => hash.finalize().as_slice() == digest,
        }
    }
}

/// Takes a whole body into a part. `fill`: whether it must have as many bytes as the part; otherwise it may have fewer.
/// With a digest, or where the part is a chunk, nothing is kept of what is not whole and right.
pub async fn receive(
    part: Part,
    body: &mut BodyReader,
    announced: Option<Announced>,
    fill: bool,
) -> Result<Incomplete, Problem> {
    Receiving::default().receive(part, body, announced, fill).await
}

/// What else goes on while a body is received.
#[derive(Debug, Default)]
pub struct Receiving {
    /// Cancelled where another request takes its place: what came is kept then, and the client told `Conflict`.
    pub taken: Option<CancellationToken>,
    /// Who is told how far it has come, each time that it is safe.
    pub interim: Option<Interim>,
}

impl Receiving {
    async fn next(&self, body: &mut BodyReader) -> Result<Option<bytes::Bytes>, Error> {
        let Some(taken) = &self.taken else { return body.next().await };
        tokio::select! {
            biased;
            () = taken.cancelled() => Err(Error::new(
                ErrorKind::Conflict,
                "another request to this upload came meanwhile; ask where to go on",
            )),
            next = body.next() => next,
        }
    }

    /// See [`receive`].
    pub async fn receive(
        &self,
        part: Part,
        body: &mut BodyReader,
        announced: Option<Announced>,
        fill: bool,
    ) -> Result<Incomplete, Problem> {
        let mut part = part;
        let (start, end) = part.range();
        let room = end - start;
        match body.declared() {
            Some(declared) if declared > room => return Err(too_long(room)),
            Some(declared) if fill && declared < room => return Err(too_short().into()),
            _ => {}
        }
        let mut running = announced.map(Running::new);
        if running.is_some() || body.is_pending() {
            part.all_or_nothing();
        }
        let (mut taken, mut safe) = (0, start);
        loop {
            let data = match self.next(body).await {
                Ok(Some(data)) => data,
                Ok(None) => break,
                Err(error) => {
                    part.end().await;
                    return Err(error.into());
                }
            };
            taken += data.len() as u64;
            if taken > room {
                part.end().await;
                return Err(too_long(room));
            }
            if let Some(running) = &mut running {
                running.update(&data);
            }
            if let Err(error) = part.write(data).await {
                part.end().await;
                return Err(error.into());
            }
            if let Some(interim) = &self.interim
                && part.range().0 != safe
            {
                safe = part.range().0;
                tell_progress(interim, safe);
            }
        }
        if fill && taken < room {
            part.end().await;
            return Err(too_short().into());
        }
        if running.is_some_and(|running| !running.matches()) {
            part.end().await;
            return Err(Error::new(
                ErrorKind::DigestMismatch,
                "the body does not have the announced digest; nothing of it was kept, send it again",
            )
            .into());
        }
        Ok(part.finish().await?)
    }
}

fn too_long(room: u64) -> Problem {
    Problem::http(HttpFault::BodyTooLarge).saying(format!("the body has more than the {room} bytes that belong here"))
}

fn too_short() -> Error {
    Error::new(ErrorKind::Incomplete, "the body has fewer bytes than belong here; send it again, whole")
}
