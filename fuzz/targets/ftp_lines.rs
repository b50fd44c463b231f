//! Bytes of an FTP control connection: Telnet and the ends of lines. See `causeway_ftp::fuzz::lines`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| causeway_ftp::fuzz::lines(data));
