//! FEAT (RFC 2389 section 3): what is there beyond RFC 959.

use crate::session::{Answer, Conversation};
use crate::transfer::digest::Algorithm;
use crate::wire::Reply;

pub(super) fn run(talk: &Conversation) -> Answer {
    let hashes: Vec<String> = Algorithm::ALL
        .iter()
        .map(|one| format!("{}{}", one.name(), if *one == talk.parameters.algorithm { "*" } else { "" }))
        .collect();
    let mut features: Vec<String> = ["AUTH TLS", "AVBL", "CLNT", "CSID"].map(str::to_owned).to_vec();
    if talk.terms.config.active_mode {
        features.push("EPRT".to_owned());
    }
    features.push("EPSV".to_owned());
    features.push(format!("HASH {}", hashes.join(";")));
    features.extend(["HOST", "LANG EN*", "MDTM", "MFF modify;UNIX.mode;", "MFMT"].map(str::to_owned));
    features.push(format!("MLST {}", talk.parameters.facts.feature()));
    if talk.terms.config.mode_z {
        features.push("MODE Z".to_owned());
    }
    features.extend(
        [
            "PBSZ",
            "PROT",
            "REST STREAM",
            "SITE CHMOD",
            "SITE UTIME",
            "SIZE",
            "TVFS",
            "UTF8",
            "XCRC",
            "XMD5",
            "XSHA1",
            "XSHA256",
            "XSHA512",
        ]
        .map(str::to_owned),
    );
    Answer::Reply(Reply::lines(211, "Features:", features, "End"))
}
