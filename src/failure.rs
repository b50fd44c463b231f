//! Why a command ends without success: an exit code and a sentence that says what to do.

use std::fmt;

/// A command's failure. 1: it did not work out; 2: the configuration or the command line is wrong.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// What stands on standard error, possibly many lines. It holds no secret.
    pub message: String,
}

impl Failure {
    /// It did not work out.
    pub fn new(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }

    /// The configuration is wrong.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    /// A step that failed, and why.
    pub fn step(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::new(format!("{what}: {why}"))
    }
}

impl From<causeway_core::Error> for Failure {
    fn from(error: causeway_core::Error) -> Self {
        Self::new(error.message().to_owned())
    }
}

/// What a command answers.
pub type Outcome<T = ()> = Result<T, Failure>;
