//! Client certificates of TLS (X.509, RFC 5280): which of them a login takes, and which login one stands for. The transport
//! has verified that the client holds the key; reading certificates and asking a tenant's CAs is behind the port
//! [`crate::ports::ClientAuthority`]; whether one lets in is decided here.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{Login, LoginMatch};

/// Certificates of a chain that are looked at; a client may send as many as it likes.
const MAX_CHAIN: usize = 5;

/// A certificate that a client has shown in a TLS handshake, whose key it has. Nothing else about it is proven.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate(Arc<Chain>);

#[derive(PartialEq, Eq)]
struct Chain {
    leaf: Vec<u8>,
    intermediates: Vec<Vec<u8>>,
    fingerprint: [u8; 32],
}

impl ClientCertificate {
    /// Of the chain that the client sent, each certificate in DER, its own one first; none where there is none.
    pub fn new(chain: impl IntoIterator<Item = Vec<u8>>) -> Option<Self> {
        let mut chain = chain.into_iter();
        let leaf = chain.next()?;
        let fingerprint = Sha256::digest(&leaf).into();
        Some(Self(Arc::new(Chain { leaf, intermediates: chain.take(MAX_CHAIN - 1).collect(), fingerprint })))
    }

    /// The client's own certificate, in DER.
    pub fn leaf(&self) -> &[u8] {
        &self.0.leaf
    }

    /// What the client sent to help find the way to a CA, in DER.
    pub fn intermediates(&self) -> &[Vec<u8>] {
        &self.0.intermediates
    }

    /// SHA-256 of the client's own certificate in DER, as `openssl x509 -fingerprint -sha256` shows it.
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.0.fingerprint
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientCertificate(sha256:{})", hex::encode(self.fingerprint()))
    }
}

/// A name that a certificate is made out to: one of its subject alternative names (RFC 5280 section 4.2.1.6). A name of one
/// kind never stands for one of another kind, even where both are written alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SubjectName {
    /// A host's name, in lower case. A wildcard is a name like any other here: it stands for itself.
    Dns(String),
    /// A mailbox; its domain in lower case.
    Email(String),
    /// A URI, as it is written.
    Uri(String),
    /// An address.
    Address(IpAddr),
}

impl SubjectName {
    /// A host's name.
    pub fn dns(text: &str) -> Self {
        Self::Dns(text.to_ascii_lowercase())
    }

    /// A mailbox. The part before the `@` is compared as it is (RFC 5321 section 2.4).
    pub fn email(text: &str) -> Self {
        match text.rsplit_once('@') {
            Some((mailbox, domain)) => Self::Email(format!("{mailbox}@{}", domain.to_ascii_lowercase())),
            None => Self::Email(text.to_owned()),
        }
    }

    /// A name as an operator writes it, its kind told by its shape: an address, a URI (it has a colon), a mailbox (it has an
    /// `@`), else a host's name. None where it is empty or has white space.
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return None;
        }
        Some(match text.parse::<IpAddr>() {
            Ok(address) => Self::Address(address),
            Err(_) if text.contains(':') => Self::Uri(text.to_owned()),
            Err(_) if text.contains('@') => Self::email(text),
            Err(_) => Self::dns(text),
        })
    }
}

/// A certificate that a login takes (`client_certificates` of the configuration).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CertificateMatcher {
    /// The one with this SHA-256 of its DER, whoever signed it.
    Fingerprint([u8; 32]),
    /// One that the tenant's CA has made out to this name.
    Name(SubjectName),
}

impl CertificateMatcher {
    /// Reads `sha256:<64 hex digits>`, with or without colons between them, or `san:<name>`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("sha256", digits) => {
                let digest = hex::decode(digits.replace(':', "")).ok()?;
                Some(Self::Fingerprint(digest.try_into().ok()?))
            }
            ("san", name) => SubjectName::parse(name).map(Self::Name),
            _ => None,
        }
    }
}

/// As the configuration writes it, in one form for each.
impl fmt::Display for CertificateMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fingerprint(fingerprint) => write!(f, "sha256:{}", hex::encode(fingerprint)),
            Self::Name(SubjectName::Dns(name) | SubjectName::Email(name) | SubjectName::Uri(name)) => {
                write!(f, "san:{name}")
            }
            Self::Name(SubjectName::Address(address)) => write!(f, "san:{address}"),
        }
    }
}

/// What a tenant's CAs and its revocation list say of a certificate at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is in its time, under a CA of the tenant, for clients, not revoked, and made out to these names.
    Signed {
        /// All of its subject alternative names of a kind that is known here.
        names: Vec<SubjectName>,
    },
    /// It is in its time and not revoked, but no CA of the tenant stands for it: only who is known by its fingerprint can
    /// come by it. With the reason, for the log.
    Unsigned(String),
    /// It stands for nobody.
    Refused(ClientCertificateRefusal),
}

/// Why a client certificate does not let in. For logs and the operator; the client hears no more than "no".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCertificateRefusal {
    /// It cannot be read.
    Malformed,
    /// It counts later.
    NotYetValid,
    /// It counted earlier.
    Expired,
    /// It, or a CA between it and the tenant's, is revoked.
    Revoked,
    /// There is a revocation list, but not one of the CA that signed it.
    NoList,
    /// No CA of the tenant signed it, and the login does not name its fingerprint.
    Unsigned(String),
    /// A CA of the tenant signed it, and the login names neither its fingerprint nor one of its names.
    OtherName,
}

impl fmt::Display for ClientCertificateRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the certificate cannot be read (X.509 version 3, DER); have another one made"),
            Self::NotYetValid => {
                f.write_str("the certificate is not valid yet; look at the clocks of the CA and of this machine")
            }
            Self::Expired => f.write_str("the certificate has expired; have a new one made"),
            Self::Revoked => f.write_str("the certificate is revoked"),
            Self::NoList => {
                f.write_str("`client_crl` has no list of the CA that signed the certificate; add it to the file")
            }
            Self::Unsigned(why) => write!(
                f,
                "no CA of the tenant stands for the certificate ({why}), and the login does not name its fingerprint; look at `client_ca` and `client_certificates`"
            ),
            Self::OtherName => f.write_str(
                "the login names neither the certificate's fingerprint nor one of its names; look at `client_certificates`",
            ),
        }
    }
}

impl std::error::Error for ClientCertificateRefusal {}

/// Whether a certificate of this standing in the login's tenant stands for the login.
pub(crate) fn stands_for(
    login: &Login,
    certificate: &ClientCertificate,
    standing: &Standing,
) -> Result<(), ClientCertificateRefusal> {
    let known = login.client_certificates.iter().any(|taken| match taken {
        CertificateMatcher::Fingerprint(fingerprint) => bool::from(fingerprint.ct_eq(certificate.fingerprint())),
        CertificateMatcher::Name(name) => matches!(standing, Standing::Signed { names } if names.contains(name)),
    });
    match standing {
        Standing::Refused(why) => Err(why.clone()),
        Standing::Signed { .. } | Standing::Unsigned(_) if known => Ok(()),
        Standing::Signed { .. } => Err(ClientCertificateRefusal::OtherName),
        Standing::Unsigned(why) => Err(ClientCertificateRefusal::Unsigned(why.clone())),
    }
}

/// The logins by the certificates that they take.
#[derive(Debug, Default)]
pub(crate) struct CertificateIndex {
    /// Each with whether it was declared through the API.
    fingerprints: HashMap<[u8; 32], Vec<(LoginMatch, bool)>>,
    /// By tenant and name.
    names: HashMap<(Arc<str>, SubjectName), Vec<LoginMatch>>,
}

impl CertificateIndex {
    /// With one login more. `stored`: it was declared through the API.
    pub(crate) fn add(&mut self, found: &LoginMatch, stored: bool) {
        for taken in &found.login.client_certificates {
            match taken {
                CertificateMatcher::Fingerprint(fingerprint) => {
                    self.fingerprints.entry(*fingerprint).or_default().push((found.clone(), stored));
                }
                CertificateMatcher::Name(name) => {
                    self.names.entry((found.tenant.id.clone(), name.clone())).or_default().push(found.clone());
                }
            }
        }
    }

    fn takers(&self, certificate: &ClientCertificate) -> &[(LoginMatch, bool)] {
        self.fingerprints.get(certificate.fingerprint()).map_or(&[], Vec::as_slice)
    }

    /// The logins that take this very certificate.
    pub(crate) fn by_fingerprint(&self, certificate: &ClientCertificate) -> impl Iterator<Item = &LoginMatch> {
        self.takers(certificate).iter().map(|(found, _)| found)
    }

    /// The same where it says itself whose it is. A tenant's administrator cannot make it mean nobody by declaring the
    /// certificate of another tenant's partner, too: of those that were declared through the API, only the oldest one's
    /// tenant counts, and it only where the configuration has none.
    pub(crate) fn meant_by(&self, certificate: &ClientCertificate) -> impl Iterator<Item = &LoginMatch> {
        let takers = self.takers(certificate);
        let first = takers.first().map(|(found, _)| &found.tenant.id);
        let counts = move |(found, stored): &&(LoginMatch, bool)| !stored || Some(&found.tenant.id) == first;
        takers.iter().filter(counts).map(|(found, _)| found)
    }

    /// The logins of a tenant that take certificates made out to this name.
    pub(crate) fn by_name(&self, tenant: &Arc<str>, name: &SubjectName) -> &[LoginMatch] {
        self.names.get(&(tenant.clone(), name.clone())).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::identity::Require;
    use crate::path::VirtualPath;

    fn login(taken: &[&str]) -> Login {
        Login {
            username: "edi01".into(),
            identity: "app".into(),
            protocols: Vec::new(),
            password_hash: None,
            totp_secret: None,
            authorized_keys: Vec::new(),
            authorized_keys_file: None,
            client_certificates: taken.iter().map(|text| CertificateMatcher::parse(text).unwrap()).collect(),
            require: Require::Any,
            allow_from: Vec::new(),
            home: VirtualPath::root(),
        }
    }

    #[test]
    fn matchers_are_read() {
        let digits = "0123456789abcdef".repeat(4);
        let digest: [u8; 32] = hex::decode(&digits).unwrap().try_into().unwrap();
        let spaced: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        for text in [format!("sha256:{digits}"), format!("sha256:{}", spaced.join(":"))] {
            assert_eq!(CertificateMatcher::parse(&text), Some(CertificateMatcher::Fingerprint(digest)), "{text}");
            assert_eq!(CertificateMatcher::parse(&text).unwrap().to_string(), format!("sha256:{digits}"));
        }
        let name = |text: &str| match CertificateMatcher::parse(text) {
            Some(CertificateMatcher::Name(name)) => Some(name),
            _ => None,
        };
        assert_eq!(name("san:EDI01.Partner.example"), Some(SubjectName::Dns("edi01.partner.example".into())));
        assert_eq!(name("san:Edi@Partner.example"), Some(SubjectName::Email("Edi@partner.example".into())));
        assert_eq!(name("san:spiffe://acme/Edi"), Some(SubjectName::Uri("spiffe://acme/Edi".into())));
        assert_eq!(name("san:urn:edi:01"), Some(SubjectName::Uri("urn:edi:01".into())));
        assert_eq!(name("san:192.0.2.7"), Some(SubjectName::Address([192, 0, 2, 7].into())));
        assert_eq!(name("san:2001:db8::7"), Some(SubjectName::Address("2001:db8:0::7".parse().unwrap())));
        for text in ["san:edi.example", "san:Edi@partner.example", "san:urn:edi:01", "san:2001:db8::7"] {
            assert_eq!(CertificateMatcher::parse(text).unwrap().to_string(), text);
        }
        for wrong in ["", "edi", "san:", "san:a b", "sha256:", "sha256:ab", "sha1:ab", &format!("sha256:{digits}00")] {
            assert_eq!(CertificateMatcher::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_stands_for_a_login() {
        use ClientCertificateRefusal as No;
        let certificate = ClientCertificate::new([vec![1], vec![2]]).unwrap();
        let other = ClientCertificate::new([vec![2]]).unwrap();
        let pinned = format!("sha256:{}", hex::encode(certificate.fingerprint()));
        let signed = |names: &[&str]| Standing::Signed {
            names: names.iter().map(|name| SubjectName::parse(name).unwrap()).collect(),
        };
        let unsigned = || Standing::Unsigned("why".into());
        for (taken, standing, wanted) in [
            // By fingerprint it does not matter who signed.
            (&[&*pinned][..], unsigned(), Ok(())),
            (&[&pinned], signed(&[]), Ok(())),
            (&["san:a.example", &pinned], unsigned(), Ok(())),
            // By name it does.
            (&["san:a.example"], signed(&["b.example", "a.example"]), Ok(())),
            (&["san:A.example"], signed(&["a.EXAMPLE"]), Ok(())),
            (&["san:a.example"], unsigned(), Err(No::Unsigned("why".into()))),
            (&["san:a.example"], signed(&["b.example"]), Err(No::OtherName)),
            (&["san:a.example"], signed(&["*.example", "x.a.example"]), Err(No::OtherName)),
            (&["san:a@a.example"], signed(&["a.example"]), Err(No::OtherName)),
            (&[], signed(&["a.example"]), Err(No::OtherName)),
            (&[], unsigned(), Err(No::Unsigned("why".into()))),
            // Nothing helps one that is refused.
            (&[&pinned], Standing::Refused(No::Expired), Err(No::Expired)),
            (&["san:a.example"], Standing::Refused(No::Revoked), Err(No::Revoked)),
        ] {
            assert_eq!(stands_for(&login(taken), &certificate, &standing), wanted, "{taken:?} {standing:?}");
        }
        let elsewhere = stands_for(&login(&[&pinned]), &other, &unsigned());
        assert_eq!(elsewhere, Err(No::Unsigned("why".into())), "another certificate");
    }

    #[test]
    fn names_of_different_kinds_are_different() {
        let certificate = ClientCertificate::new([vec![1]]).unwrap();
        let standing = Standing::Signed { names: vec![SubjectName::Uri("a.example".into())] };
        let refused = stands_for(&login(&["san:a.example"]), &certificate, &standing);
        assert_eq!(refused, Err(ClientCertificateRefusal::OtherName));
    }

    #[test]
    fn a_chain_is_cut() {
        assert_eq!(ClientCertificate::new([]), None);
        let long = ClientCertificate::new((0..100).map(|n| vec![n])).unwrap();
        assert_eq!((long.leaf(), long.intermediates().len()), (&[0][..], MAX_CHAIN - 1));
        assert_eq!(format!("{long:?}").len(), "ClientCertificate(sha256:)".len() + 64);
    }
}
