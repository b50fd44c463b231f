//! A whole SFTP session on an in-memory channel. See `causeway_sftp::fuzz::session`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| causeway_sftp::fuzz::session(data));
