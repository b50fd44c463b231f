//! A whole FTP session on an in-memory channel and a real gateway. See `causeway_ftp::fuzz::Place::session`.
#![no_main]
// Where there is no gateway there is nothing to fuzz.
#![allow(clippy::expect_used)]

mod gateway;

use std::sync::{Mutex, OnceLock, PoisonError};

use causeway_core::Protocol;
use causeway_ftp::fuzz::Place;
use gateway::Scratch;
use tokio::runtime::Runtime;

/// Sessions on one gateway, whose record grows: then comes another.
const SESSIONS: u32 = 5_000;

struct Stage {
    scratch: Scratch,
    place: Place,
    left: u32,
}

impl Stage {
    async fn new() -> Self {
        let scratch = Scratch::new().await;
        let place = Place::new(scratch.gateway.clone()).expect("settings of TLS");
        Self { scratch, place, left: SESSIONS }
    }
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let built = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        built.expect("a runtime")
    })
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    static STAGE: Mutex<Option<Stage>> = Mutex::new(None);
    let mut stage = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
    runtime().block_on(async {
        if stage.as_ref().is_none_or(|stage| stage.left == 0) {
            if let Some(old) = stage.take() {
                old.scratch.gateway.stop().await;
            }
            *stage = Some(Stage::new().await);
        }
        let Some(stage) = stage.as_mut() else { return };
        stage.left -= 1;
        stage.scratch.tidy().await;
        let session = match data.first() {
            Some(how) if how & 2 == 2 => Some(stage.scratch.session(Protocol::Ftps).await),
            _ => None,
        };
        Box::pin(stage.place.session(session, data)).await;
    });
});
