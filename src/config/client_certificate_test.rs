//! Client certificates of TLS: mistakes, and what they are told.

use super::Secrets;
use super::bad_test::{GOOD, said};
use causeway_core::identity::CertificateMatcher;
use rcgen::{BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa, KeyPair};
use time::{Duration, OffsetDateTime};

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let now = OffsetDateTime::now_utc();
        let list = CertificateRevocationListParams {
            this_update: now,
            next_update: now + Duration::days(1),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&ca).unwrap().pem().unwrap();
        for (name, content) in [("ca.pem", ca.pem()), ("crl.pem", list), ("text", "no pem".to_owned())] {
            std::fs::write(files.0.path().join(name), content).unwrap();
        }
        files
    }

    /// What is said of lines of the tenant and of its login, without lines and columns.
    fn said(&self, top: &str, tenant: &str, login: &str) -> Vec<String> {
        let tenant = tenant.replace("DIR", &self.0.path().display().to_string());
        let text = GOOD.replace("id = \"acme\"", &format!("id = \"acme\"\n{tenant}"));
        let text = format!("{top}\n{text}[[tenant.login]]\nusername = \"edi\"\nidentity = \"app\"\n{login}\n");
        let shown = self.0.path().display().to_string();
        let lines = said(&text, Secrets::Skip).into_iter();
        lines.map(|line| line.splitn(4, ':').nth(3).unwrap().trim().replace(&shown, "DIR")).collect()
    }
}

const CA: &str = "client_ca = \"DIR/ca.pem\"";
const FTPS: &str = "protocols = [\"ftps\"]";

#[test]
fn what_is_right() {
    let files = Files::new();
    let both = format!("{CA}\nclient_crl = \"DIR/crl.pem\"");
    let taken = format!("{FTPS}\nclient_certificates = [\"san:edi.example\", \"sha256:{}\"]", "ab".repeat(32));
    let empty: [&str; 0] = [];
    assert_eq!(files.said("[ftps]", &both, &taken), empty);
    assert_eq!(
        files.said("[ftps]", &both, &format!("{taken}\nrequire = \"certificate+password\"\npassword_hash = \"env:X\"")),
        empty
    );
    assert_eq!(files.said("[api]", &both, &taken.replace("ftps", "api")), empty, "over the API");
    let pinned = format!("{FTPS}\nclient_certificates = [\"sha256:{}\"]", "ab".repeat(32));
    assert_eq!(files.said("[ftps]\nclient_certificates = \"required\"", "", &pinned), empty, "without a CA");
    let text = format!("{GOOD}[[tenant.login]]\nusername = \"edi\"\nidentity = \"app\"\n{pinned}\n[ftps]\n[api]\n");
    let (config, _) = super::parse(std::path::Path::new("c.toml"), &text, Secrets::Skip);
    let taken = &config.unwrap().tenants[0].logins[0].client_certificates;
    assert_eq!(*taken, [CertificateMatcher::Fingerprint([0xab; 32])]);
}

#[test]
fn what_is_wrong() {
    let files = Files::new();
    let taken = format!("{FTPS}\nclient_certificates = [\"san:edi.example\"]");
    let right = |more: &str| files.said("[ftps]\n[api]", CA, more);
    let tenant = |lines: &str| files.said("[ftps]", lines, &format!("{FTPS}\npassword_hash = \"env:X\""));
    let until = "until it is right no client certificate could log in";
    assert_eq!(
        tenant("client_ca = \"DIR/text\""),
        [format!(
            "error: tenant.client_ca: DIR/text: there is no certificate in it; name a PEM file with certificates of CAs; {until}"
        )]
    );
    assert_eq!(
        tenant("client_ca = \"DIR/none\""),
        [format!("error: tenant.client_ca: DIR/none cannot be read: entity not found; {until}")]
    );
    assert_eq!(
        tenant(&format!("{CA}\nclient_crl = \"DIR/ca.pem\"")),
        [format!(
            "error: tenant.client_crl: DIR/ca.pem: there is no revocation list in it; name a file with X.509 CRLs; {until}"
        )]
    );
    assert_eq!(
        tenant("client_crl = \"DIR/crl.pem\""),
        ["error: tenant.client_crl: stands here without `client_ca`; name the CA whose list this is"]
    );
    assert_eq!(
        files.said("[ftps]", "", &taken),
        [
            "error: tenant.login.client_certificates: is a name in certificates of the tenant's CA, and there is none; add `client_ca`"
        ]
    );
    assert_eq!(
        files.said("[ftps]\nclient_certificates = \"off\"", CA, &taken),
        [
            "warning: tenant.login: has `client_certificates`, and `ftps.client_certificates` is \"off\", so that no client is asked for one there"
        ]
    );
    assert_eq!(
        files.said("[api]\nclient_certificates = \"required\"", "", &format!("{FTPS}\npassword_hash = \"env:X\"")),
        [
            "warning: tenant: knows no client certificates, and a listener requires them; nobody of this tenant can come there; add `client_ca`"
        ]
    );
    assert_eq!(
        right(&taken.replace("ftps", "sftp")),
        [
            "warning: tenant.login: has `client_certificates`, which SFTP does not know; add \"ftps\" or \"api\" to `protocols`, or leave them out"
        ]
    );
    assert_eq!(
        right(
            &taken
                .replace("[\"ftps\"]", "[\"ftps\", \"sftp\", \"api\"]")
                .replace("clie", "require = \"certificate+password\"\npassword_hash = \"env:X\"\nclie")
        ),
        [
            "warning: tenant.login: has a `require` that SFTP cannot ask for; over \"sftp\" nobody can log in by it",
            "warning: tenant.login: has a `require` that the API cannot ask for; over \"api\" nobody can log in by it",
        ]
    );
    assert_eq!(
        right(&format!("{FTPS}\nrequire = \"certificate+password\"\npassword_hash = \"env:X\"")),
        [
            "warning: tenant.login: has a `require` that FTPS cannot ask for; over \"ftps\" nobody can log in by it",
            "warning: tenant.login.require: asks for a certificate, and none would be believed; nobody can log in by it",
        ]
    );
    let api = taken.replace("ftps", "api");
    let twice = right(&format!(
        "{api}\n[[tenant.login]]\nusername = \"two\"\nidentity = \"app\"\n{}",
        api.replace("edi", "EDI")
    ));
    assert_eq!(twice.len(), 1, "{twice:?}");
    assert!(twice[0].contains("client certificate of the API") && twice[0].contains("stands in line"), "{twice:?}");
    for wrong in ["sha256:ab", "san:", "edi", "sha1:ab"] {
        let said = right(&taken.replace("san:edi.example", wrong));
        assert!(
            said[0].contains("names no certificate; write \"sha256:<64 hex digits>\" or \"san:<name>\""),
            "{said:?}"
        );
    }
}
