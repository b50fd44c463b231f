//! Administration by hand, without a gateway that serves: somebody who holds the configuration and the ledger, on the command
//! line. It goes through the same code as the API's and leaves the same trail, under a name that no login can have.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use uuid::Uuid;

use super::inner::Inner;
use super::{Gateway, Parts};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::{AuthMethod, Identity, Protocol, Scope, ScopeSet, Session, View};
use crate::identity::{Grounds, Life};
use crate::path::VirtualPath;

/// The identity of who administers by hand. The parentheses keep it apart from every id that can be declared.
const OPERATOR: &str = "(operator)";

impl Gateway {
    /// A gateway to administer by, which serves nobody: it is no process among the others' and recovers nothing. End it with
    /// [`Gateway::close`].
    pub async fn to_administer(parts: Parts) -> Result<Self> {
        let inner = Arc::new(Inner::new(parts));
        inner.follow_objects().await?;
        inner.meet_keys().await?;
        Ok(Self { inner })
    }

    /// Puts on record which keys are new, and closes the ledger.
    pub async fn close(&self) -> Result<()> {
        let met = self.inner.meet_keys().await;
        self.inner.ledger.close().await;
        met
    }

    /// The ids of all tenants.
    pub fn tenants(&self) -> Vec<Arc<str>> {
        self.inner.directory().tenants().map(|tenant| tenant.id.clone()).collect()
    }

    /// The tenant whose API key has this id.
    pub fn tenant_of_key(&self, id: &str) -> Option<Arc<str>> {
        let directory = self.inner.directory();
        directory.tenants().find(|tenant| directory.api_key(&tenant.id, id).is_some()).map(|tenant| tenant.id.clone())
    }

    /// The session of somebody who administers a tenant by hand. `who` stands in the trail as its login, `with` as its software.
    pub fn operator(&self, tenant: &str, who: &str, with: &str) -> Result<Arc<Session>> {
        let directory = self.inner.directory();
        let tenant = directory.tenant(tenant).cloned();
        let tenant = tenant.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such tenant"))?;
        let scopes: ScopeSet = [Scope::Admin, Scope::AdminGateway].into_iter().collect();
        let identity = Identity { id: OPERATOR.into(), scopes, quota: None, view: View::default() };
        Ok(Arc::new(Session {
            id: Uuid::now_v7(),
            tenant,
            identity: Arc::new(identity),
            login: who.into(),
            protocol: Protocol::Api,
            client_ip: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            scopes,
            home: VirtualPath::root(),
            auth_method: AuthMethod::Operator,
            cipher: None,
            client_version: Some(with.to_owned()),
            expires: None,
            issuer: None,
            life: Life::new((None, None)),
            grounds: Arc::new(Grounds::job()),
            opened: AtomicBool::new(false),
            place: Mutex::new(None),
            errand: None,
            span: Arc::default(),
        }))
    }
}
