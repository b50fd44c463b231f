//! Host keys that are told and proven (`hostkeys-00@openssh.com`, section 2.5 of OpenSSH's PROTOCOL).

use russh::keys::PublicKey as SshKey;
use tokio::sync::mpsc;

use super::*;

/// A client that remembers the host key that was used, and hands on those that it is told.
struct Told {
    used: Option<SshKey>,
    told: mpsc::UnboundedSender<(SshKey, Vec<SshKey>)>,
}

impl client::Handler for Told {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        self.used = Some(key.public_key());
        Ok(true)
    }

    async fn openssh_ext_host_keys_announced(
        &mut self,
        keys: Vec<SshKey>,
        _session: &mut client::Session,
    ) -> Result<(), Self::Error> {
        self.told.send((self.used.clone().unwrap(), keys)).unwrap();
        Ok(())
    }
}

#[tokio::test]
async fn all_keys_are_told_once_and_proven() {
    let place = Place::new().await;
    let (told, mut telling) = mpsc::unbounded_channel();
    let (handle, serving) = place.client_with(Told { used: None, told }, 1 << 20).await;
    let first = handle.channel_open_session().await.unwrap();
    let second = handle.channel_open_session().await.unwrap();
    let (used, keys) = timeout(PATIENCE, telling.recv()).await.unwrap().unwrap();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0].key_data(), used.key_data(), "the first of a kind is used");
    assert_ne!(keys[1].key_data(), used.key_data());
    assert!(telling.is_empty(), "once is enough");

    timeout(PATIENCE, handle.hostkeys_prove(keys.clone())).await.unwrap().unwrap();
    timeout(PATIENCE, handle.hostkeys_prove(keys[1..].to_vec())).await.unwrap().unwrap();
    let stranger = place.key.public_key().clone();
    for refused in [vec![stranger.clone()], vec![keys[0].clone(), stranger], vec![keys[1].clone(); 3]] {
        let refused = timeout(PATIENCE, handle.hostkeys_prove(refused)).await.unwrap();
        assert!(refused.is_err(), "a key that is not there, or more than there are");
    }
    let unknown = timeout(PATIENCE, handle.send_global_request("hostkeys-prove-01@openssh.com", b"", true));
    assert!(matches!(unknown.await.unwrap(), Err(russh::Error::RequestDenied)));
    // The connection is as good as before.
    timeout(PATIENCE, handle.hostkeys_prove(keys)).await.unwrap().unwrap();
    drop((first, second, handle));
    timeout(PATIENCE, serving).await.expect("the connection ends").unwrap();
}
