//! JSON Web Tokens and sets of keys. See `causeway_core::tokens::fuzz::tokens`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| causeway_core::tokens::fuzz::tokens(data));
