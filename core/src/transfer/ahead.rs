//! Reading ahead for one download. Who reads a file from front to back finds the next piece read already; who reads here
//! and there gets what was asked for and nothing more. What a download holds is bounded, and so is how many of a
//! session's downloads read ahead at once: the others read what they are asked for.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::content::Reader;
use crate::error::Result;
use crate::piece::PIECE;

/// From which piece on the next one is read while this one is being sent: below, that is more effort than waiting.
const WORTHWHILE: usize = 128 * 1024;
/// Downloads of one session that may read ahead at once; each holds two pieces at most.
pub(crate) const DOWNLOADS: usize = 4;

/// A piece that is being read.
struct Coming {
    start: u64,
    bytes: BoxFuture<'static, Result<Bytes>>,
}

/// What was read and not asked for yet.
#[derive(Default)]
pub(crate) struct Ahead {
    /// Where the next read is, if it goes on where the last one ended.
    at: u64,
    /// The bytes from there on.
    bytes: Bytes,
    next: Option<Coming>,
    /// How large the next piece is to be; it grows as long as reads follow one another.
    window: usize,
    /// Whether the last read went elsewhere: one more has to follow before anything is read ahead.
    jumped: bool,
    permit: Option<OwnedSemaphorePermit>,
}

impl Ahead {
    /// Up to `len` bytes from `offset`; fewer only at the end (`size`).
    pub(crate) async fn read(
        &mut self,
        reader: &Arc<Reader>,
        size: u64,
        allowance: &Arc<Semaphore>,
        offset: u64,
        len: usize,
    ) -> Result<Bytes> {
        if offset != self.at {
            *self = Self { at: offset, jumped: true, ..Self::default() };
        }
        // No more is waited for than what there is.
        let len = usize::try_from(size.saturating_sub(offset)).map_or(len, |left| left.min(len));
        let mut bytes = self.bytes.split_to(len.min(self.bytes.len()));
        // At once: a caller that goes away while this waits must not find the wrong bytes later.
        self.at = offset + bytes.len() as u64;
        if bytes.len() < len {
            let more = self.refill(reader, self.at, len - bytes.len()).await?;
            self.at += more.len() as u64;
            bytes = joined(bytes, more);
        }
        self.go_on(reader, size, allowance, len);
        Ok(bytes)
    }

    /// Up to `wanted` bytes from `at`, where nothing is left; what is read beyond is kept.
    async fn refill(&mut self, reader: &Arc<Reader>, at: u64, wanted: usize) -> Result<Bytes> {
        let mut piece = Bytes::new();
        if let Some(coming) = self.next.take()
            && coming.start == at
        {
            // What failed then may succeed now, and otherwise says why.
            piece = coming.bytes.await.unwrap_or_default();
        }
        if piece.len() < wanted {
            let rest = reader.read_at(at + piece.len() as u64, wanted - piece.len()).await?;
            piece = joined(piece, rest);
        }
        let asked = piece.split_to(wanted.min(piece.len()));
        self.bytes = piece;
        Ok(asked)
    }

    /// Has the next piece read, if it is time for it.
    fn go_on(&mut self, reader: &Arc<Reader>, size: u64, allowance: &Arc<Semaphore>, len: usize) {
        if std::mem::take(&mut self.jumped) {
            return;
        }
        // As many whole reads as fit a piece: what lies across two pieces has to be copied together.
        let most = PIECE.checked_div(len).filter(|reads| *reads > 0).map_or(PIECE, |reads| reads * len);
        self.window = self.window.max(len).saturating_mul(2).min(most);
        let start = self.at + self.bytes.len() as u64;
        if self.next.is_some() || start >= size || self.window < WORTHWHILE || self.bytes.len() > self.window / 2 {
            return;
        }
        if self.permit.is_none() {
            self.permit = allowance.clone().try_acquire_owned().ok();
        }
        if self.permit.is_none() {
            return;
        }
        let (reader, window) = (reader.clone(), self.window);
        let mut bytes = async move { reader.read_at(start, window).await }.boxed();
        // Looked at once, so that it begins; nobody has to be woken when it is done.
        let bytes = match (&mut bytes).now_or_never() {
            Some(done) => std::future::ready(done).boxed(),
            None => bytes,
        };
        self.next = Some(Coming { start, bytes });
    }

    #[cfg(test)]
    fn reads_ahead(&self) -> bool {
        self.next.is_some()
    }
}

fn joined(first: Bytes, second: Bytes) -> Bytes {
    if first.is_empty() {
        return second;
    }
    let mut whole = BytesMut::with_capacity(first.len() + second.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&second);
    whole.freeze()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::ports::BlobReader;
    use crate::records::{BlobId, Segment};
    use crate::transfer::segments::Segments;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use uuid::Uuid;

    /// A blob in memory that counts, and fails on demand.
    struct Blob {
        content: Vec<u8>,
        largest: AtomicUsize,
        read: AtomicUsize,
        broken: AtomicBool,
    }

    #[async_trait::async_trait]
    impl BlobReader for Blob {
        async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
            if self.broken.load(Ordering::Relaxed) {
                return Err(crate::error::Error::internal("the disk is broken"));
            }
            let start = (offset as usize).min(self.content.len());
            let end = (start + len).min(self.content.len());
            self.largest.fetch_max(len, Ordering::Relaxed);
            self.read.fetch_add(end - start, Ordering::Relaxed);
            Ok(Bytes::copy_from_slice(&self.content[start..end]))
        }
    }

    fn blob(size: usize) -> (Arc<Blob>, Arc<Reader>) {
        let content = (0..size).map(|n| (n / 7 % 251) as u8).collect();
        let blob = Arc::new(Blob {
            content,
            largest: AtomicUsize::new(0),
            read: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
        });
        let id = BlobId { key: Uuid::nil(), storage: "s".into(), prefix: "p".into() };
        let run = Segment { start: 0, len: size as u64, blob: Some(id), offset: 0 };
        (blob.clone(), Arc::new(Reader::over(Segments::new(vec![run]), Uuid::nil(), blob)))
    }

    const SIZE: usize = 5 * PIECE + 4321;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
        #[test]
        fn gives_what_is_there(
            steps in proptest::collection::vec((any::<bool>(), 0..SIZE as u64 + 9, 1usize..=PIECE), 1..60),
            room in 0usize..2,
        ) {
            let (blob, reader) = blob(SIZE);
            let (mut ahead, allowance) = (Ahead::default(), Arc::new(Semaphore::new(room)));
            let mut at = 0;
            for (jumps, target, len) in steps {
                if jumps {
                    at = target;
                }
                let got = ahead.read(&reader, SIZE as u64, &allowance, at, len).now_or_never().unwrap().unwrap();
                let start = (at as usize).min(SIZE);
                prop_assert_eq!(&got[..], &blob.content[start..(start + len).min(SIZE)]);
                at += got.len() as u64;
                prop_assert!(ahead.bytes.len() <= PIECE);
                prop_assert!(room > 0 || !ahead.reads_ahead());
            }
            prop_assert!(blob.largest.load(Ordering::Relaxed) <= PIECE);
        }
    }

    #[tokio::test]
    async fn every_byte_is_read_once_and_in_large_pieces() {
        let (blob, reader) = blob(SIZE);
        let (mut ahead, allowance) = (Ahead::default(), Arc::new(Semaphore::new(1)));
        let mut at = 0;
        while at < SIZE as u64 {
            at += ahead.read(&reader, SIZE as u64, &allowance, at, 32 * 1024).await.unwrap().len() as u64;
        }
        assert_eq!(blob.read.load(Ordering::Relaxed), SIZE);
        assert_eq!(blob.largest.load(Ordering::Relaxed), PIECE);
    }

    #[tokio::test]
    async fn reading_here_and_there_reads_nothing_more() {
        let (blob, reader) = blob(SIZE);
        let (mut ahead, allowance) = (Ahead::default(), Arc::new(Semaphore::new(1)));
        for n in (0..5).rev() {
            ahead.read(&reader, SIZE as u64, &allowance, 1 + n * PIECE as u64, 200_000).await.unwrap();
        }
        assert_eq!(blob.read.load(Ordering::Relaxed), 1_000_000);
    }

    #[tokio::test]
    async fn no_more_downloads_of_a_session_read_ahead_than_may() {
        let (_, reader) = blob(SIZE);
        let allowance = Arc::new(Semaphore::new(DOWNLOADS));
        let mut all: Vec<Ahead> = (0..DOWNLOADS + 3).map(|_| Ahead::default()).collect();
        for ahead in &mut all {
            for n in 0..3 {
                ahead.read(&reader, SIZE as u64, &allowance, n * 65536, 65536).await.unwrap();
            }
        }
        assert_eq!(all.iter().filter(|ahead| ahead.reads_ahead()).count(), DOWNLOADS);
        all.clear();
        assert_eq!(allowance.available_permits(), DOWNLOADS);
    }

    #[tokio::test]
    async fn a_read_that_is_given_up_leaves_nothing_wrong() {
        struct Slow(Arc<Blob>);
        #[async_trait::async_trait]
        impl BlobReader for Slow {
            async fn read_at(&self, offset: u64, len: usize) -> Result<Bytes> {
                tokio::task::yield_now().await;
                self.0.read_at(offset, len).await
            }
        }
        let (blob, reader) = blob(SIZE);
        let slow = Arc::new(Reader::over(reader.segments().clone(), Uuid::nil(), Arc::new(Slow(blob.clone()))));
        let (mut ahead, allowance) = (Ahead::default(), Arc::new(Semaphore::new(1)));
        let mut at = 0;
        for n in 0..200usize {
            let len = 1 + n * 997 % 60_000;
            // Some are dropped at their first wait.
            if n % 3 == 0 {
                let _ = ahead.read(&slow, SIZE as u64, &allowance, at, len).now_or_never();
            }
            let got = ahead.read(&slow, SIZE as u64, &allowance, at, len).await.unwrap();
            assert_eq!(got[..], blob.content[at as usize..(at as usize + len).min(SIZE)]);
            at += got.len() as u64;
        }
    }

    #[tokio::test]
    async fn an_error_is_told_when_the_bytes_are_asked_for() {
        let (blob, reader) = blob(SIZE);
        let (mut ahead, allowance) = (Ahead::default(), Arc::new(Semaphore::new(1)));
        ahead.read(&reader, SIZE as u64, &allowance, 0, 65536).await.unwrap();
        blob.broken.store(true, Ordering::Relaxed);
        let mut at = 65536;
        let error = loop {
            match ahead.read(&reader, SIZE as u64, &allowance, at, 65536).await {
                Ok(bytes) => at += bytes.len() as u64,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), crate::error::ErrorKind::Internal);
        blob.broken.store(false, Ordering::Relaxed);
        let again = ahead.read(&reader, SIZE as u64, &allowance, at, 100).await.unwrap();
        assert_eq!(again[..], blob.content[at as usize..at as usize + 100]);
    }
}
