# The daily commands; `just` alone lists them. None of them is needed: each is one line.

default:
    @just --list

# Everything that must hold before a change lands.
test *words:
    ./test {{words}}

# The fast half: types and lints.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --features nats -- -D warnings

# The tests of one crate (core, store, sftp, ftp, api).
unit crate:
    cargo test -p causeway-{{crate}}

# Write the golden tables anew.
golden:
    UPDATE_GOLDEN=1 cargo test --features nats --test it -- errors:: problems openapi::the_description_is_as_it_was

# A gateway to play with, in ./causeway-data.
quickstart:
    cargo run -- quickstart

# Side by side with its peers, over SFTP and FTPS.
bench:
    bench/run

# Licences and advisories of the dependencies (needs cargo-deny).
deny:
    cargo deny check licenses bans sources
