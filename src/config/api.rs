//! `[api]`: the REST listener.

use std::net::SocketAddr;
use std::time::Duration;

use super::ftps::CLIENT_CERTIFICATES;
use super::listen;
use super::reader::Section;
use super::value;
use crate::client_certificates::handshake::Asked;

const MAX_KEY_AGE: Duration = Duration::from_hours(90 * 24);

/// The REST listener.
#[derive(Clone, Debug)]
pub struct Api {
    /// Where to listen.
    pub listen: Vec<SocketAddr>,
    /// Under which URL clients find it, without a slash at the end; none: derived from the bound address.
    pub public_url: Option<String>,
    /// Whether clients are asked for a certificate.
    pub client_certificates: Asked,
    /// Whose pages may call the API from a browser: origins, or `*`.
    pub cors_origins: Vec<String>,
}

impl Api {
    /// Reads the table; none where it is not there.
    pub fn read(section: &Section<'_>) -> Option<Self> {
        let report = section.report();
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
        match section.text("api_key_max_age", value::duration) {
            Some(found) if found.value == MAX_KEY_AGE => {
                report.without_effect(&found.spot, "the age limit of API keys");
            }
            Some(found) => {
                report.not_built(&found.spot, "another age limit of API keys");
            }
            None => {}
        }
        let listen = listen::addresses(section, "listen", "127.0.0.1:8443");
        section.is_present().then(|| Self {
            listen,
            public_url: public_url.map(|f| f.value),
            client_certificates,
            cors_origins: cors_origins.unwrap_or_default(),
        })
    }
}
