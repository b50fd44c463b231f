//! russh's callbacks of one connection. Sessions with `subsystem sftp` are taken; every forwarding, terminal, agent and
//! environment request of RFC 4254 is refused, with words where SSH has a place for them (what has no method here, russh
//! refuses by itself).

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Response, Session, VerifiedCertificate, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, Disconnect, Pty};

use crate::auth::Attempt;
use crate::channel::{self, SUBSYSTEM};
use crate::connection::Connection;
use crate::host_keys;
use crate::refusal::{NO_AGENT, NO_CHANNEL, NO_FORWARDING, NO_SUBSYSTEM, NO_TERMINAL, NO_X11};

/// Channels that one connection may open one after the other. russh keeps something of each channel that we closed first,
/// as long as the connection is there.
const CHANNELS_EVER: usize = 1000;

/// See the module.
pub(crate) struct Callbacks {
    connection: Arc<Connection>,
    banner: Option<String>,
    attempt: Attempt,
    opened: usize,
    /// Whether the client was told all host keys.
    announced: bool,
    /// Channels that have their purpose. Those that are over stay in it; there are at most [`CHANNELS_EVER`].
    purposes: HashSet<ChannelId>,
}

impl Callbacks {
    /// For this connection, on which a login may fail this often.
    pub(crate) fn new(connection: Arc<Connection>, banner: Option<String>, max_auth_tries: usize) -> Self {
        let attempt = Attempt::new(max_auth_tries, connection.queue().clone());
        Self { connection, banner, attempt, opened: 0, announced: false, purposes: HashSet::new() }
    }

    /// Gives the channel its purpose (see [`channel::Purpose`]); false where it has one already.
    fn take(&mut self, channel: ChannelId) -> bool {
        self.purposes.insert(channel)
    }

    /// Hands an answer to a login on; a "no" is remembered.
    fn judged(&self, user: &str, auth: Auth) -> Auth {
        if matches!(auth, Auth::Reject { partial_success: false, .. }) {
            self.connection.failed(user);
        }
        auth
    }

    /// Tells the client all host keys, once, when it opens its first channel: that is the first moment after the login at
    /// which compression is agreed on.
    fn announce(&mut self, session: &mut Session) -> Result<(), russh::Error> {
        if self.announced || !host_keys::may_be_announced_to(session.remote_sshid()) {
            return Ok(());
        }
        self.announced = true;
        session.announce_host_keys()
    }

    fn answer(channel: ChannelId, yes: bool, session: &mut Session) -> Result<(), russh::Error> {
        if yes { session.channel_success(channel) } else { session.channel_failure(channel) }
    }
}

impl Handler for Callbacks {
    type Error = russh::Error;

    fn adjust_window(&mut self, _channel: ChannelId, _current: u32) -> u32 {
        self.connection.flow().distance().window()
    }

    async fn authentication_banner(&mut self) -> Result<Option<String>, Self::Error> {
        Ok(self.banner.clone())
    }

    async fn auth_none(&mut self, user: &str) -> Result<Auth, Self::Error> {
        Ok(self.attempt.none(&self.connection, user))
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        // Boxed, as what a login needs would else be kept free in the connection's task as long as it lives.
        let auth = Box::pin(self.attempt.password(&self.connection, user, password)).await;
        Ok(self.judged(user, auth))
    }

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Self::Error> {
        let auth = Box::pin(self.attempt.offered(&self.connection, user, offer)).await;
        Ok(self.judged(user, auth))
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        let auth = Box::pin(self.attempt.signed(&self.connection, user, key)).await;
        Ok(self.judged(user, auth))
    }

    async fn auth_openssh_certificate(
        &mut self,
        user: &str,
        certificate: VerifiedCertificate<'_>,
    ) -> Result<Auth, Self::Error> {
        let auth = Box::pin(self.attempt.certified(&self.connection, user, certificate)).await;
        Ok(self.judged(user, auth))
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        let auth = match response {
            None => self.attempt.interactive(user),
            Some(answers) => Box::pin(self.attempt.answered(&self.connection, user, answers)).await,
        };
        Ok(self.judged(user, auth))
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Self::Error> {
        if let Some(why) = self.connection.dismissed() {
            session.disconnect(Disconnect::TooManyConnections, why, "")?;
        }
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.announce(session)?;
        if self.opened >= CHANNELS_EVER && self.connection.channels() == 0 {
            // A client that keeps its connection for ever goes on with the next one.
            return session.disconnect(Disconnect::ByApplication, "too many channels were opened; connect again", "");
        }
        let closing = self.connection.shutdown().is_cancelled()
            || self.connection.session().is_none()
            || self.connection.is_ended();
        let shortage = if closing {
            Some("the gateway ends this connection; connect again")
        } else if !self.connection.has_channel() || self.opened >= CHANNELS_EVER {
            Some("too many channels are open on this connection; close one, or connect once more")
        } else {
            None
        };
        if let Some(why) = shortage {
            reply.reject_saying(ChannelOpenFailure::ResourceShortage, why).await;
            return Ok(());
        }
        self.opened += 1;
        reply.accept().await;
        self.connection.spawn(channel::serve(channel, self.connection.clone()));
        Ok(())
    }

    async fn channel_open_x11(
        &mut self,
        _channel: Channel<Msg>,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.reject_saying(ChannelOpenFailure::AdministrativelyProhibited, NO_X11).await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        _host_to_connect: &str,
        _port_to_connect: u32,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.reject_saying(ChannelOpenFailure::AdministrativelyProhibited, NO_FORWARDING).await;
        Ok(())
    }

    async fn channel_open_forwarded_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        _host_to_connect: &str,
        _port_to_connect: u32,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.reject_saying(ChannelOpenFailure::AdministrativelyProhibited, NO_FORWARDING).await;
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        _socket_path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.reject_saying(ChannelOpenFailure::AdministrativelyProhibited, NO_FORWARDING).await;
        Ok(())
    }

    fn unknown_channel_type(&mut self, channel_type: &str) -> Cow<'static, str> {
        Cow::Borrowed(match channel_type {
            "auth-agent@openssh.com" => NO_AGENT,
            "forwarded-streamlocal@openssh.com" => NO_FORWARDING,
            _ => NO_CHANNEL,
        })
    }

    async fn tcpip_forward(
        &mut self,
        _address: &str,
        _port: &mut u32,
        session: &mut Session,
    ) -> Result<bool, Self::Error> {
        session.debug(true, NO_FORWARDING, "")?;
        Ok(false)
    }

    async fn streamlocal_forward(&mut self, _socket_path: &str, session: &mut Session) -> Result<bool, Self::Error> {
        session.debug(true, NO_FORWARDING, "")?;
        Ok(false)
    }

    async fn agent_request(&mut self, _channel: ChannelId, session: &mut Session) -> Result<bool, Self::Error> {
        session.debug(true, NO_AGENT, "")?;
        Ok(false)
    }

    async fn channel_close(&mut self, channel: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        self.purposes.remove(&channel);
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let yes = name == SUBSYSTEM && self.take(channel);
        if !yes {
            session.debug(true, NO_SUBSYSTEM, "")?;
        }
        Self::answer(channel, yes, session)
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        // "Yes", so that the client shows what the channel then says.
        let yes = self.take(channel);
        Self::answer(channel, yes, session)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let yes = self.take(channel);
        Self::answer(channel, yes, session)
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _col_width: u32,
        _row_height: u32,
        _pix_width: u32,
        _pix_height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.debug(true, NO_TERMINAL, "")?;
        session.channel_failure(channel)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single_connection: bool,
        _x11_auth_protocol: &str,
        _x11_auth_cookie: &str,
        _x11_screen_number: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.debug(true, NO_X11, "")?;
        session.channel_failure(channel)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        _variable_name: &str,
        _variable_value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        _col_width: u32,
        _row_height: u32,
        _pix_width: u32,
        _pix_height: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }
}
