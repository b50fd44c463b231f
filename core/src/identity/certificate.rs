//! OpenSSH user certificates (OpenSSH's PROTOCOL.certkeys) and what revokes them (PROTOCOL.krl): what a tenant believes of
//! a certificate. Reading certificates and lists is the front end's; whether one lets in is decided here.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use ipnet::IpNet;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::source::lies_in;
use super::{Presence, PresenceDemand, PublicKey};
use crate::ports::{ClientAuthority, NoClientAuthority, NothingRevoked, RevocationSource};

/// A user certificate whose signatures have been verified: its CA's, and its holder's over the connection. The reader
/// refuses what it cannot say here: host certificates, `force-command`, and critical options that it does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserCertificate {
    /// The certified key, as a plain key's blob.
    pub key: PublicKey,
    /// The CA's key, as a plain key's blob.
    pub ca: PublicKey,
    /// What the CA calls the certificate.
    pub key_id: String,
    /// The CA's number for it; 0: the CA gave none.
    pub serial: u64,
    /// Whom it may log in as.
    pub principals: Vec<String>,
    /// The first second at which it counts, since 1970.
    pub valid_after: u64,
    /// The first second at which it counts no more, since 1970.
    pub valid_before: u64,
    /// `source-address`: where it may come from; empty: from anywhere. (The reader refuses an option that names nothing.)
    pub source_addresses: Vec<IpNet>,
    /// What its holder has to show: the extension `no-touch-required`, the critical option `verify-required`.
    pub demand: PresenceDemand,
}

/// Why a certificate does not let in. For logs and the operator; the client hears no more than "no".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateRefusal {
    /// None of the tenant's CAs signed it.
    UnknownCa,
    /// Its key, its CA's key, its serial number or its key id is revoked.
    Revoked,
    /// It counts later.
    NotYetValid,
    /// It counted earlier.
    Expired,
    /// The login is none of its principals.
    NoPrincipal,
    /// It may not come from this address.
    Address,
    /// Its key or its CA's is of a kind or length that is not accepted.
    WeakKey,
    /// Its hardware key was not touched, or has not verified its holder.
    Presence,
}

impl fmt::Display for CertificateRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownCa => "no CA of the tenant signed the certificate; add it to `trusted_user_ca_keys`",
            Self::Revoked => "the certificate is revoked",
            Self::NotYetValid => "the certificate is not valid yet; look at the clocks of the CA and of this machine",
            Self::Expired => "the certificate has expired; have a new one made",
            Self::NoPrincipal => "the login is no principal of the certificate; name it with `ssh-keygen -n`",
            Self::Address => "the certificate may not be used from this address (`source-address`)",
            Self::Presence => {
                "the hardware key was not touched or has not verified its holder, as the certificate demands; a \
                 certificate without the touch is made with `-O no-touch-required`"
            }
            Self::WeakKey => "the certificate's key or its CA's is too weak; use Ed25519, ECDSA or RSA from 2048 bits",
        })
    }
}

impl std::error::Error for CertificateRefusal {}

/// Which certificates a tenant believes.
#[derive(Clone, Debug)]
pub struct CertificateRules {
    /// The keys of its CAs of OpenSSH user certificates; empty: no such certificate lets in.
    pub authorities: Vec<PublicKey>,
    /// What is revoked. It holds for plain keys too, as in OpenSSH.
    pub revocations: Arc<dyn RevocationSource>,
    /// Its CAs of TLS client certificates, and what they have revoked.
    pub clients: Arc<dyn ClientAuthority>,
}

impl Default for CertificateRules {
    fn default() -> Self {
        Self { authorities: Vec::new(), revocations: Arc::new(NothingRevoked), clients: Arc::new(NoClientAuthority) }
    }
}

impl CertificateRules {
    /// Whether a certificate stands for `username` (as configured, without the tenant) when it comes from `ip` at `now`
    /// (seconds since 1970) and its key says this of its holder, where this is revoked.
    pub fn check(
        &self,
        revocations: &Revocations,
        certificate: &UserCertificate,
        presence: Option<Presence>,
        username: &str,
        ip: IpAddr,
        now: u64,
    ) -> Result<(), CertificateRefusal> {
        let known = self.authorities.iter().any(|ca| bool::from(ca.blob.ct_eq(&certificate.ca.blob)));
        if !known {
            return Err(CertificateRefusal::UnknownCa);
        }
        if !certificate.key.is_accepted() || !certificate.ca.is_accepted() {
            return Err(CertificateRefusal::WeakKey);
        }
        if revocations.revokes(certificate) {
            return Err(CertificateRefusal::Revoked);
        }
        if now < certificate.valid_after {
            return Err(CertificateRefusal::NotYetValid);
        }
        if now >= certificate.valid_before {
            return Err(CertificateRefusal::Expired);
        }
        // A certificate without principals is one for everybody; nobody should have that by an oversight.
        if !certificate.principals.iter().any(|principal| principal == username) {
            return Err(CertificateRefusal::NoPrincipal);
        }
        let sources = &certificate.source_addresses;
        if !sources.is_empty() && !sources.iter().any(|network| lies_in(*network, ip)) {
            return Err(CertificateRefusal::Address);
        }
        if !certificate.demand.is_met(&certificate.key, presence) {
            return Err(CertificateRefusal::Presence);
        }
        Ok(())
    }
}

/// What is revoked: keys, and certificates of one CA or of any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocations {
    /// SHA-256 of the blobs of revoked keys.
    keys_sha256: HashSet<[u8; 32]>,
    /// SHA-1 of the blobs of revoked keys: old lists name keys so.
    keys_sha1: HashSet<[u8; 20]>,
    /// By the CA's key; none: of every CA.
    certificates: HashMap<Option<Vec<u8>>, RevokedCertificates>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct RevokedCertificates {
    /// As added; [`Revocations::revokes`] looks at all of them.
    serials: Vec<RangeInclusive<u64>>,
    key_ids: HashSet<String>,
}

impl Revocations {
    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.keys_sha256.is_empty() && self.keys_sha1.is_empty() && self.certificates.is_empty()
    }

    /// Revokes a key, and every certificate for it or by it.
    pub fn revoke_key(&mut self, key: &PublicKey) {
        self.keys_sha256.insert(Sha256::digest(&key.blob).into());
    }

    /// Revokes the key whose blob has this SHA-256.
    pub fn revoke_sha256(&mut self, fingerprint: [u8; 32]) {
        self.keys_sha256.insert(fingerprint);
    }

    /// Revokes the key whose blob has this SHA-1.
    pub fn revoke_sha1(&mut self, fingerprint: [u8; 20]) {
        self.keys_sha1.insert(fingerprint);
    }

    /// Revokes the certificates with these serial numbers, of this CA, or of every CA (none).
    pub fn revoke_serials(&mut self, ca: Option<&PublicKey>, serials: RangeInclusive<u64>) {
        self.of(ca).serials.push(serials);
    }

    /// Revokes the certificates with this key id, of this CA, or of every CA (none).
    pub fn revoke_key_id(&mut self, ca: Option<&PublicKey>, key_id: String) {
        self.of(ca).key_ids.insert(key_id);
    }

    /// Revokes what another list revokes, too.
    pub fn extend(&mut self, other: Self) {
        self.keys_sha256.extend(other.keys_sha256);
        self.keys_sha1.extend(other.keys_sha1);
        for (ca, revoked) in other.certificates {
            let mine = self.certificates.entry(ca).or_default();
            mine.serials.extend(revoked.serials);
            mine.key_ids.extend(revoked.key_ids);
        }
    }

    fn of(&mut self, ca: Option<&PublicKey>) -> &mut RevokedCertificates {
        self.certificates.entry(ca.map(|key| key.blob.clone())).or_default()
    }

    /// Whether this key is revoked.
    pub fn revokes_key(&self, key: &PublicKey) -> bool {
        (!self.keys_sha256.is_empty() && self.keys_sha256.contains::<[u8; 32]>(&Sha256::digest(&key.blob).into()))
            || (!self.keys_sha1.is_empty() && self.keys_sha1.contains::<[u8; 20]>(&Sha1::digest(&key.blob).into()))
    }

    /// Whether this certificate is revoked: by its key, its CA's key, its serial number or its key id. The number 0 is
    /// what a CA writes that counts none; it revokes nothing (as in OpenSSH).
    pub fn revokes(&self, certificate: &UserCertificate) -> bool {
        if self.revokes_key(&certificate.key) || self.revokes_key(&certificate.ca) {
            return true;
        }
        let ca = Some(certificate.ca.blob.clone());
        [&ca, &None].into_iter().filter_map(|ca| self.certificates.get(ca)).any(|revoked| {
            let serial = certificate.serial;
            revoked.key_ids.contains(&certificate.key_id)
                || (serial != 0 && revoked.serials.iter().any(|range| range.contains(&serial)))
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn key(byte: u8) -> PublicKey {
        let mut blob = vec![0, 0, 0, 11];
        blob.extend_from_slice(b"ssh-ed25519");
        blob.extend_from_slice(&[0, 0, 0, 32]);
        blob.extend_from_slice(&[byte; 32]);
        PublicKey { blob }
    }

    fn certificate() -> UserCertificate {
        UserCertificate {
            key: key(1),
            ca: key(2),
            key_id: "edi01 2026".to_owned(),
            serial: 7,
            principals: vec!["edi01".to_owned(), "edi02".to_owned()],
            valid_after: 1000,
            valid_before: 2000,
            source_addresses: Vec::new(),
            demand: PresenceDemand::default(),
        }
    }

    fn rules() -> CertificateRules {
        CertificateRules { authorities: vec![key(9), key(2)], ..CertificateRules::default() }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_lets_in_and_what_does_not() {
        use CertificateRefusal as No;
        let here = ip("192.0.2.7");
        let check = |change: fn(&mut UserCertificate), username: &str, ip: IpAddr, now: u64| {
            let mut certificate = certificate();
            change(&mut certificate);
            rules().check(&Revocations::default(), &certificate, None, username, ip, now)
        };
        let same: fn(&mut UserCertificate) = |_| {};
        assert_eq!(check(same, "edi01", here, 1000), Ok(()));
        assert_eq!(check(same, "edi02", here, 1999), Ok(()));
        assert_eq!(check(same, "edi01", here, 999), Err(No::NotYetValid));
        assert_eq!(check(same, "edi01", here, 2000), Err(No::Expired));
        for username in ["edi03", "", "EDI01", "edi01 ", "edi0"] {
            assert_eq!(check(same, username, here, 1500), Err(No::NoPrincipal), "{username}");
        }
        assert_eq!(check(|c| c.principals.clear(), "edi01", here, 1500), Err(No::NoPrincipal));
        assert_eq!(check(|c| c.ca = key(3), "edi01", here, 1500), Err(No::UnknownCa));
        assert_eq!(check(|c| c.key.blob.push(0), "edi01", here, 1500), Err(No::WeakKey));
        let bound: fn(&mut UserCertificate) =
            |c| c.source_addresses = vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        for good in ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1"] {
            assert_eq!(check(bound, "edi01", ip(good), 1500), Ok(()), "{good}");
        }
        for bad in ["192.0.3.7", "::ffff:198.51.100.1", "2001:db9::1"] {
            assert_eq!(check(bound, "edi01", ip(bad), 1500), Err(No::Address), "{bad}");
        }
        let mapped: fn(&mut UserCertificate) = |c| c.source_addresses = vec!["::ffff:192.0.2.0/120".parse().unwrap()];
        assert_eq!(check(mapped, "edi01", ip("192.0.2.7"), 1500), Ok(()), "a network that is written IPv4-mapped");
        assert_eq!(check(mapped, "edi01", ip("192.0.3.7"), 1500), Err(No::Address));
        let mut none = rules();
        none.authorities.clear();
        assert_eq!(none.check(&Revocations::default(), &certificate(), None, "edi01", here, 1500), Err(No::UnknownCa));
        let mut revoked = Revocations::default();
        revoked.revoke_serials(Some(&key(2)), 7..=7);
        assert_eq!(rules().check(&revoked, &certificate(), None, "edi01", here, 1500), Err(No::Revoked));
    }

    #[test]
    fn what_its_holder_has_to_show() {
        let check = |touch, verification, flags: Option<u8>| {
            let demand = PresenceDemand { touch, verification };
            let hardware =
                crate::identity::public_key::tests::blob(&[b"sk-ssh-ed25519@openssh.com", &[1; 32], b"ssh:"]);
            let key = if flags.is_some() { hardware } else { key(1) };
            let certificate = UserCertificate { key, demand, ..certificate() };
            let presence = flags.map(Presence::from_flags);
            rules().check(&Revocations::default(), &certificate, presence, "edi01", ip("192.0.2.7"), 1500)
        };
        let refused = Err(CertificateRefusal::Presence);
        assert_eq!(check(true, false, Some(0x00)), refused);
        assert_eq!(check(true, false, Some(0x01)), Ok(()));
        assert_eq!(check(false, false, Some(0x00)), Ok(()));
        assert_eq!(check(true, true, Some(0x01)), refused);
        assert_eq!(check(true, true, Some(0x05)), Ok(()));
        assert_eq!(check(true, true, None), refused, "what the CA demands, a key in software cannot give");
        assert_eq!(check(true, false, None), Ok(()));
    }

    #[test]
    fn what_is_revoked() {
        type Revoke<'r> = &'r dyn Fn(&mut Revocations);
        let revoked = |revoke: Revoke<'_>| {
            let mut list = Revocations::default();
            revoke(&mut list);
            let mut extended = Revocations::default();
            extended.revoke_key(&key(77));
            extended.extend(list.clone());
            assert!(extended.revokes_key(&key(77)));
            assert_eq!(list.revokes(&certificate()), extended.revokes(&certificate()));
            list.revokes(&certificate())
        };
        let blob = |byte| key(byte).blob;
        let (ca, other) = (key(2), key(3));
        let cases: &[(&str, bool, Revoke<'_>)] = &[
            ("nothing", false, &|_| {}),
            ("its key", true, &|l| l.revoke_key(&key(1))),
            ("its CA's key", true, &|l| l.revoke_key(&key(2))),
            ("another key", false, &|l| l.revoke_key(&key(3))),
            ("its key by SHA-256", true, &|l| l.revoke_sha256(Sha256::digest(blob(1)).into())),
            ("its key by SHA-1", true, &|l| l.revoke_sha1(Sha1::digest(blob(1)).into())),
            ("its CA's key by SHA-1", true, &|l| l.revoke_sha1(Sha1::digest(blob(2)).into())),
            ("another key by SHA-1", false, &|l| l.revoke_sha1(Sha1::digest(blob(3)).into())),
            ("its serial", true, &|l| l.revoke_serials(Some(&ca), 7..=7)),
            ("a range with its serial", true, &|l| {
                l.revoke_serials(Some(&ca), 1..=3);
                l.revoke_serials(Some(&ca), 5..=u64::MAX);
            }),
            ("serials beside it", false, &|l| {
                l.revoke_serials(Some(&ca), 0..=6);
                l.revoke_serials(Some(&ca), 8..=u64::MAX);
            }),
            ("its serial of another CA", false, &|l| l.revoke_serials(Some(&other), 7..=7)),
            ("its serial of every CA", true, &|l| l.revoke_serials(None, 7..=7)),
            ("its key id", true, &|l| l.revoke_key_id(Some(&ca), "edi01 2026".to_owned())),
            ("its key id of every CA", true, &|l| l.revoke_key_id(None, "edi01 2026".to_owned())),
            ("its key id of another CA", false, &|l| l.revoke_key_id(Some(&other), "edi01 2026".to_owned())),
            ("another key id", false, &|l| l.revoke_key_id(Some(&ca), "edi01".to_owned())),
        ];
        for (what, wanted, revoke) in cases {
            assert_eq!(revoked(*revoke), *wanted, "{what}");
        }
        let mut all = Revocations::default();
        assert!(all.is_empty());
        all.revoke_serials(None, 0..=u64::MAX);
        assert!(!all.is_empty());
        assert!(!all.revokes(&UserCertificate { serial: 0, ..certificate() }), "no number, none revoked");
        assert!(all.revokes(&UserCertificate { serial: 1, ..certificate() }));
    }
}
