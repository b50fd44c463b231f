//! The fields of signed requests (RFC 9421), and the base that is made of them. See `causeway_api::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| causeway_api::fuzz(data));
