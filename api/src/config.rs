//! What the daemon decides about the front end.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

/// Settings of the REST front end. [`ApiConfig::new`] gives every limit a default that suits a public listener.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// `https://host[:port]`, without a trailing slash: what `Location` headers begin with.
    pub public_url: String,
    /// A folder of the gateway's own on a local disk, for multipart uploads whose file comes before its destination.
    /// Files there have no name and vanish with the process.
    pub spool_dir: PathBuf,
    /// Bytes that all such uploads together may keep in `spool_dir`; beyond it they are answered 503.
    pub max_spool_bytes: u64,
    /// What such uploads leave free on the disk of `spool_dir`, in bytes; beyond it they are answered 507. The gateway's
    /// ledger may be on that disk: this must be more than the ledger needs.
    pub min_free_bytes: u64,
    /// How long a request's head may take to arrive, and how long an HTTP/1.1 connection may wait for the next one.
    pub header_timeout: Duration,
    /// How long a body may stand still, in either direction, before it is cut.
    pub body_timeout: Duration,
    /// Bytes a second that the body of a request must bring, on the average of all the time that was waited for it behind
    /// `body_grace`; none: it is only cut where it stands still.
    pub body_min_rate: Option<u64>,
    /// How long a body may be waited for, in all, before `body_min_rate` counts.
    pub body_grace: Duration,
    /// How long an HTTP/2 connection may be without a request.
    pub idle_timeout: Duration,
    /// Largest request target, in bytes: beyond it 414.
    pub max_target_bytes: usize,
    /// Largest sum of header names and values, in bytes: beyond it 431.
    pub max_header_bytes: usize,
    /// Largest JSON body, in bytes: beyond it 413.
    pub max_json_bytes: usize,
    /// Requests at once on one HTTP/2 connection.
    pub max_streams: u32,
    /// Whether a request counts only on a connection whose client certificate its tenant knows.
    pub certificate_required: bool,
    /// Whose pages may call the API from a browser (the Fetch standard's CORS): origins, or `*`.
    pub cors_origins: Vec<String>,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How far the moment at which a request was signed may be from now, either way.
    pub signature_window: Duration,
    /// Under which hosts clients may have called besides that of `public_url`, when they signed (`host[:port]`); none: under any,
    /// as nobody has said what `public_url` is.
    pub signature_hosts: Option<Vec<String>>,
    /// How long a stream of events says nothing at the most: then comes a comment.
    pub event_heartbeat: Duration,
    /// How long a stream of events goes on before its client must connect again; none: as long as the client likes.
    pub event_stream_time: Option<Duration>,
    /// Streams of events that one identity may have open at this node.
    pub event_streams_per_identity: u32,
    /// Requests that one identity may make in a minute; as many at once, if none were made for a minute.
    pub requests_per_minute: u32,
    /// Requests that may come from one address (an IPv6 /64) in a minute, whoever makes them.
    pub requests_per_minute_per_address: u32,
}

impl ApiConfig {
    /// With the default limits.
    pub fn new(public_url: impl Into<String>, spool_dir: impl Into<PathBuf>) -> Self {
        let mut public_url = public_url.into();
        while public_url.ends_with('/') {
            public_url.pop();
        }
        Self {
            public_url,
            spool_dir: spool_dir.into(),
            max_spool_bytes: 8 << 30,
            min_free_bytes: 256 << 20,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_mins(1),
            body_min_rate: Some(500),
            body_grace: Duration::from_secs(20),
            idle_timeout: Duration::from_mins(5),
            max_target_bytes: 16 * 1024,
            max_header_bytes: 32 * 1024,
            max_json_bytes: 1 << 20,
            max_streams: 128,
            certificate_required: false,
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            signature_window: Duration::from_mins(5),
            signature_hosts: None,
            event_heartbeat: Duration::from_secs(15),
            event_stream_time: None,
            event_streams_per_identity: 16,
            requests_per_minute: 6_000,
            requests_per_minute_per_address: 60_000,
        }
    }
}
