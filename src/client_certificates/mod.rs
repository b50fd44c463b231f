//! Client certificates of TLS for FTPS and the API: the handshake takes every one and has its key proven ([`handshake`]), the
//! files of a tenant's CAs and revocation lists are as they are at each login ([`trust`]), and [`leaf`] reads what stands in
//! a certificate. Whom one lets in is core's to say.

pub mod handshake;
mod leaf;
pub mod trust;

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use async_trait::async_trait;
use causeway_core::identity::{ClientCertificate, Standing};
use causeway_core::ports::ClientAuthority;
use causeway_core::{Error, Result};

use crate::stamped::Stamped;
use trust::{Trust, read_authorities, read_lists};

/// The CAs and lists of one tenant (`client_ca`, `client_crl`).
#[derive(Clone, Debug)]
pub struct ClientAuthorities(Arc<Files>);

#[derive(Debug)]
struct Files {
    /// Whether the last of the files holds revocation lists.
    lists: bool,
    stamped: Stamped<Trust>,
}

impl ClientAuthorities {
    /// Of a tenant without any: certificates stand by their fingerprints alone. All such tenants share one.
    pub fn none() -> Arc<dyn ClientAuthority> {
        static NONE: LazyLock<Arc<ClientAuthorities>> = LazyLock::new(|| Arc::new(ClientAuthorities::new(None, None)));
        NONE.clone()
    }

    /// Of these files.
    pub fn new(authorities: Option<PathBuf>, lists: Option<PathBuf>) -> Self {
        let has_lists = lists.is_some();
        let files = authorities.into_iter().chain(lists).collect();
        Self(Arc::new(Files { lists: has_lists, stamped: Stamped::new(files) }))
    }
}

#[async_trait]
impl ClientAuthority for ClientAuthorities {
    async fn examine(&self, certificate: &ClientCertificate) -> Result<Standing> {
        let (files, certificate) = (self.0.clone(), certificate.clone());
        let work = move || files.trust()?.examine(&certificate, SystemTime::now());
        tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
    }
}

impl Files {
    fn trust(&self) -> Result<Arc<Trust>> {
        self.stamped.current(|files| {
            let (authorities, lists) = match files.split_last() {
                Some((last, before)) if self.lists => (before, Some(last)),
                _ => (files, None),
            };
            let authorities = authorities.iter().map(|path| read_authorities(path)).collect::<Result<Vec<_>>>()?;
            let lists = lists.map(|path| read_lists(path)).transpose()?.unwrap_or_default();
            Ok(Trust::new(authorities.into_iter().flatten().collect(), lists))
        })
    }
}
