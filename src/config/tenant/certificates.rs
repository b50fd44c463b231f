//! `trusted_user_ca_keys` and `revoked_keys` of a tenant: which OpenSSH user certificates its logins may show, and which
//! keys and certificates are revoked. `client_ca` and `client_crl`: the same for TLS client certificates.

use std::sync::Arc;

use causeway_core::Error;
use causeway_core::identity::{CertificateRules, PublicKey};
use causeway_core::ports::{ClientAuthority, NothingRevoked, RevocationSource};

use crate::client_certificates::ClientAuthorities;
use crate::client_certificates::trust::{read_authorities, read_lists};
use crate::config::reader::{Parsed, Section};
use crate::config::report::{Located, Report, Spot};
use crate::config::value;
use crate::revoked_keys::{RevokedKeys, read_list};

/// Reads all four keys. Second: whether there is a CA of client certificates.
pub fn read(section: &Section<'_>) -> (CertificateRules, bool) {
    let report = section.report();
    let mut authorities = Vec::new();
    for found in section.texts("trusted_user_ca_keys", value::file_path).map(|f| f.value).unwrap_or_default() {
        match ca_keys(report, &found.value) {
            Ok(keys) => authorities.extend(keys),
            Err(why) => report.error(&found.spot, why),
        }
    }
    let mut files = Vec::new();
    for found in section.texts("revoked_keys", value::file_path).map(|f| f.value).unwrap_or_default() {
        let path = report.path(&found.value);
        if let Err(error) = read_list(&path) {
            report.error(
                &found.spot,
                format!("{}; until it is right no key of this tenant could log in", error.message()),
            );
        }
        files.push(path);
    }
    let revocations: Arc<dyn RevocationSource> =
        if files.is_empty() { Arc::new(NothingRevoked) } else { Arc::new(RevokedKeys::new(files)) };
    let (clients, has_client_ca) = read_clients(section);
    (CertificateRules { authorities, revocations, clients }, has_client_ca)
}

/// Files that are wrong would let no client certificate in.
fn read_clients(section: &Section<'_>) -> (Arc<dyn ClientAuthority>, bool) {
    let report = section.report();
    let authorities = section.text_or_empty("client_ca", value::file_path);
    let lists = section.text_or_empty("client_crl", value::file_path);
    let wrong = |spot: &Spot, error: &Error| {
        report.error(spot, format!("{}; until it is right no client certificate could log in", error.message()));
    };
    if let Some(found) = &authorities
        && let Err(error) = read_authorities(&report.path(&found.value))
    {
        wrong(&found.spot, &error);
    }
    if let Some(found) = &lists {
        if let Err(error) = read_lists(&report.path(&found.value)) {
            wrong(&found.spot, &error);
        }
        if authorities.is_none() {
            report.error(&found.spot, "stands here without `client_ca`; name the CA whose list this is");
        }
    }
    let path = |found: &Located<String>| report.path(&found.value);
    let Some(ca) = authorities.as_ref().map(path) else { return (ClientAuthorities::none(), false) };
    (Arc::new(ClientAuthorities::new(Some(ca), lists.as_ref().map(path))), true)
}

/// The key of a line, or the keys of the lines of a file.
fn ca_keys(report: &Report, text: &str) -> Parsed<Vec<PublicKey>> {
    if let Some(key) = PublicKey::from_line(text) {
        return accepted(key).map(|key| vec![key]);
    }
    let path = report.path(text);
    report.reads(&path);
    let content = std::fs::read_to_string(&path).map_err(|error| {
        format!(
            "is no OpenSSH public key, and no file that can be read ({}: {}); write the line of the .pub file of the CA, or name that file",
            path.display(),
            error.kind()
        )
    })?;
    let lines = content.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys = lines.map(|line| value::public_key(line).and_then(accepted)).collect::<Parsed<Vec<_>>>();
    match keys {
        Ok(keys) if keys.is_empty() => Err(format!("{} has no public key", path.display())),
        Ok(keys) => Ok(keys),
        Err(why) => Err(format!("a line of {} {why}", path.display())),
    }
}

fn accepted(key: PublicKey) -> Parsed<PublicKey> {
    if key.is_accepted() {
        Ok(key)
    } else {
        Err("is a key that is not accepted of a CA; take Ed25519, ECDSA or RSA from 2048 bits".to_owned())
    }
}
