//! One operation leaves the same audit entry and the same events whichever protocol carried it (contract, `events.md`): each
//! operation of the contract, done and refused, over SFTP, scp, FTPS and REST by the same identity on the same files, compared
//! field by field. Where a protocol cannot do the same, the table says so, and why.

mod drive;
mod scp;
mod table;
mod trail;

use crate::harness::plan::Secrets;
use crate::harness::{Ledger, Plan, on_both_ledgers};
use drive::{Act, Clients, Keeper};
use table::{Case, PROTOCOLS};
use trail::{Facts, Trail, Watch};

on_both_ledgers!(every_protocol_leaves_the_same);

/// What the tenant's tree calls the root of all that the identities see.
const ROOT: &str = "/same/box";
/// The identities, each with its permissions; `poor` has a quota.
const WHO: [(&str, &str); 5] = [
    ("hand", "\"*\""),
    ("eye", "\"list\", \"download\""),
    ("part", "\"list\", \"download\", \"upload\", \"rename\", \"mkdir\""),
    ("blind", "\"upload\""),
    ("poor", "\"*\""),
];

fn plan(ledger: Ledger) -> Plan {
    let secrets = Secrets::get();
    let mut plan = Plan::new(ledger).limits("max_file_size = \"4 KiB\"");
    for (who, permissions) in WHO {
        let quota = if who == "poor" { "\nquota = \"1 KiB\"" } else { "" };
        let view = format!("[{{ at = \"/\", path = \"{ROOT}\", permissions = [{permissions}] }}]{quota}");
        let login = format!(
            "username = \"{who}\"\nidentity = \"{who}\"\nprotocols = [\"sftp\", \"ftps\"]\npassword_hash = \"{}\"\n\
             authorized_keys = [\"{}\"]",
            secrets.password_hash, secrets.public_key
        );
        plan = plan.keyed(who, &["files:read", "files:write"], &view).whole_login(&login);
    }
    plan
}

/// Whether a row of the trail is of this act: connections come and go beside it.
fn is_of(act: Act, row: &Facts) -> bool {
    let is = |field: &str, value: &str| row.get(field).is_some_and(|found| found == value);
    let login = is("operation", "login") || is("operation", "logout");
    match act {
        Act::Session => login && is("status", "completed"),
        Act::WrongPassword => login && is("status", "denied"),
        _ => !login,
    }
}

/// Does it over one protocol; what it left, and what was wrong about that.
async fn run(
    case: &Case,
    protocol: &str,
    clients: &mut Clients<'_>,
    keeper: &Keeper,
    watch: &mut Watch,
) -> (Trail, Vec<String>) {
    keeper.lay(case.there).await;
    let mut wrong = Vec::new();
    let done = clients.does(protocol, case.act, keeper).await;
    if done != case.is_done() {
        wrong.push(format!("the client was told {}", if done { "that it is done" } else { "that it is not done" }));
    }
    let besides = case.besides.iter().filter(|besides| besides.protocol == protocol);
    let (mut entries, mut events) = (case.entries.len(), case.events.len());
    let mut left_out = Vec::new();
    for besides in besides {
        entries += besides.entries;
        events += besides.events;
        left_out.push(besides.operation);
    }
    let act = case.act;
    let mut trail = watch.next(case.who, (entries, events), |row| is_of(act, row)).await;
    for operation in left_out {
        trail = trail.without(operation);
    }
    let outcomes = trail.outcomes();
    let outcomes: Vec<(&str, &str)> = outcomes.iter().map(|(what, how)| (what.as_str(), how.as_str())).collect();
    if outcomes != case.entries {
        wrong.push(format!("the audit entries are {outcomes:?}, not {:?}", case.entries));
    }
    if trail.kinds() != case.events {
        wrong.push(format!("the events are {:?}, not {:?}", trail.kinds(), case.events));
    }
    (trail.comparable(protocol), wrong)
}

/// What differs between the first protocol and another one, but for what the table allows; and what it allows in vain.
fn compared(case: &Case, first: (&str, &Trail), other: (&str, &Trail)) -> Vec<String> {
    let allowed = case.differs.iter().filter(|differs| [first.0, other.0].contains(&differs.protocol));
    let allowed: Vec<&str> = allowed.flat_map(|differs| differs.fields).copied().collect();
    let differences = first.1.differences(other.1);
    let mut wrong: Vec<String> = differences
        .iter()
        .filter(|(field, _)| !allowed.contains(&field.as_str()))
        .map(|(field, both)| format!("`{field}` differs: {both}"))
        .collect();
    for field in allowed {
        if !differences.iter().any(|(differs, _)| differs == field) {
            wrong.push(format!("`{field}` is the same now; take it out of the table"));
        }
    }
    wrong
}

async fn every_protocol_leaves_the_same(ledger: Ledger) {
    let gateway = plan(ledger).start().await;
    let (keeper, mut watch) = (Keeper::new(&gateway, ROOT), Watch::new(&gateway));
    let mut clients = Vec::new();
    for (who, _) in WHO {
        clients.push((who, Clients::of(&gateway, who).await));
        // Their logins are nobody's act.
        watch.next(who, (2, 4), |_| true).await;
    }
    let mut wrong = Vec::new();
    for case in table::cases() {
        let clients = &mut clients.iter_mut().find(|(who, _)| *who == case.who).unwrap().1;
        let mut first: Option<(&str, Trail)> = None;
        for protocol in PROTOCOLS {
            if let Some(cannot) = case.cannot.iter().find(|cannot| cannot.0 == protocol) {
                println!("{} is not done over {protocol}: {}", case.name, cannot.1);
                continue;
            }
            let (trail, mut complaints) = run(&case, protocol, clients, &keeper, &mut watch).await;
            if let Some((reference, expected)) = &first {
                complaints.extend(compared(&case, (*reference, expected), (protocol, &trail)));
            }
            let against = first.as_ref().map_or_else(String::new, |(reference, _)| format!(" (against {reference})"));
            wrong.extend(complaints.iter().map(|what| format!("{}, {protocol}{against}: {what}", case.name)));
            first = first.or(Some((protocol, trail)));
        }
    }
    let verified = gateway.rest("orders").get("/audit/verify").await.ok();
    assert_eq!(verified["valid"], true, "{verified}");
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}
