//! `[[tenant.login]]`: a legacy login, and the identity that it becomes.

use causeway_core::identity::texts::{LOGIN_PROTOCOLS, code_fault};
use causeway_core::identity::{CertificateMatcher, Factor, Login, Protocol, Require};
use causeway_core::path::VirtualPath;

use super::Known;
use crate::config::ftps::LoginRules;
use crate::config::reader::Section;
use crate::config::report::{Located, Spot};
use crate::config::secret;
use crate::config::value;

/// Reads `protocols`; where none of them can be logged in by, that is said as an error of `serve`, else as a warning. `over_api`:
/// whether there is what lets into the API: a client certificate, or a password for the sign-in page.
pub fn protocols(section: &Section<'_>, over_api: bool) -> Vec<Protocol> {
    let Some(found) = section.texts("protocols", value::one_of(LOGIN_PROTOCOLS)) else {
        return vec![Protocol::Sftp];
    };
    let report = section.report();
    if found.value.is_empty() {
        report.error(&found.spot, "is empty, so that nobody can log in; name a protocol");
    }
    let is_built = |protocol| over_api || matches!(protocol, Protocol::Sftp | Protocol::Ftps);
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

/// What a login can show, as far as the file says.
#[derive(Clone, Copy)]
pub struct Shown {
    /// A key, or a file of keys.
    pub key: bool,
    /// A certificate.
    pub certificate: bool,
    /// A password.
    pub password: bool,
    /// A code.
    pub code: bool,
}

/// Reads `require`. What it asks for must be there: without a secret codes cannot be asked for (an error), without the
/// rest nobody gets in (a warning).
pub fn require(section: &Section<'_>, shown: Shown) -> Require {
    let report = section.report();
    let Some(found) = section.text("require", value::require) else { return Require::Any };
    for (factor, there, what) in [
        (Factor::PublicKey, shown.key, "a public key, and there is none"),
        (Factor::Certificate, shown.certificate, "a certificate, and none would be believed"),
        (Factor::Password, shown.password, "a password, and there is no `password_hash`"),
    ] {
        if found.value.names(factor) && !there {
            report.warning(&found.spot, format!("asks for {what}; nobody can log in by it"));
        }
    }
    if !shown.code
        && let Some(fault) = code_fault(found.value, false)
    {
        report.error(&found.spot, fault);
    }
    found.value
}

/// Says by which protocols what `require` wants cannot be shown.
fn warn_of_require(
    section: &Section<'_>,
    require: Require,
    protocols: &[Protocol],
    known: &Known<'_>,
    certified: bool,
) {
    let wants_certificate = require.names(Factor::Certificate);
    let cannot = |protocol| match protocol {
        Protocol::Ftps => require.names(Factor::PublicKey) || (wants_certificate && !certified),
        Protocol::Sftp => wants_certificate && !known.certificates,
        Protocol::Api => require.names(Factor::PublicKey) || wants_certificate,
        _ => false,
    };
    for protocol in protocols.iter().copied().filter(|protocol| cannot(*protocol)) {
        let name = match protocol {
            Protocol::Ftps => "FTPS",
            Protocol::Sftp => "SFTP",
            _ => "the API",
        };
        section.report().warning(
            &section.spot(),
            format!("has a `require` that {name} cannot ask for; over \"{protocol}\" nobody can log in by it"),
        );
    }
}

/// What `client_certificates` names must be there, and mean one login of the API.
fn check_certificates(
    section: &Section<'_>,
    known: &Known<'_>,
    protocols: &[Protocol],
    found: Vec<Located<CertificateMatcher>>,
) -> Vec<CertificateMatcher> {
    let report = section.report();
    for Located { value, spot } in &found {
        let named = matches!(value, CertificateMatcher::Name(_));
        if named && !known.client_ca {
            report.error(spot, "is a name in certificates of the tenant's CA, and there is none; add `client_ca`");
        }
        // Over the API the certificate says who comes.
        if protocols.contains(&Protocol::Api) {
            let scope = if named { known.tenant } else { "" };
            report.claim("client certificate of the API", scope, &value.to_string(), spot);
        }
    }
    if !found.is_empty() && !protocols.iter().any(|protocol| matches!(protocol, Protocol::Ftps | Protocol::Api)) {
        report.warning(
            &section.spot(),
            "has `client_certificates`, which SFTP does not know; add \"ftps\" or \"api\" to `protocols`, or leave them out",
        );
    }
    if let (false, Some(key)) = (found.is_empty(), known.asked.not_asking(protocols)) {
        report.warning(
            &section.spot(),
            format!("has `client_certificates`, and `{key}` is \"off\", so that no client is asked for one there"),
        );
    }
    found.into_iter().map(|located| located.value).collect()
}

/// Reads one table; none where it has an error.
pub fn read(section: &Section<'_>, known: &Known<'_>) -> Option<(Login, Spot, Option<LoginRules>)> {
    let report = section.report();
    let username = section.require("username", section.text("username", value::username));
    let identity = section.require("identity", section.text("identity", value::slug));
    let certificates = section.texts("client_certificates", value::certificate_match);
    let certified = certificates.as_ref().is_some_and(|f| !f.value.is_empty());
    let without_certificates =
        !section.has("client_certificates") || certificates.as_ref().is_some_and(|f| f.value.is_empty());
    let protocols = protocols(section, certified || section.has("password_hash"));
    let password_hash = section.hash("password_hash", secret::password_hash);
    let keys = section.texts("authorized_keys", value::key_line);
    let totp_secret = section.secret_or_empty("totp_secret", secret::totp_secret);
    let allow_from = section.texts("allow_from", value::network);
    let home = section.text("home", value::tree_path);
    let ftps = LoginRules::read(&section.table("ftps"));
    let without_keys = !section.has("authorized_keys") || keys.as_ref().is_some_and(|f| f.value.is_empty());
    let has_code = totp_secret.is_some() || section.has("totp_secret");
    let require = require(
        section,
        Shown {
            key: !without_keys,
            certificate: certified || known.certificates,
            password: section.has("password_hash"),
            code: has_code,
        },
    );
    if let Some(found) = &totp_secret
        && let Some(fault) = code_fault(require, true)
    {
        report.error(&found.spot, fault);
    }
    warn_of_require(section, require, &protocols, known, certified);
    let taken = check_certificates(section, known, &protocols, certificates.map(|f| f.value).unwrap_or_default());
    let identity = identity.and_then(|id| known.identity(section, id));
    let Located { value: username, spot } = username?;
    if !section.has("password_hash") && without_keys && without_certificates && !known.certificates {
        report.warning(&spot, "has neither `password_hash` nor `authorized_keys`; nobody can log in by it");
    }
    report.claim("username", known.tenant, &username, &spot);
    let login = Login {
        username: username.into(),
        identity: identity?.into(),
        protocols,
        password_hash: password_hash.and_then(|f| f.value),
        totp_secret: totp_secret.and_then(|f| f.value),
        authorized_keys_file: None,
        client_certificates: taken,
        require,
        authorized_keys: keys.map(|f| f.value.into_iter().map(|key| key.value).collect()).unwrap_or_default(),
        allow_from: allow_from.map(|f| f.value.into_iter().map(|net| net.value).collect()).unwrap_or_default(),
        home: home.map_or_else(VirtualPath::root, |f| f.value),
    };
    Some((login, spot, ftps))
}
