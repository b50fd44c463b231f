//! `[api]`: the REST listener.

use std::net::SocketAddr;
use std::time::Duration;

use super::ftps::CLIENT_CERTIFICATES;
use super::listen;
use super::reader::Section;
use super::value;
use crate::client_certificates::handshake::Asked;

const MAX_KEY_AGE: Duration = Duration::from_hours(90 * 24);
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
const BODY_TIMEOUT: Duration = Duration::from_mins(1);
const BODY_GRACE: Duration = Duration::from_secs(20);
const SIGNATURE_WINDOW: Duration = Duration::from_mins(5);
/// Signatures that were used are remembered for twice as long.
const MAX_SIGNATURE_WINDOW: Duration = Duration::from_hours(1);
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);
/// What the HTML standard advises against proxies that end what is silent (section 9.2.7).
const EVENT_HEARTBEAT: Duration = Duration::from_secs(15);
const EVENT_STREAMS: u32 = 16;
/// What Apache's mod_reqtimeout has for a body; modems brought ten times that.
const BODY_MIN_RATE: u64 = 500;

/// The REST listener.
#[derive(Clone, Debug)]
pub struct Api {
    /// Where to listen.
    pub listen: Vec<SocketAddr>,
    /// Under which URL clients find it, without a slash at the end; none: derived from the bound address.
    pub public_url: Option<String>,
    /// Whether clients are asked for a certificate.
    pub client_certificates: Asked,
    /// How far the moment of a signature may be from now, either way.
    pub signature_window: Duration,
    /// Under which hosts clients that sign may call, besides that of `public_url`.
    pub signature_hosts: Vec<String>,
    /// Whose pages may call the API from a browser: origins, or `*`.
    pub cors_origins: Vec<String>,
    /// After so long an API key is refused; none: never.
    pub key_max_age: Option<Duration>,
    /// How long the head of a request may take.
    pub header_timeout: Duration,
    /// How long a body may stand still, in either direction.
    pub body_timeout: Duration,
    /// Bytes a second that a body must bring on the average; none: any.
    pub body_min_rate: Option<u64>,
    /// How long a body is waited for before that counts.
    pub body_grace: Duration,
    /// How long a connection may be without a request.
    pub idle_timeout: Duration,
    /// How long a stream of events may say nothing.
    pub event_heartbeat: Duration,
    /// How long a stream of events goes on; none: as long as its client likes.
    pub event_stream_time: Option<Duration>,
    /// Streams of events of one identity at once.
    pub event_streams_per_identity: u32,
}

impl Api {
    /// Reads the table; none where it is not there.
    pub fn read(section: &Section<'_>) -> Option<Self> {
        let public_url = section.text_or_empty("public_url", |text| {
            let url = value::web_url(text)?;
            if url.query().is_some() || url.fragment().is_some() {
                return Err(format!("`{text}` has more than a path behind the host; remove what follows ? or #"));
            }
            Ok(text.trim_end_matches('/').to_owned())
        });
        let client_certificates = section
            .text("client_certificates", value::one_of(CLIENT_CERTIFICATES))
            .map_or(Asked::Optional, |f| f.value);
        let cors_origins = section.texts("cors_origins", value::origin);
        let cors_origins = cors_origins.map(|found| found.value.into_iter().map(|one| one.value).collect());
        let key_max_age = section.text_or_empty("api_key_max_age", value::duration).map(|found| found.value);
        let key_max_age = if section.has("api_key_max_age") { key_max_age } else { Some(MAX_KEY_AGE) };
        let listen = listen::addresses(section, "listen", "127.0.0.1:8443");
        let time = |key, usual| section.text(key, value::duration).map_or(usual, |found| found.value);
        let (header_timeout, body_timeout) =
            (time("header_timeout", HEADER_TIMEOUT), time("body_timeout", BODY_TIMEOUT));
        let (body_grace, idle_timeout) = (time("body_grace", BODY_GRACE), time("idle_timeout", IDLE_TIMEOUT));
        let event_heartbeat = time("event_heartbeat", EVENT_HEARTBEAT);
        let event_stream_time = section.text_or_empty("event_stream_time", value::duration).map(|found| found.value);
        let event_streams = section.number("event_streams_per_identity", 1..=10_000);
        let signature_window = section.text("signature_window", |text| {
            let window = value::duration(text)?;
            let fits = window >= Duration::from_secs(1) && window <= MAX_SIGNATURE_WINDOW;
            if fits { Ok(window) } else { Err(format!("`{text}` is out of range; give 1s to 1h")) }
        });
        let signature_hosts = section.texts("signature_hosts", value::authority);
        if let (Some(hosts), None) = (signature_hosts.as_ref().filter(|hosts| !hosts.value.is_empty()), &public_url) {
            section.report().error(&hosts.spot, "are hosts besides that of `public_url`, which is not set; set it too");
        }
        let body_min_rate = section.text_or_empty("body_min_rate", value::rate).map(|found| found.value);
        let body_min_rate = if section.has("body_min_rate") { body_min_rate } else { Some(BODY_MIN_RATE) };
        section.is_present().then(|| Self {
            listen,
            public_url: public_url.map(|f| f.value),
            client_certificates,
            signature_window: signature_window.map_or(SIGNATURE_WINDOW, |found| found.value),
            signature_hosts: signature_hosts
                .map(|found| found.value.into_iter().map(|host| host.value).collect())
                .unwrap_or_default(),
            cors_origins: cors_origins.unwrap_or_default(),
            key_max_age,
            header_timeout,
            body_timeout,
            body_min_rate,
            body_grace,
            idle_timeout,
            event_heartbeat,
            event_stream_time,
            event_streams_per_identity: event_streams.map_or(EVENT_STREAMS, |found| found.value),
        })
    }
}
