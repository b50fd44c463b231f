//! `[[tenant.login]]`: a legacy login, and the identity that it becomes.

use causeway_core::identity::{Login, Protocol};
use causeway_core::path::VirtualPath;

use super::Known;
use crate::config::ftps::LoginRules;
use crate::config::reader::Section;
use crate::config::report::{Located, Spot};
use crate::config::secret;
use crate::config::value;

/// How many factors a login needs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Require {
    /// Any one.
    Any,
    /// A key and the password.
    KeyAndPassword,
    /// A certificate and the password.
    CertificateAndPassword,
}

/// The words of `require`.
pub const REQUIRE: &[(&str, Require)] = &[
    ("any", Require::Any),
    ("publickey+password", Require::KeyAndPassword),
    ("certificate+password", Require::CertificateAndPassword),
];

const PROTOCOLS: &[(&str, Protocol)] = &[("sftp", Protocol::Sftp), ("ftps", Protocol::Ftps), ("api", Protocol::Api)];

/// Reads `protocols`; where none of them is built, that is said as an error of `serve`, else as a warning.
pub fn protocols(section: &Section<'_>) -> Vec<Protocol> {
    let Some(found) = section.texts("protocols", value::one_of(PROTOCOLS)) else {
        return vec![Protocol::Sftp];
    };
    let report = section.report();
    if found.value.is_empty() {
        report.error(&found.spot, "is empty, so that nobody can log in; name a protocol");
    }
    let is_built = |protocol| matches!(protocol, Protocol::Sftp | Protocol::Ftps);
    let built = found.value.iter().find(|p| is_built(p.value)).map(|p| p.value);
    for protocol in found.value.iter().filter(|p| !is_built(p.value)) {
        let what = format!("logging in over \"{}\"", protocol.value);
        if let Some(built) = built {
            report.warning(
                &protocol.spot,
                format!("{what} is not built yet; this login works over \"{built}\" alone until it is"),
            );
        } else {
            report.not_built(&protocol.spot, &what);
        }
    }
    found.value.into_iter().map(|p| p.value).collect()
}

/// Reads `require`.
pub fn require(section: &Section<'_>) {
    if let Some(found) = section.text("require", value::one_of(REQUIRE))
        && found.value != Require::Any
    {
        section.report().not_built(&found.spot, "asking for two factors");
    }
}

/// Reads one table; none where it has an error.
pub fn read(section: &Section<'_>, known: &Known<'_>) -> Option<(Login, Spot, Option<LoginRules>)> {
    let report = section.report();
    let username = section.require("username", section.text("username", value::username));
    let identity = section.require("identity", section.text("identity", value::slug));
    let protocols = protocols(section);
    let password_hash = section.hash("password_hash", secret::password_hash);
    let keys = section.texts("authorized_keys", value::public_key);
    let certificates = section.texts("client_certificates", value::certificate_match);
    require(section);
    let allow_from = section.texts("allow_from", value::network);
    let home = section.text("home", value::tree_path);
    let ftps = LoginRules::read(&section.table("ftps"));
    let without_keys = !section.has("authorized_keys") || keys.as_ref().is_some_and(|f| f.value.is_empty());
    let certified = certificates.filter(|f| !f.value.is_empty());
    if let Some(found) = &certified {
        report.not_built(&found.spot, "logging in by a client certificate");
    }
    let identity = identity.and_then(|id| known.identity(section, id));
    let Located { value: username, spot } = username?;
    if !section.has("password_hash") && without_keys && certified.is_none() {
        report.warning(&spot, "has neither `password_hash` nor `authorized_keys`; nobody can log in by it");
    }
    report.claim("username", known.tenant, &username, &spot);
    let login = Login {
        username: username.into(),
        identity: identity?.into(),
        protocols,
        password_hash: password_hash.and_then(|f| f.value),
        authorized_keys: keys.map(|f| f.value.into_iter().map(|key| key.value).collect()).unwrap_or_default(),
        allow_from: allow_from.map(|f| f.value.into_iter().map(|net| net.value).collect()).unwrap_or_default(),
        home: home.map_or_else(VirtualPath::root, |f| f.value),
    };
    Some((login, spot, ftps))
}
