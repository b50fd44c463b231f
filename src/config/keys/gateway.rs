//! The keys of the gateway itself: all that is no tenant's.

use causeway_sftp::AlgorithmList;

use super::Kind::{Any, Duration, Listen, Network, OneOf, Pattern, Rate, Secret, Size, Slug, Url};
use super::tenant::TENANT;
use super::{Key, flag, number, table, tables, text, text_or_empty, texts, words};
use crate::config::{ftps, limits, storage, telemetry, tls, uploads};

/// `begin:percent:full`, or one number.
const STARTUPS: &str = "^[0-9]+(:[0-9]+:[0-9]+)?$";
const PORTS: &str = "^[0-9]+ *- *[0-9]+$";
const NATS_STREAM: &str = "^[A-Za-z0-9_-]+$";
const NATS_SUBJECT: &str = "^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*$";
const DATABASE: &str = "^(postgres://|postgresql://|sqlite:|env:|file:|vault:).+$";

/// The whole file.
pub const ROOT: &[Key] = &[
    text(
        "data_dir",
        Any,
        "The folder of the database, of generated keys and certificates; locked by the running process.",
    )
    .or("\"./causeway-data\"")
    .restart(),
    text("shutdown_grace", Duration, "How long connections may go on after SIGTERM.").or("\"30s\""),
    table("node", NODE, "This process among those of a cluster."),
    table("network", NETWORK, "Proxies in front of the gateway."),
    table("sftp", SFTP, "The SSH listener; without this table SFTP is switched off."),
    table("ftps", FTPS, "The FTPS listeners; without this table FTPS is switched off."),
    table("api", API, "The REST listener; without this table the API is switched off."),
    table("ops", OPS, "Health, as plain HTTP for the operator's own network."),
    table("tls", TLS, "The certificate of FTPS and of the API."),
    table("database", DATABASE_KEYS, "Where the ledger is."),
    tables("storage", STORAGE, "Where content is kept.").restart(),
    table("uploads", UPLOADS, "Incomplete uploads, temporary names, checks of content."),
    table("transfers", TRANSFERS, "Copies and moves in the background."),
    table("oauth", OAUTH, "Tokens, and how long what people allow applications counts."),
    table("limits", LIMITS, "What nobody may exceed."),
    table("events", EVENTS, "How events leave the gateway, and how long the trail is kept."),
    table("telemetry", TELEMETRY, "Logs and traces."),
    tables("tenant", TENANT, "Who is there: identities, and the logins and keys mapped onto them."),
];

const NODE: &[Key] =
    &[text("name", Any, "Stands in every event and audit entry; by default the host's name.").restart()];

const NETWORK: &[Key] = &[texts(
    "trusted_proxies",
    Network,
    "Networks of proxies whose PROXY header is believed on every listener, and whose X-Forwarded-For is on the API.",
)
.or("[]")
.restart()];

const SFTP: &[Key] = &[
    texts("listen", Listen, "Where to listen, IP:PORT; port 0 lets the system choose.").or("[\"127.0.0.1:2022\"]").restart(),
    texts("host_keys", Any, "Private keys in OpenSSH form; by default generated ones.").or("[]").next(),
    texts("host_certificates", Any, "Certificates of host keys (`-cert.pub`).").or("[]").next(),
    text("banner", Any, "Shown before the login.").or("\"\"").next(),
    text("login_grace", Duration, "How long a client may take to log in.").or("\"30s\"").next(),
    text("idle_timeout", Duration, "How long a session may do nothing.").or("\"15m\"").next(),
    number("max_auth_tries", 1, 100, "Attempts to log in on one connection.").or("6").next(),
    number("max_sessions", 1, 1_000_000, "Connections at once.").or("10000").restart(),
    flag("scp", "Whether the old scp protocol (`scp -O`) is spoken.").or("true").next(),
    text(
        "max_startups",
        Pattern(STARTUPS),
        "Connections that have not logged in: beyond the first number some are dropped, the second says how many percent, beyond the third all.",
    )
    .or("\"200:30:1000\"")
    .restart(),
    number("max_channels", 1, 1_000, "Channels of one connection at once.").or("8").next(),
    number("max_handles", 1, 100_000, "Files and folders that one connection may have open.").or("256").next(),
    text("keepalive", Duration, "How often a silent peer is asked whether it is still there; \"0s\": never.")
        .or("\"1m\"")
        .next(),
    text("rekey_limit_bytes", Size, "New keys after so much in one direction.").or("\"1 GiB\"").next(),
    text("rekey_limit_time", Duration, "New keys after this time.").or("\"1h\"").next(),
    flag("compression", "Whether compression is offered, after the login only.").or("true").next(),
    texts("ciphers", OneOf(|| AlgorithmList::Ciphers.names(true)), "Ciphers, most preferred first.").next(),
    texts("macs", OneOf(|| AlgorithmList::Macs.names(true)), "MACs, most preferred first.").next(),
    texts("kex", OneOf(|| AlgorithmList::Kex.names(true)), "Key exchanges, most preferred first.").next(),
    texts(
        "host_key_algorithms",
        OneOf(|| AlgorithmList::HostKeys.names(true)),
        "Signatures of host keys, most preferred first.",
    )
    .next(),
    texts(
        "public_key_algorithms",
        OneOf(|| AlgorithmList::PublicKeys.names(true)),
        "Signatures that clients may log in by.",
    )
    .next(),
    flag("legacy_algorithms", "Whether SHA-1 and CBC are offered too, for very old partners.").or("false").next(),
];

const FTPS: &[Key] = &[
    texts("listen", Listen, "Where to listen for explicit TLS (AUTH TLS).").or("[\"127.0.0.1:2121\"]").restart(),
    texts("listen_implicit", Listen, "Where to listen for TLS from the first byte; [] for none.")
        .or("[\"127.0.0.1:2990\"]")
        .restart(),
    text("passive_ports", Pattern(PORTS), "Ports of passive data connections.").or("\"50000-50099\"").restart(),
    text("passive_address", Any, "The address that PASV announces: \"auto\", or the public one behind NAT.")
        .or("\"auto\"")
        .next(),
    tables("passive_addresses", PASSIVE_ADDRESSES, "Another address for the clients of a network.").next(),
    flag("active_mode", "Whether PORT and EPRT are there, towards the control connection's own address.")
        .or("false")
        .next(),
    flag("mode_z", "Whether MODE Z (packed data) is there: slow and dear, for narrow lines alone.").or("false").next(),
    text(
        "client_certificates",
        OneOf(|| words(ftps::CLIENT_CERTIFICATES)),
        "Whether clients are asked for a certificate.",
    )
    .or("\"optional\"")
    .restart(),
    text(
        "session_reuse",
        OneOf(|| words(ftps::STRICTNESS)),
        "Whether data connections must resume the control connection's TLS session.",
    )
    .or("\"required\"")
    .next(),
    text(
        "close_notify",
        OneOf(|| words(ftps::STRICTNESS)),
        "Whether an upload whose TLS stream ends without close_notify is incomplete.",
    )
    .or("\"required\"")
    .next(),
    text("idle_timeout", Duration, "How long a session may do nothing.").or("\"15m\"").next(),
    text("stall_timeout", Duration, "How long a transfer may move nothing.").or("\"2m\"").next(),
    text("data_timeout", Duration, "How long a data connection may take to come about.").or("\"30s\"").next(),
    text("login_grace", Duration, "How long a client may take to log in.").or("\"30s\"").next(),
    text("line_timeout", Duration, "How long a command may take from its first byte to its end.").or("\"30s\"").next(),
    text("banner", Any, "The greeting.").or("\"\"").next(),
    number("max_auth_tries", 1, 100, "Attempts to log in on one connection.").or("6").next(),
    number("max_sessions", 1, 1_000_000, "Connections at once, of both listeners together.").or("10000").restart(),
    text("max_startups", Pattern(STARTUPS), "Connections that have not logged in, as in [sftp].")
        .or("\"200:30:1000\"")
        .restart(),
];

const PASSIVE_ADDRESSES: &[Key] = &[
    text("network", Network, "The clients' network.").required().next(),
    text("address", Any, "The address that is announced to them.").required().next(),
];

const API: &[Key] = &[
    texts("listen", Listen, "Where to listen: HTTPS, HTTP/1.1 and HTTP/2.").or("[\"127.0.0.1:8443\"]").restart(),
    text_or_empty("public_url", Url, "Under which URL clients find the API; by default derived from `listen`.")
        .restart(),
    text(
        "client_certificates",
        OneOf(|| words(ftps::CLIENT_CERTIFICATES)),
        "Whether clients are asked for a certificate.",
    )
    .or("\"optional\"")
    .restart(),
    texts(
        "cors_origins",
        Pattern(r"^(\*|https?://[^/]+)$"),
        "Origins whose pages may call the API from a browser, or \"*\".",
    )
    .or("[]")
    .restart(),
    text_or_empty("api_key_max_age", Duration, "A key older than this is refused; empty: at any age none is.")
        .or("\"90d\""),
    text("header_timeout", Duration, "How long the head of a request may take.").or("\"30s\"").next(),
    text("body_timeout", Duration, "How long a body may stand still, in either direction.").or("\"1m\"").next(),
    text_or_empty(
        "body_min_rate",
        Rate,
        "What a request's body must bring on the average, behind body_grace; \"\": any.",
    )
    .or("\"500 B/s\"")
    .next(),
    text("body_grace", Duration, "How long a body is waited for before body_min_rate counts.").or("\"20s\"").next(),
    text("signature_window", Duration, "How far the moment of a signature may be from now, either way.")
        .or("\"5m\"")
        .restart(),
    texts("signature_hosts", Any, "Hosts that signatures may name besides that of public_url.").or("[]").restart(),
    text("idle_timeout", Duration, "How long an HTTP/2 connection may be without a request.").or("\"5m\"").next(),
    text("event_heartbeat", Duration, "How long a stream of events may say nothing; then comes a comment.")
        .or("\"15s\"")
        .restart(),
    text_or_empty("event_stream_time", Duration, "After this a client of a stream comes again; \"\": never.")
        .or("\"\"")
        .restart(),
    number("event_streams_per_identity", 1, 10_000, "Streams of events that one identity may have open at this node.")
        .or("16")
        .restart(),
];

const OPS: &[Key] =
    &[texts("listen", Listen, "Where to listen: /healthz, /readyz, /metrics.").or("[\"127.0.0.1:9090\"]").restart()];

const TLS: &[Key] = &[
    text_or_empty("certificate", Any, "The certificate chain, PEM; by default a development certificate.")
        .or("\"\"")
        .next(),
    text_or_empty("private_key", Any, "Its private key, PEM.").or("\"\"").next(),
    text("min_version", OneOf(|| words(tls::VERSIONS)), "The lowest version of TLS.").or("\"1.2\"").next(),
];

const DATABASE_KEYS: &[Key] = &[
    text_or_empty(
        "url",
        Pattern(DATABASE),
        "By default SQLite in data_dir; for a cluster PostgreSQL, with its password by reference: \"env:DATABASE_URL\".",
    )
    .or("\"\"")
    .restart(),
    text("min_free", Size, "SQLite: below this on the ledger's disk writers get \"no space\".").or("\"64 MiB\"").restart(),
];

const STORAGE: &[Key] = &[
    text("name", Slug, "The name that mounts refer to.").required().restart(),
    text(
        "kind",
        OneOf(|| words(storage::KINDS)),
        "A folder, an S3-compatible store, or memory that is gone with the process.",
    )
    .required()
    .restart(),
    text_or_empty("root", Any, "The folder (local).").restart(),
    text_or_empty("bucket", Any, "The bucket (s3).").restart(),
    text_or_empty("prefix", Any, "What keys begin with (s3).").restart(),
    text_or_empty("region", Any, "The region (s3).").restart(),
    text_or_empty("endpoint", Url, "The store's URL (s3).").restart(),
    text_or_empty("access_key_id", Secret, "Its key's id (s3).").restart(),
    text_or_empty("secret_access_key", Secret, "Its key (s3).").restart(),
    text_or_empty("encrypt_with", Secret, "AES-256-GCM at rest under this key of 32 bytes in base64.").restart(),
];

const UPLOADS: &[Key] = &[
    text("incomplete_expiry", Duration, "How long an incomplete upload can be resumed.").or("\"7d\""),
    texts("temporary_names", Any, "Names that are announced when they are renamed to one that does not match.")
        .or("[\"*.filepart\", \"*.partial\", \"*.part\", \"*.tmp\", \".in.*\"]"),
    text(
        "content_type_check",
        OneOf(|| words(uploads::CHECKS)),
        "What becomes of content that is not what its declared type, or else its name, says.",
    )
    .or("\"event\""),
    text(
        "idle_detach",
        Duration,
        "An upload that receives nothing for this long can be taken over by another session of its identity.",
    )
    .or("\"10s\"")
    .restart(),
    text("blob_grace", Duration, "How long content that nothing refers to is kept; longer than your backup interval.")
        .or("\"26h\"")
        .restart(),
    text("checkpoint", Size, "How much of a running upload a crash can cost at the most.").or("\"64 MiB\"").restart(),
];

const OAUTH: &[Key] = &[
    text("refresh_token_idle", Duration, "An application that does not ask for so long needs its person anew.")
        .or("\"30d\"")
        .restart(),
    text("refresh_token_lifetime", Duration, "The same however often it asks.").or("\"90d\"").restart(),
    text("token_key_rotation", Duration, "How long a key signs tokens before the next one does.")
        .or("\"30d\"")
        .restart(),
    text_or_empty("token_encryption_key", Secret, "Encrypts those keys in the ledger: 32 bytes in base64.").restart(),
    flag("issuer_allow_private_addresses", "Whether issuers may be at private addresses.").or("false").restart(),
];

const TRANSFERS: &[Key] = &[
    number("workers", 0, 1000, "How many this process does at a time; 0: it leaves them to other nodes.")
        .or("4")
        .restart(),
    text("lease", Duration, "A process that gives no sign for so long loses its transfers to others.")
        .or("\"30s\"")
        .restart(),
    number("max_attempts", 1, 1000, "Attempts, after errors that may pass.").or("8").restart(),
    text("retry_delay", Duration, "Before the second attempt; doubles with each one, up to 5 minutes.")
        .or("\"2s\"")
        .restart(),
    number("max_files", 1, 10_000_000, "Files of one transfer.").or("100000").restart(),
    text("retention", Duration, "How long an ended transfer can be looked up.").or("\"30d\"").restart(),
];

const LIMITS: &[Key] = &[
    text("max_file_size", Size, "The largest file.").or("\"100 GiB\""),
    text_or_empty("bandwidth_up", Rate, "What one session may send, like \"50 MiB/s\".").or("\"\""),
    text_or_empty("bandwidth_down", Rate, "What one session may receive.").or("\"\""),
    number("requests_per_minute", 1, u32::MAX, "Requests of one identity on the API; beyond it 429.").or("6000"),
    number(
        "requests_per_minute_per_address",
        1,
        u32::MAX,
        "Requests from one IPv4 address or IPv6 /64; by default ten times the one above.",
    )
    .or("60000"),
    number("failed_logins", 1, 1_000_000, "Failed logins of one login from one address in the window.").or("10"),
    text("failed_logins_window", Duration, "The window.").or("\"10m\""),
    text("ban", Duration, "How long logins are then refused.").or("\"15m\""),
    number("sessions_per_login", 1, 1_000_000, "SFTP and FTPS sessions of one login at once; by default no limit."),
    number("sessions_per_address", 1, 1_000_000, "SFTP and FTPS sessions from one IPv4 address or IPv6 /64 at once.")
        .or("1000"),
    texts("penalty_exempt", Network, "Networks that penalties and the share in max_startups spare.").or("[]"),
    table(
        "penalties",
        PENALTIES,
        "What a connection without a login costs its address, as OpenSSH's PerSourcePenalties do it.",
    ),
];

const PENALTIES: &[Key] = &[
    flag("enabled", "Whether there are penalties.").or("true"),
    text("noauth", Duration, "For a connection without a try to log in.").or("\"1s\""),
    text("authfail", Duration, "For failed tries.").or("\"5s\""),
    text("invaliduser", Duration, "For a login that there is not.").or("\"5s\""),
    text("refuseconnection", Duration, "For a login that may not come from there.").or("\"5s\""),
    text("grace_exceeded", Duration, "For one that did not log in in time.").or("\"10s\""),
    text("min", Duration, "An address that has no more than this is admitted.").or("\"15s\""),
    text("max", Duration, "No address has more than this.").or("\"10m\""),
    number("max_sources4", 1, 10_000_000, "IPv4 sources that are remembered.").or("65536"),
    number("max_sources6", 1, 10_000_000, "IPv6 sources that are remembered.").or("65536"),
    text("overflow", OneOf(|| words(limits::OVERFLOW)), "What happens beyond that.").or("\"permissive\""),
    number("netblock4", 1, 32, "Bits of an IPv4 address that are a source.").or("32"),
    number("netblock6", 1, 128, "Bits of an IPv6 address that are a source.").or("64"),
];

const EVENTS: &[Key] = &[
    text("webhook_timeout", Duration, "How long one delivery may take.").or("\"10s\"").restart(),
    number("webhook_max_attempts", 1, 1000, "Attempts, with exponential backoff; then the event is dead.")
        .or("12")
        .restart(),
    text(
        "webhook_first_wait",
        Duration,
        "The longest wait after the first failed attempt; each further one may be four times as long.",
    )
    .or("\"2s\"")
    .restart(),
    text("webhook_longest_wait", Duration, "No wait between attempts is longer.").or("\"12h\"").restart(),
    number("webhook_breaker_failures", 1, 1000, "Failed attempts in a row that open the circuit of an endpoint.")
        .or("10")
        .restart(),
    text(
        "webhook_breaker_pause",
        Duration,
        "How long it stays open the first time; each further time in a row twice as long.",
    )
    .or("\"30s\"")
    .restart(),
    text("webhook_disable_after", Duration, "An endpoint that has only failed for so long is disabled.")
        .or("\"5d\"")
        .restart(),
    flag("webhook_allow_private_addresses", "Whether webhooks may go to loopback, link-local and private addresses.")
        .or("false")
        .restart(),
    text_or_empty("nats_url", Url, "A server of NATS, \"nats://HOST:4222\" or \"tls://HOST:4222\", whose JetStream events are sent to.")
        .or("\"\"")
        .restart(),
    text("nats_stream", Pattern(NATS_STREAM), "The stream that must take them.").or("\"CAUSEWAY\"").restart(),
    text("nats_subject", Pattern(NATS_SUBJECT), "What their subjects begin with; the tenant and the event's type follow.")
        .or("\"causeway.events\"")
        .restart(),
    text_or_empty("nats_user", Any, "The name to log in by; `nats_password` goes with it.").or("\"\"").restart(),
    text_or_empty("nats_password", Secret, "The password of `nats_user`.").restart(),
    text_or_empty("nats_token", Secret, "Instead of both: a token.").restart(),
    text_or_empty("nats_credentials", Secret, "Instead of both: a credentials file, like \"file:/etc/causeway/nats.creds\".")
        .restart(),
    text_or_empty("nats_ca", Any, "The certificates (PEM) that the server's own must be under, and that there is TLS; by default those that this machine trusts.")
        .or("\"\"")
        .restart(),
    text("audit_retention", Duration, "How long audit entries are kept.").or("\"2555d\"").restart(),
    text("audit_head_interval", Duration, "How often the heads of the audit trail are signed, where it has grown.")
        .or("\"5m\"")
        .restart(),
    text_or_empty("audit_heads", Any, "The file that signed heads are written to; by default audit-heads.ndjson in data_dir.")
        .or("\"\"")
        .restart(),
    text_or_empty(
        "audit_key",
        Secret,
        "The key (a seed of 32 bytes in base64) that signs them, the same on all nodes of a cluster; by default one made in data_dir.",
    )
    .restart(),
    text_or_empty("syslog", Url, "A collector that audit entries are sent to (RFC 5424): \"tls://HOST:6514\", or \"tcp://HOST:601\".")
        .or("\"\"")
        .restart(),
    text_or_empty("syslog_ca", Any, "The certificates (PEM) that its own must be under; by default those that this machine trusts.")
        .or("\"\"")
        .restart(),
    text_or_empty("syslog_certificate", Any, "The certificate, with its chain (PEM), that is shown to the collector.")
        .or("\"\"")
        .restart(),
    text_or_empty("syslog_key", Any, "Its private key (PEM); by default in the same file.").or("\"\"").restart(),
];

const TELEMETRY: &[Key] = &[
    text_or_empty(
        "otlp_endpoint",
        Url,
        "A collector that traces go to, by OTLP over HTTP; `/v1/traces` is added to its path. None: no traces are made.",
    )
    .or("\"\"")
    .restart(),
    text_or_empty("otlp_headers", Secret, "Headers of every request to it, one `Name: value` a line.").restart(),
    text_or_empty("otlp_ca", Any, "Certificates (PEM) that it is believed by, beside those that this machine trusts.")
        .or("\"\"")
        .restart(),
    number(
        "otlp_one_in",
        1,
        telemetry::MOST_ONE_IN,
        "Of the traces that begin here one in so many is recorded; of others those that their caller records.",
    )
    .or("1")
    .restart(),
    text("log_format", OneOf(|| words(telemetry::FORMATS)), "How the log is written; RUST_LOG sets the level.")
        .or("\"human\"")
        .restart(),
];
