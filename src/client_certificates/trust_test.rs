//! What files of CAs and lists say of certificates, at which moment.

use std::time::{Duration, SystemTime};

use causeway_core::identity::{ClientCertificate, ClientCertificateRefusal as No, Standing, SubjectName};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, ExtendedKeyUsagePurpose,
    IsCa, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber,
};
use time::OffsetDateTime;

use super::*;

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca() -> Ca {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Good for a minute around `at`, in seconds from now.
fn certificate(ca: &Ca, serial: u64, at: i64) -> ClientCertificate {
    let mut params = CertificateParams::new(vec!["Edi.example".to_owned()]).unwrap();
    let at = OffsetDateTime::now_utc() + time::Duration::seconds(at);
    (params.not_before, params.not_after) = (at - time::Duration::seconds(30), at + time::Duration::seconds(30));
    params.serial_number = Some(SerialNumber::from(serial));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let made = params.signed_by(&KeyPair::generate().unwrap(), ca).unwrap();
    ClientCertificate::new([made.der().to_vec()]).unwrap()
}

fn list(ca: &Ca, serial: u64) -> CertRevocationList<'static> {
    let now = OffsetDateTime::now_utc();
    let params = CertificateRevocationListParams {
        this_update: now - time::Duration::hours(1),
        next_update: now + time::Duration::hours(1),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: now,
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    OwnedCertRevocationList::from_der(params.signed_by(ca).unwrap().der()).unwrap().into()
}

fn anchors(ca: &Ca) -> Vec<TrustAnchor<'static>> {
    vec![anchor_from_trusted_cert(ca.der()).unwrap().to_owned()]
}

#[test]
fn under_a_ca_in_time_and_not_revoked() {
    let (ours, theirs) = (ca(), ca());
    let now = SystemTime::now();
    let alone = Trust::new(anchors(&ours), Vec::new());
    let names = vec![SubjectName::Dns("edi.example".to_owned())];
    let signed = Standing::Signed { names };
    assert_eq!(alone.examine(&certificate(&ours, 1, 0), now).unwrap(), signed);
    let hour = 3600;
    for (at, wanted) in [(-hour, No::Expired), (hour, No::NotYetValid)] {
        assert_eq!(alone.examine(&certificate(&ours, 1, at), now).unwrap(), Standing::Refused(wanted.clone()));
        assert_eq!(alone.examine(&certificate(&theirs, 1, at), now).unwrap(), Standing::Refused(wanted), "of nobody's");
    }
    assert!(matches!(alone.examine(&certificate(&theirs, 1, 0), now).unwrap(), Standing::Unsigned(_)));
    let nobody = Trust::new(Vec::new(), Vec::new());
    assert!(matches!(nobody.examine(&certificate(&ours, 1, 0), now).unwrap(), Standing::Unsigned(_)));
    for broken in [vec![], vec![0x30, 0x00], vec![1; 2000]] {
        let broken = ClientCertificate::new([broken]).unwrap();
        assert_eq!(alone.examine(&broken, now).unwrap(), Standing::Refused(No::Malformed));
    }

    let listed = Trust::new(anchors(&ours), vec![list(&ours, 7)]);
    assert_eq!(listed.examine(&certificate(&ours, 8, 0), now).unwrap(), signed);
    assert_eq!(listed.examine(&certificate(&ours, 7, 0), now).unwrap(), Standing::Refused(No::Revoked));
    let stale = listed.examine(&certificate(&ours, 8, 2 * hour), now + Duration::from_hours(2));
    assert!(stale.unwrap_err().message().contains("out of date"));
    let other = Trust::new(anchors(&ours), vec![list(&theirs, 7)]);
    // Both CAs have the same name here: the list is somebody else's.
    assert!(other.examine(&certificate(&ours, 8, 0), now).unwrap_err().message().contains("is not signed by the CA"));
}

#[test]
fn one_that_no_ca_stands_for_may_be_on_a_list_all_the_same() {
    let ours = ca();
    let revoked = Trust::new(Vec::new(), vec![list(&ours, 7)]);
    let now = SystemTime::now();
    assert_eq!(revoked.examine(&certificate(&ours, 7, 0), now).unwrap(), Standing::Refused(No::Revoked));
    assert!(matches!(revoked.examine(&certificate(&ours, 8, 0), now).unwrap(), Standing::Unsigned(_)));
}
