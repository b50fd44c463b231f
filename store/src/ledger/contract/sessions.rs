//! Sessions that nodes tell each other of.

use causeway_core::ports::Reach;
use causeway_core::records::{SessionRow, SessionSearch};
use uuid::Uuid;

use super::{Subject, T0, write};

fn row(tenant: &str, login: &str, incarnation: Uuid) -> SessionRow {
    SessionRow {
        id: Uuid::now_v7(),
        tenant: tenant.into(),
        identity: format!("{login}-identity"),
        login: login.into(),
        protocol: "sftp".into(),
        client_ip: "192.0.2.7".into(),
        client_version: Some("SSH-2.0-x".into()),
        auth_method: "publickey+totp".into(),
        node: "gw-1".into(),
        incarnation,
        started_at: T0,
        end_asked: None,
    }
}

fn of(tenant: &str) -> SessionSearch {
    SessionSearch { tenant: tenant.into(), ..SessionSearch::default() }
}

async fn found(ledger: &Subject, search: SessionSearch, limit: u32) -> Vec<SessionRow> {
    ledger.read(Reach::Gateway).await.unwrap().sessions(&search, limit).await.unwrap()
}

pub async fn sessions_come_and_go(ledger: Subject) {
    let (mine, theirs) = (Uuid::now_v7(), Uuid::now_v7());
    let one = row("acme", "a", mine);
    let two = SessionRow { protocol: "ftps".into(), client_version: None, ..row("acme", "b", mine) };
    let three = row("acme", "a", theirs);
    let foreign = row("other", "a", theirs);
    let all = vec![one.clone(), two.clone(), three.clone(), foreign.clone()];
    write!(ledger, [all], |tx| tx.insert_sessions(&all).await).unwrap();
    let again = vec![SessionRow { node: "gw-9".into(), ..one.clone() }];
    write!(ledger, [again], |tx| tx.insert_sessions(&again).await).unwrap();

    let newest_first = [three.clone(), two.clone(), one.clone()];
    assert_eq!(found(&ledger, of("acme"), 9).await, newest_first, "every field, and what is there stays");
    assert_eq!(found(&ledger, of("acme"), 2).await, newest_first[..2]);
    let before = SessionSearch { before: Some(two.id), ..of("acme") };
    assert_eq!(found(&ledger, before, 9).await, std::slice::from_ref(&one));
    let besides = SessionSearch { besides: mine, ..of("acme") };
    assert_eq!(found(&ledger, besides, 9).await, std::slice::from_ref(&three));
    let by_protocol = SessionSearch { protocol: Some("ftps".into()), ..of("acme") };
    assert_eq!(found(&ledger, by_protocol, 9).await, std::slice::from_ref(&two));
    let by_identity = SessionSearch { identity: Some("b-identity".into()), ..of("acme") };
    assert_eq!(found(&ledger, by_identity, 9).await, std::slice::from_ref(&two));
    let by_login = SessionSearch { login: Some("a".into()), ..of("acme") };
    assert_eq!(found(&ledger, by_login, 9).await, [three.clone(), one.clone()]);
    assert_eq!(found(&ledger, of("nobody"), 9).await, []);

    let count = async |of| ledger.read(Reach::Gateway).await.unwrap().session_count(of).await.unwrap();
    assert_eq!((count(mine).await, count(theirs).await), (2, 2));
    let gone = vec![two.id, Uuid::now_v7()];
    write!(ledger, [gone], |tx| tx.delete_sessions(&gone).await).unwrap();
    assert_eq!((count(mine).await, count(theirs).await), (1, 2));
    assert_eq!(write!(ledger, [], |tx| tx.clear_sessions(theirs).await).unwrap(), 2);
    assert_eq!(found(&ledger, of("acme"), 9).await, [one]);
}

pub async fn the_end_of_a_session_is_asked_for(ledger: Subject) {
    let (mine, theirs) = (Uuid::now_v7(), Uuid::now_v7());
    let (one, two) = (row("acme", "a", mine), row("acme", "b", theirs));
    let all = vec![one.clone(), two.clone()];
    write!(ledger, [all], |tx| tx.insert_sessions(&all).await).unwrap();
    let ask = async |id, tenant: Option<&'static str>, now| {
        write!(ledger, [], |tx| tx.ask_session_end(id, tenant, now).await).unwrap()
    };
    let to_end = async |of| ledger.read(Reach::Gateway).await.unwrap().sessions_to_end(of).await.unwrap();
    assert_eq!(ask(one.id, Some("other"), T0).await, None, "another tenant's is not there");
    assert_eq!(ask(Uuid::now_v7(), None, T0).await, None);
    assert!(to_end(mine).await.is_empty());
    let asked = SessionRow { end_asked: Some(T0 + 1), ..one.clone() };
    assert_eq!(ask(one.id, Some("acme"), T0 + 1).await, Some(asked.clone()));
    assert_eq!(ask(one.id, None, T0 + 2).await, Some(asked), "the first one counts");
    assert_eq!((to_end(mine).await, to_end(theirs).await), (vec![one.id], Vec::new()));
}
