//! CAs, client certificates and revocation lists of the tests' own.

use std::cell::Cell;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};

use super::sha256;

/// A CA.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// The certificates between it and its root, in PEM.
    above: String,
    serial: Cell<u64>,
}

/// A certificate with its key, on disk.
#[derive(Clone)]
pub struct Issued {
    /// The chain, PEM.
    pub chain: PathBuf,
    /// The key, PEM.
    pub key: PathBuf,
    pub der: Vec<u8>,
    pub serial: u64,
}

impl Issued {
    /// As the configuration writes it.
    pub fn fingerprint(&self) -> String {
        format!("sha256:{}", sha256(&self.der))
    }

    /// As rustls wants it.
    pub fn load(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let chain = CertificateDer::pem_file_iter(&self.chain).unwrap().collect::<Result<_, _>>().unwrap();
        (chain, PrivateKeyDer::from_pem_file(&self.key).unwrap())
    }

    fn write(folder: &Path, name: &str, chain: &str, key: &KeyPair, der: &[u8], serial: u64) -> Self {
        let (chain_path, key_path) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        fs::write(&chain_path, chain).unwrap();
        fs::write(&key_path, key.serialize_pem()).unwrap();
        Self { chain: chain_path, key: key_path, der: der.to_vec(), serial }
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A client's certificate made out to these names: `DNS:…`, `email:…`, `URI:…`, `IP:…`.
fn client(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("client.example");
    params.not_before = OffsetDateTime::now_utc() - Duration::hours(1);
    params.not_after = OffsetDateTime::now_utc() + Duration::hours(1);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    for name in names {
        let (kind, text) = name.split_once(':').unwrap();
        params.subject_alt_names.push(match kind {
            "DNS" => SanType::DnsName(text.try_into().unwrap()),
            "email" => SanType::Rfc822Name(text.try_into().unwrap()),
            "URI" => SanType::URI(text.try_into().unwrap()),
            "IP" => SanType::IpAddress(text.parse::<IpAddr>().unwrap()),
            other => panic!("no kind of name: {other}"),
        });
    }
    params
}

/// A certificate that nobody but its holder has signed. Like those that `openssl req -x509` makes it says that it is a CA's.
pub fn self_signed(folder: &Path, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Issued {
    let mut params = client(&[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.extended_key_usages.clear();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    Issued::write(folder, name, &made.pem(), &key, made.der(), 0)
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let issuer = CertifiedIssuer::self_signed(authority(name), KeyPair::generate().unwrap()).unwrap();
        Self { issuer, above: String::new(), serial: Cell::new(100) }
    }

    /// A CA under this one.
    pub fn below(&self, name: &str) -> Self {
        let mut params = authority(name);
        self.serial.set(self.serial.get() + 1);
        params.serial_number = Some(SerialNumber::from(self.serial.get()));
        let issuer = CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &self.issuer).unwrap();
        let above = format!("{}{}", issuer.pem(), self.above);
        Self { issuer, above, serial: Cell::new(1000) }
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A client's certificate made out to these names, changed once more.
    pub fn issue_as(
        &self,
        folder: &Path,
        name: &str,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let mut params = client(names);
        self.serial.set(self.serial.get() + 1);
        params.serial_number = Some(SerialNumber::from(self.serial.get()));
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let made = params.signed_by(&key, &self.issuer).unwrap();
        let chain = format!("{}{}", made.pem(), self.above);
        Issued::write(folder, name, &chain, &key, made.der(), self.serial.get())
    }

    pub fn issue(&self, folder: &Path, name: &str, names: &[&str]) -> Issued {
        self.issue_as(folder, name, names, |_| {})
    }

    /// A list of these numbers, in PEM, which is out of date at `until` from now.
    pub fn revoke(&self, serials: &[u64], until: Duration) -> String {
        let now = OffsetDateTime::now_utc();
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: now - Duration::minutes(5),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: now - Duration::hours(2),
            next_update: now + until,
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}
