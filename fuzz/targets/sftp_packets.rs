//! SFTP packets as they come over the wire, cut anywhere. See `causeway_sftp::fuzz::packets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| causeway_sftp::fuzz::packets(data));
