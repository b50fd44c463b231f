//! The commands, one verb a file.

mod acct;
mod allo;
mod appe;
mod auth;
mod avbl;
mod ccc;
mod cdup;
mod clnt;
mod csid;
mod cwd;
mod dele;
mod eprt;
mod epsv;
mod feat;
mod hash;
mod help;
mod host;
mod lang;
mod list;
mod mdtm;
mod mff;
mod mfmt;
mod mkd;
mod mlsd;
mod mlst;
mod mode;
mod nlst;
mod opts;
mod pass;
mod pasv;
mod pbsz;
mod port;
mod prot;
mod pwd;
mod rein;
mod rest;
mod retr;
mod rmd;
mod rnfr;
mod rnto;
mod site;
mod size;
pub(crate) mod stat;
mod stor;
mod stou;
mod stru;
mod r#type;
mod user;
mod xdigest;

use crate::session::{Answer, Conversation, Turn, say};
use crate::transfer::digest::Algorithm;
use crate::wire::command::Needs;
use crate::wire::{Command, Reply, Verb};

/// Answers a command, where what it needs is there.
pub(crate) async fn dispatch(talk: &mut Conversation, command: Command) -> Turn {
    let Command { verb, argument } = command;
    if verb.needs() != Needs::Nothing && !talk.is_secure() {
        // RFC 2228 section 3 has a code of its own for these two.
        let code = if matches!(verb, Verb::Pbsz | Verb::Prot) { 503 } else { 530 };
        return Err(Reply::new(code, "secure the connection first with AUTH TLS"));
    }
    if verb.needs() == Needs::Login {
        talk.inside()?;
    }
    // REST holds for the transfer that follows at once; what agrees on the data connection may come between.
    let restart = talk.parameters.restart;
    if !matches!(
        verb,
        Verb::Pasv | Verb::Epsv | Verb::Port | Verb::Eprt | Verb::Type | Verb::Mode | Verb::Allo | Verb::Noop
    ) {
        talk.parameters.restart = 0;
    }
    // RNTO must follow RNFR at once (RFC 959 section 4.1.3).
    let renaming = match talk.inside() {
        Ok(inside) if !matches!(verb, Verb::Noop) => inside.renaming.take(),
        _ => None,
    };
    let argument = argument.as_slice();
    match verb {
        Verb::Abor => say(226, "nothing to abort").inspect(|_| talk.channel = None),
        Verb::Acct => acct::run(talk, argument).await,
        Verb::Allo => allo::run(talk, argument).await,
        Verb::Appe => appe::run(talk, argument, restart).await,
        Verb::Auth => auth::run(talk, argument),
        Verb::Avbl => avbl::run(talk, argument).await,
        Verb::Ccc => ccc::run(talk).await,
        Verb::Cdup => cdup::run(talk).await,
        Verb::Clnt => clnt::run(talk, argument),
        Verb::Csid => csid::run(talk, argument),
        Verb::Cwd => cwd::run(talk, argument).await,
        Verb::Dele => dele::run(talk, argument).await,
        Verb::Eprt => eprt::run(talk, argument).await,
        Verb::Epsv => epsv::run(talk, argument).await,
        Verb::Feat => Ok(feat::run(talk)),
        Verb::Hash => hash::run(talk, argument).await,
        Verb::Help => help::run(argument),
        Verb::Host => host::run(talk, argument),
        Verb::Lang => lang::run(argument),
        Verb::List => list::run(talk, argument).await,
        Verb::Mdtm => mdtm::run(talk, argument).await,
        Verb::Mff => mff::run(talk, argument).await,
        Verb::Mfmt => mfmt::run(talk, argument).await,
        Verb::Mkd => mkd::run(talk, argument).await,
        Verb::Mlsd => mlsd::run(talk, argument).await,
        Verb::Mlst => mlst::run(talk, argument).await,
        Verb::Mode => mode::run(talk, argument),
        Verb::Nlst => nlst::run(talk, argument).await,
        Verb::Noop => say(200, "NOOP is done"),
        Verb::Opts => opts::run(talk, argument),
        Verb::Pass => pass::run(talk, argument).await,
        Verb::Pasv => pasv::run(talk).await,
        Verb::Pbsz => pbsz::run(talk, argument),
        Verb::Port => port::run(talk, argument).await,
        Verb::Prot => prot::run(talk, argument).await,
        Verb::Pwd => pwd::run(talk),
        Verb::Quit => Ok(Answer::Close(Reply::new(221, "goodbye"))),
        Verb::Rein => rein::run(talk).await,
        Verb::Rest => rest::run(talk, argument),
        Verb::Retr => retr::run(talk, argument, restart).await,
        Verb::Rmd => rmd::run(talk, argument).await,
        Verb::Rnfr => rnfr::run(talk, argument).await,
        Verb::Rnto => rnto::run(talk, argument, renaming).await,
        Verb::Site => site::run(talk, argument).await,
        Verb::Size => size::run(talk, argument).await,
        Verb::Stat => stat::run(talk, argument).await,
        Verb::Stor => stor::run(talk, argument, restart).await,
        Verb::Stou => stou::run(talk, argument, restart).await,
        Verb::Stru => stru::run(argument),
        Verb::Syst => say(215, "UNIX Type: L8"),
        Verb::Type => r#type::run(talk, argument),
        Verb::User => user::run(talk, argument).await,
        Verb::Xcrc => xdigest::run(talk, verb, Algorithm::Crc32, argument).await,
        Verb::Xmd5 => xdigest::run(talk, verb, Algorithm::Md5, argument).await,
        Verb::Xsha1 => xdigest::run(talk, verb, Algorithm::Sha1, argument).await,
        Verb::Xsha256 => xdigest::run(talk, verb, Algorithm::Sha256, argument).await,
        Verb::Xsha512 => xdigest::run(talk, verb, Algorithm::Sha512, argument).await,
    }
}

/// An argument as text, for those that are no paths: printable ASCII.
fn word(argument: &[u8]) -> &str {
    std::str::from_utf8(argument.trim_ascii()).unwrap_or_default()
}
