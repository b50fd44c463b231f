//! FTP command lines and their arguments. See `causeway_ftp::fuzz::commands`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| causeway_ftp::fuzz::commands(data));
