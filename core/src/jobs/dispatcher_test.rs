use super::*;
use crate::events::{EndpointTls, sign};
use crate::identity::{Peer, Protocol};
use crate::jobs::fake_ledger::FakeLedger;
use async_trait::async_trait;
use globset::GlobSet;
use std::collections::HashMap;
use std::sync::Mutex;

/// Address, headers and body.
type Request = (String, HashMap<&'static str, String>, Bytes);

/// Answers by what it was told, and keeps what it got.
#[derive(Default)]
struct Endpoint {
    got: Mutex<Vec<Request>>,
    /// The next answers for each event; after them, 200.
    answers: Mutex<HashMap<String, Vec<Answer>>>,
    /// How many are there at once, and were at the most.
    busy: Mutex<(usize, usize)>,
    delay: Duration,
}

#[async_trait]
impl WebhookSender for Endpoint {
    async fn post(&self, webhook: &Webhook, headers: &[(&'static str, String)], body: Bytes) -> Answer {
        let headers: HashMap<_, _> = headers.iter().cloned().collect();
        let id = headers["webhook-id"].clone();
        self.got.lock().unwrap().push((webhook.url.clone(), headers, body));
        {
            let mut busy = self.busy.lock().unwrap();
            busy.0 += 1;
            busy.1 = busy.1.max(busy.0);
        }
        sleep(self.delay).await;
        self.busy.lock().unwrap().0 -= 1;
        let mut answers = self.answers.lock().unwrap();
        let next = answers.get_mut(&id).filter(|list| !list.is_empty()).map(|list| list.remove(0));
        next.unwrap_or(Answer::Status(200, None))
    }
}

impl Endpoint {
    fn ids(&self) -> Vec<String> {
        self.got.lock().unwrap().iter().map(|got| got.1["webhook-id"].clone()).collect()
    }
}

fn queue(ledger: &FakeLedger, path: &str) -> String {
    let peer = Peer {
        ip: [192, 0, 2, 7].into(),
        protocol: Protocol::Sftp,
        client_version: None,
        cipher: None,
        required_certificate: None,
    };
    let mut facts = Facts::of_peer(&peer, "gw-1", Operation::Upload);
    facts.tenant = Some("acme".into());
    facts.path = Some(path.to_owned());
    let event = facts.event("file.uploaded");
    let id = event.id;
    ledger.look(|state| {
        let position = state.events.len() as i64 + 1;
        state.events.push(event);
        state.positions.push((id, position));
        state.deliveries.push(pending(id, position));
    });
    id.to_string()
}

fn pending(event: Uuid, position: i64) -> Delivery {
    Delivery {
        webhook: "acme/hook".into(),
        event,
        position,
        state: DeliveryState::Pending,
        attempts: 0,
        next_at: 0,
        last_result: None,
    }
}

fn dispatcher(ledger: &Arc<FakeLedger>, endpoint: &Arc<Endpoint>, max_attempts: u32) -> Dispatcher {
    Dispatcher {
        ledger: ledger.clone(),
        sender: endpoint.clone(),
        webhook: Webhook {
            tenant: "acme".into(),
            id: "hook".into(),
            url: "https://hooks.example/x".into(),
            events: GlobSet::empty(),
            event_texts: Vec::new(),
            path: None,
            path_text: None,
            secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into(),
            previous: None,
            tls: EndpointTls::default(),
        },
        holder: Uuid::now_v7(),
        // Waits of no more than a second, and a circuit that stays closed, but where a test is about it.
        rules: DeliveryRules {
            max_attempts,
            first_wait: Duration::from_millis(200),
            longest_wait: Duration::from_secs(1),
            breaker_failures: 1000,
            ..DeliveryRules::default()
        },
        node: "gw-1".into(),
        poll: Duration::from_secs(30),
        crowd: Arc::default(),
        requeued: watch::channel(0).1,
        wake: Arc::default(),
        metrics: Arc::default(),
        tracer: crate::trace::Tracer::default(),
    }
}

async fn until(what: &str, mut met: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if met() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("not in time: {what}");
}

fn open(ledger: &FakeLedger) -> usize {
    ledger.look(|state| state.deliveries.iter().filter(|d| d.state == DeliveryState::Pending).count())
}

#[tokio::test]
async fn a_delivery_belongs_to_the_trace_of_its_event() {
    let (ledger, endpoint) = (Arc::new(FakeLedger::default()), Arc::new(Endpoint::default()));
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    queue(&ledger, "/a");
    ledger.look(|state| state.events[0].trace = TraceContext::parse(trace, Some("vendor=x")));
    queue(&ledger, "/b");
    let (_positions, watch) = watch::channel(0);
    let shutdown = CancellationToken::new();
    let job = tokio::spawn(run(dispatcher(&ledger, &endpoint, 12), watch, shutdown.clone()));
    until("both", || open(&ledger) == 0).await;
    let got = endpoint.got.lock().unwrap().clone();
    let named = |name: &str| got.iter().filter_map(|(_, headers, _)| headers.get(name).cloned()).collect::<Vec<_>>();
    assert_eq!((named("traceparent"), named("tracestate")), (vec![trace.to_owned()], vec!["vendor=x".to_owned()]));
    shutdown.cancel();
    job.await.unwrap();
}

#[tokio::test]
async fn events_arrive_signed_and_later_ones_wake_it() {
    let (ledger, endpoint) = (Arc::new(FakeLedger::default()), Arc::new(Endpoint::default()));
    let first = queue(&ledger, "/a");
    let (positions, watch) = watch::channel(0);
    let shutdown = CancellationToken::new();
    let job = tokio::spawn(run(dispatcher(&ledger, &endpoint, 12), watch, shutdown.clone()));
    until("the first", || open(&ledger) == 0).await;
    let second = queue(&ledger, "/a");
    positions.send_replace(2);
    until("the second", || open(&ledger) == 0).await;
    assert_eq!(endpoint.ids(), [first.clone(), second]);

    let (url, headers, body) = endpoint.got.lock().unwrap()[0].clone();
    assert_eq!(url, "https://hooks.example/x");
    assert_eq!(headers["content-type"], "application/json");
    assert!(headers["user-agent"].starts_with("causeway/"));
    let at: i64 = headers["webhook-timestamp"].parse().unwrap();
    let secret = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()];
    for (name, value) in sign(&secret, &first, at, &body).unwrap() {
        assert_eq!(headers[name], value);
    }
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&body).unwrap()["id"], first);

    shutdown.cancel();
    job.await.unwrap();
    let now = now();
    assert!(ledger.look(|state| state.leases["webhook/acme/hook"].1) <= now, "the lease is given back");
    assert!(ledger.look(|state| state.deliveries.iter().all(|d| d.last_result.as_deref() == Some("200"))));
}

#[tokio::test]
async fn a_failure_holds_its_own_file_only() {
    let (ledger, endpoint) = (Arc::new(FakeLedger::default()), Arc::new(Endpoint::default()));
    let (a1, b1, a2) = (queue(&ledger, "/a"), queue(&ledger, "/b"), queue(&ledger, "/a"));
    endpoint.answers.lock().unwrap().insert(a1.clone(), vec![Answer::Failed("connection refused".into())]);
    let (_positions, watch) = watch::channel(0);
    let shutdown = CancellationToken::new();
    let job = tokio::spawn(run(dispatcher(&ledger, &endpoint, 12), watch, shutdown.clone()));
    until("all", || open(&ledger) == 0).await;
    assert_eq!(endpoint.ids(), [a1.clone(), b1, a1, a2]);
    assert_eq!(ledger.look(|state| state.deliveries[0].attempts), 2);
    shutdown.cancel();
    job.await.unwrap();
}

#[tokio::test]
async fn a_dead_letter_frees_its_file() {
    let (ledger, endpoint) = (Arc::new(FakeLedger::default()), Arc::new(Endpoint::default()));
    let (a1, a2, a3) = (queue(&ledger, "/a"), queue(&ledger, "/a"), queue(&ledger, "/a"));
    let mut answers = HashMap::new();
    answers.insert(a1.clone(), vec![Answer::Status(500, None), Answer::Status(302, None)]);
    answers.insert(a2.clone(), vec![Answer::Failed("connection refused".into()), Answer::Status(400, None)]);
    *endpoint.answers.lock().unwrap() = answers;
    let (_positions, watch) = watch::channel(0);
    let shutdown = CancellationToken::new();
    let job = tokio::spawn(run(dispatcher(&ledger, &endpoint, 2), watch, shutdown.clone()));
    until("all", || open(&ledger) == 0).await;
    assert_eq!(endpoint.ids(), [a1.clone(), a1, a2.clone(), a2, a3]);
    let states: Vec<_> = ledger.look(|state| state.deliveries.iter().map(|d| d.state).collect());
    assert_eq!(states, [DeliveryState::Dead, DeliveryState::Dead, DeliveryState::Delivered]);
    shutdown.cancel();
    job.await.unwrap();
}

#[tokio::test]
async fn a_backlog_goes_eight_at_a_time_and_a_wall_of_waiting_ones_is_looked_over() {
    let ledger = Arc::new(FakeLedger::default());
    let endpoint = Arc::new(Endpoint { delay: Duration::from_millis(2), ..Endpoint::default() });
    for number in 0..1200 {
        queue(&ledger, &format!("/{number}"));
    }
    // The first 1,100 wait for a long time; the others are behind the first window and the second.
    ledger.look(|state| state.deliveries.iter_mut().take(1100).for_each(|d| d.next_at = now() + 3_600_000_000));
    let (_positions, watch) = watch::channel(0);
    let shutdown = CancellationToken::new();
    let job = tokio::spawn(run(dispatcher(&ledger, &endpoint, 12), watch, shutdown.clone()));
    until("those that are due", || open(&ledger) == 1100).await;
    assert_eq!(endpoint.ids().len(), 100);
    assert_eq!(endpoint.busy.lock().unwrap().1, IN_FLIGHT);
    shutdown.cancel();
    job.await.unwrap();
}

#[tokio::test]
async fn attempts_do_not_wait_for_the_ledger_but_their_files_do() {
    let (ledger, endpoint) = (Arc::new(FakeLedger::default()), Arc::new(Endpoint::default()));
    let (positions, watch) = watch::channel(0);
    let shutdown = CancellationToken::new();
    let job = tokio::spawn(run(dispatcher(&ledger, &endpoint, 12), watch, shutdown.clone()));
    until("the lease", || ledger.look(|state| !state.leases.is_empty())).await;
    let held = ledger.writer.lock().await;
    let first = queue(&ledger, "/a");
    let second = queue(&ledger, "/a");
    let others: Vec<String> = (0..298).map(|number| queue(&ledger, &format!("/{number}"))).collect();
    positions.send_replace(300);
    // Nothing can be written: they go on all the same, up to as many as may be sent again after a crash.
    until("the first ones", || endpoint.ids().len() >= UNWRITTEN).await;
    sleep(Duration::from_millis(50)).await;
    let sent = endpoint.ids();
    assert_eq!(sent[0], first);
    assert_eq!(sent[1..], others[..UNWRITTEN - 1], "the second about the same file waits");
    assert_eq!(open(&ledger), 300);
    drop(held);
    until("all", || open(&ledger) == 0).await;
    let sent = endpoint.ids();
    assert_eq!(sent.len(), 300, "each once");
    assert!(sent.contains(&second));
    shutdown.cancel();
    job.await.unwrap();
}

#[tokio::test]
async fn one_holder_delivers_and_what_a_dead_one_left_is_sent_again() {
    let (ledger, endpoint) = (Arc::new(FakeLedger::default()), Arc::new(Endpoint::default()));
    let id = queue(&ledger, "/a");
    let mine = dispatcher(&ledger, &endpoint, 12);
    // Another node holds the lease: nothing is sent.
    let other = Uuid::now_v7();
    ledger.look(|state| state.leases.insert("webhook/acme/hook".into(), (other, now() + 60_000_000)));
    let (_positions, watch) = watch::channel(0);
    let shutdown = CancellationToken::new();
    let job = tokio::spawn(run(mine.clone(), watch.clone(), shutdown.clone()));
    sleep(Duration::from_millis(100)).await;
    assert!(endpoint.ids().is_empty());
    shutdown.cancel();
    job.await.unwrap();
    // Results are not written over another's.
    let mut done = ledger.look(|state| state.deliveries[0].clone());
    done.state = DeliveryState::Delivered;
    assert!(!mine.record(vec![done], None).await.unwrap());
    assert_eq!(open(&ledger), 1);

    // It is this installation's own lease, left by a process that was killed while it sent: taken up at once. The
    // ledger fails in between, too.
    ledger.look(|state| state.leases.insert("webhook/acme/hook".into(), (mine.holder, now() + 60_000_000)));
    *ledger.failures.lock().unwrap() = 1;
    let shutdown = CancellationToken::new();
    let job = tokio::spawn(run(mine, watch, shutdown.clone()));
    until("the event", || open(&ledger) == 0).await;
    assert_eq!(endpoint.ids(), [id]);
    shutdown.cancel();
    job.await.unwrap();
}

#[tokio::test]
async fn the_shutdown_waits_for_an_answer() {
    let ledger = Arc::new(FakeLedger::default());
    let endpoint = Arc::new(Endpoint { delay: Duration::from_millis(300), ..Endpoint::default() });
    queue(&ledger, "/a");
    let (_positions, watch) = watch::channel(0);
    let shutdown = CancellationToken::new();
    let job = tokio::spawn(run(dispatcher(&ledger, &endpoint, 12), watch, shutdown.clone()));
    until("the request", || !endpoint.ids().is_empty()).await;
    shutdown.cancel();
    job.await.unwrap();
    assert_eq!(open(&ledger), 0);
}

#[tokio::test]
async fn what_is_queued_again_while_it_is_under_way_has_all_its_attempts() {
    let ledger = Arc::new(FakeLedger::default());
    let endpoint = Arc::new(Endpoint { delay: Duration::from_millis(200), ..Endpoint::default() });
    let id = queue(&ledger, "/a");
    // Its last attempt, which fails.
    ledger.look(|state| state.deliveries[0].attempts = 11);
    endpoint.answers.lock().unwrap().insert(id.clone(), vec![Answer::Status(500, None)]);
    let mine = Dispatcher { poll: Duration::from_millis(50), ..dispatcher(&ledger, &endpoint, 12) };
    let (_positions, watch) = watch::channel(0);
    let shutdown = CancellationToken::new();
    let job = tokio::spawn(run(mine, watch, shutdown.clone()));
    until("the request", || !endpoint.ids().is_empty()).await;
    ledger.look(|state| state.deliveries[0].attempts = 0);
    until("the end", || open(&ledger) == 0).await;
    assert_eq!(endpoint.ids(), [id.clone(), id]);
    let row = ledger.look(|state| state.deliveries[0].clone());
    assert_eq!((row.state, row.attempts), (DeliveryState::Delivered, 1));
    shutdown.cancel();
    job.await.unwrap();
}

#[tokio::test]
async fn what_one_says_that_is_left_is_not_held_against_the_next() {
    let ledger = Arc::new(FakeLedger::default());
    let endpoint = Arc::new(Endpoint { delay: Duration::from_millis(300), ..Endpoint::default() });
    let (gone, failed) = (queue(&ledger, "/a"), queue(&ledger, "/b"));
    endpoint.answers.lock().unwrap().insert(gone, vec![Answer::Status(410, None)]);
    endpoint.answers.lock().unwrap().insert(failed, vec![Answer::Status(500, None)]);
    let (_positions, watch) = watch::channel(0);
    let shutdown = CancellationToken::new();
    let job = tokio::spawn(run(dispatcher(&ledger, &endpoint, 12), watch, shutdown.clone()));
    until("both requests", || endpoint.ids().len() == 2).await;
    shutdown.cancel();
    job.await.unwrap();
    ledger.look(|state| {
        assert!(state.health.is_empty(), "{:?}", state.health);
        assert_eq!(
            state.deliveries.iter().map(|d| (d.state, d.attempts)).collect::<Vec<_>>(),
            [(DeliveryState::Pending, 0), (DeliveryState::Pending, 1)]
        );
    });
}

#[tokio::test]
async fn what_was_answered_is_written_though_nothing_can_be_read() {
    let ledger = Arc::new(FakeLedger::default());
    let endpoint = Arc::new(Endpoint { delay: Duration::from_millis(600), ..Endpoint::default() });
    let id = queue(&ledger, "/a");
    let mine = Dispatcher { poll: Duration::from_millis(20), ..dispatcher(&ledger, &endpoint, 12) };
    let (_positions, watch) = watch::channel(0);
    let shutdown = CancellationToken::new();
    let job = tokio::spawn(run(mine, watch, shutdown.clone()));
    until("the request", || !endpoint.ids().is_empty()).await;
    // It is looked at several times meanwhile.
    ledger.set_away(true);
    sleep(Duration::from_millis(100)).await;
    ledger.set_away(false);
    until("the end", || open(&ledger) == 0).await;
    assert_eq!(endpoint.ids(), [id], "once");
    shutdown.cancel();
    job.await.unwrap();
}

#[test]
fn answers_are_judged() {
    let judged = |answer, attempts| {
        let mut delivery = pending(Uuid::nil(), 1);
        delivery.attempts = attempts;
        let judged = judge(delivery, answer, &DeliveryRules::default(), 1_000_000, u64::MAX);
        (judged.state, judged.attempts, judged.next_at, judged.last_result.unwrap())
    };
    assert_eq!(judged(Answer::Status(204, None), 3), (DeliveryState::Delivered, 4, 0, "204".into()));
    assert_eq!(judged(Answer::Status(410, None), 0), (DeliveryState::Dead, 1, 0, "410".into()));
    assert_eq!(judged(Answer::Status(301, None), 0), (DeliveryState::Pending, 1, 3_000_000, "301".into()));
    let asked = Some(Duration::from_secs(10));
    assert_eq!(judged(Answer::Status(503, asked), 0), (DeliveryState::Pending, 1, 11_000_000, "503".into()));
    assert_eq!(judged(Answer::Status(503, asked), 11), (DeliveryState::Dead, 12, 0, "503".into()));
    let (state, _, _, result) = judged(Answer::Failed("no\0 answer".repeat(100)), 0);
    assert_eq!((state, result.len()), (DeliveryState::Pending, 255));
}

#[tokio::test]
async fn an_endpoint_that_keeps_failing_is_probed_and_not_hammered() {
    let (ledger, endpoint) = (Arc::new(FakeLedger::default()), Arc::new(Endpoint::default()));
    let ids: Vec<String> = (0..20).map(|number| queue(&ledger, &format!("/{number}"))).collect();
    let down = |id: &String| (id.clone(), vec![Answer::Status(500, None); 100]);
    *endpoint.answers.lock().unwrap() = ids.iter().map(down).collect();
    let mut mine = dispatcher(&ledger, &endpoint, 1000);
    mine.rules = DeliveryRules {
        breaker_failures: 5,
        breaker_pause: Duration::from_millis(400),
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(1),
        ..mine.rules
    };
    let (_positions, watch) = watch::channel(0);
    let shutdown = CancellationToken::new();
    let job = tokio::spawn(run(mine, watch, shutdown.clone()));
    until("the circuit", || ledger.look(|state| state.health.values().any(|health| health.trips > 0))).await;
    // Those that were under way end; then there are probes alone, the first after 200 ms at the least, each further one later.
    sleep(Duration::from_millis(100)).await;
    let before = endpoint.ids().len();
    assert!(before <= 5 + IN_FLIGHT, "{before}");
    sleep(Duration::from_millis(700)).await;
    let probes = endpoint.ids().len() - before;
    assert!((1..=3).contains(&probes), "{probes}");
    // It is there again.
    endpoint.answers.lock().unwrap().clear();
    until("all", || open(&ledger) == 0).await;
    let health = ledger.look(|state| state.health["acme/hook"].clone());
    assert_eq!((health.failures, health.probe_at, health.trips), (0, None, 0));
    shutdown.cancel();
    job.await.unwrap();
}

#[tokio::test]
async fn a_gone_endpoint_is_disabled_and_its_tenant_told() {
    let (ledger, endpoint) = (Arc::new(FakeLedger::default()), Arc::new(Endpoint::default()));
    let (gone, _waiting) = (queue(&ledger, "/a"), queue(&ledger, "/a"));
    endpoint.answers.lock().unwrap().insert(gone.clone(), vec![Answer::Status(410, None)]);
    let (requeued, heard) = watch::channel(0);
    let mine = Dispatcher { requeued: heard, ..dispatcher(&ledger, &endpoint, 12) };
    let (_positions, watch) = watch::channel(0);
    let shutdown = CancellationToken::new();
    let job = tokio::spawn(run(mine, watch, shutdown.clone()));
    until("the end", || ledger.look(|state| state.health.values().any(|health| health.disabled_at.is_some()))).await;
    until("nothing to wait", || open(&ledger) == 0).await;
    assert_eq!(endpoint.ids(), [gone]);
    ledger.look(|state| {
        let results: Vec<_> = state.deliveries.iter().map(|d| (d.state, d.last_result.clone().unwrap())).collect();
        assert_eq!(results, [(DeliveryState::Dead, "410".to_owned()), (DeliveryState::Dead, BURIED.to_owned())]);
        let told = state.events.last().unwrap();
        assert_eq!((&*told.kind, &*told.tenant), ("webhook.disabled", "acme"));
        let body: serde_json::Value = serde_json::from_str(&told.body).unwrap();
        assert_eq!((&body["data"]["webhook"], &body["data"]["protocol"]), (&"hook".into(), &"gateway".into()));
        assert_eq!(state.entries.len(), 1);
        // Enabled, and one of the dead letters sent again.
        state.health.clear();
        state.deliveries[1].state = DeliveryState::Pending;
    });
    requeued.send_replace(1);
    until("the other", || open(&ledger) == 0).await;
    assert_eq!(endpoint.ids().len(), 2);
    shutdown.cancel();
    job.await.unwrap();
}

#[test]
fn answers_speak_of_the_endpoint() {
    let asked = Some(Duration::from_secs(7));
    for (answer, expected) in [
        (Answer::Status(204, None), Verdict::Accepted),
        (Answer::Status(410, asked), Verdict::Gone),
        (Answer::Status(429, asked), Verdict::Failed { hold: asked }),
        (Answer::Status(503, None), Verdict::Failed { hold: None }),
        (Answer::Status(500, asked), Verdict::Failed { hold: None }),
        (Answer::Status(301, None), Verdict::Failed { hold: None }),
        (Answer::Failed("no answer in time".into()), Verdict::Failed { hold: None }),
    ] {
        assert_eq!(verdict(&answer), expected, "{answer:?}");
    }
}
