//! An SFTP client of the tests' own (draft-ietf-secsh-filexfer-02, version 3), so that it can also send what no decent
//! client sends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, Msg};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{ChannelStream, SshId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::plan::{PASSWORD, Secrets};

// Section 3: the types of packets.
pub const INIT: u8 = 1;
pub const OPEN: u8 = 3;
pub const CLOSE: u8 = 4;
pub const READ: u8 = 5;
pub const WRITE: u8 = 6;
pub const LSTAT: u8 = 7;
pub const FSTAT: u8 = 8;
pub const SETSTAT: u8 = 9;
pub const FSETSTAT: u8 = 10;
pub const OPENDIR: u8 = 11;
pub const READDIR: u8 = 12;
pub const REMOVE: u8 = 13;
pub const MKDIR: u8 = 14;
pub const RMDIR: u8 = 15;
pub const REALPATH: u8 = 16;
pub const STAT: u8 = 17;
pub const RENAME: u8 = 18;
pub const READLINK: u8 = 19;
pub const SYMLINK: u8 = 20;
pub const EXTENDED: u8 = 200;

// Section 6.3: how to open.
pub const R: u32 = 1;
pub const W: u32 = 2;
pub const APPEND: u32 = 4;
pub const CREATE: u32 = 8;
pub const TRUNCATE: u32 = 16;
pub const EXCLUSIVE: u32 = 32;

// Section 7: how it went.
pub const NO_SUCH_FILE: u32 = 2;
pub const PERMISSION_DENIED: u32 = 3;
pub const FAILURE: u32 = 4;
pub const BAD_MESSAGE: u32 = 5;
pub const UNSUPPORTED: u32 = 8;
/// Not a status of the protocol: the connection ended.
pub const CONNECTION_LOST: u32 = 7;

/// A refusal: its code and its sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub code: u32,
    pub message: String,
}

impl Status {
    fn lost(why: impl std::fmt::Display) -> Self {
        Self { code: CONNECTION_LOST, message: why.to_string() }
    }
}

pub type Result<T, E = Status> = std::result::Result<T, E>;

/// Attributes (section 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attrs {
    pub size: Option<u64>,
    pub owner: Option<(u32, u32)>,
    pub mode: Option<u32>,
    /// Access time, modification time.
    pub times: Option<(u32, u32)>,
}

impl Attrs {
    pub fn is_folder(&self) -> bool {
        self.mode.is_some_and(|mode| mode & 0o170_000 == 0o040_000)
    }
}

/// A packet being written.
#[derive(Clone, Default)]
pub struct Body(pub Vec<u8>);

impl Body {
    pub fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub fn string(self, bytes: impl AsRef<[u8]>) -> Self {
        let mut out = self.u32(bytes.as_ref().len() as u32);
        out.0.extend_from_slice(bytes.as_ref());
        out
    }

    pub fn attrs(self, attrs: &Attrs) -> Self {
        let flag = |present: bool, bit: u32| if present { bit } else { 0 };
        let flags = flag(attrs.size.is_some(), 1)
            | flag(attrs.owner.is_some(), 2)
            | flag(attrs.mode.is_some(), 4)
            | flag(attrs.times.is_some(), 8);
        let mut out = self.u32(flags);
        if let Some(size) = attrs.size {
            out = out.u64(size);
        }
        if let Some((uid, gid)) = attrs.owner {
            out = out.u32(uid).u32(gid);
        }
        if let Some(mode) = attrs.mode {
            out = out.u32(mode);
        }
        if let Some((accessed, modified)) = attrs.times {
            out = out.u32(accessed).u32(modified);
        }
        out
    }
}

/// A packet being read.
struct Reading<'a>(&'a [u8]);

impl<'a> Reading<'a> {
    fn take(&mut self, n: usize) -> &'a [u8] {
        assert!(self.0.len() >= n, "the gateway sent a packet that is too short");
        let (head, tail) = self.0.split_at(n);
        self.0 = tail;
        head
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take(4).try_into().unwrap())
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.take(8).try_into().unwrap())
    }

    fn string(&mut self) -> &'a [u8] {
        let len = self.u32() as usize;
        self.take(len)
    }

    fn attrs(&mut self) -> Attrs {
        let flags = self.u32();
        Attrs {
            size: (flags & 1 != 0).then(|| self.u64()),
            owner: (flags & 2 != 0).then(|| (self.u32(), self.u32())),
            mode: (flags & 4 != 0).then(|| self.u32()),
            times: (flags & 8 != 0).then(|| (self.u32(), self.u32())),
        }
    }
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Status(Status),
    Handle(Vec<u8>),
    Data(Vec<u8>),
    Names(Vec<(String, Attrs)>),
    Attrs(Attrs),
    /// What follows the id of an extended reply.
    Extended(Vec<u8>),
}

/// The callbacks of a client that believes every host.
pub struct AnyHost;

impl client::Handler for AnyHost {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> std::result::Result<bool, Self::Error> {
        Ok(true)
    }
}

/// A session.
pub struct Sftp {
    stream: ChannelStream<Msg>,
    next: u32,
    // The connection ends when its handle goes.
    connection: Arc<client::Handle<AnyHost>>,
}

/// How long anything may take before a test calls it hung.
const LIMIT: Duration = Duration::from_mins(1);

impl Sftp {
    /// By the tests' key.
    pub async fn connect(address: SocketAddr, login: &str) -> std::result::Result<Self, String> {
        Self::by_key(address, login, client::Config::default().client_id).await
    }

    /// The same; the client says of itself that it is this (RFC 4253 section 4.2).
    pub async fn calling_itself(address: SocketAddr, login: &str, id: &str) -> std::result::Result<Self, String> {
        Self::by_key(address, login, SshId::Standard(id.to_owned().into())).await
    }

    async fn by_key(address: SocketAddr, login: &str, client_id: SshId) -> std::result::Result<Self, String> {
        let key = russh::keys::load_secret_key(Secrets::get().private_key(), None).unwrap();
        let mut connection = Self::dial(address, client_id).await?;
        let answer = connection
            .authenticate_publickey(login, PrivateKeyWithHashAlg::new(Arc::new(key), None))
            .await
            .map_err(|e| e.to_string())?;
        if !answer.success() {
            return Err(format!("{login} was not let in"));
        }
        Self::begin(Arc::new(connection)).await
    }

    /// By the tests' password, or another one.
    pub async fn by_password(
        address: SocketAddr,
        login: &str,
        password: Option<&str>,
    ) -> std::result::Result<Self, String> {
        let mut connection = Self::dial(address, client::Config::default().client_id).await?;
        let answer =
            connection.authenticate_password(login, password.unwrap_or(PASSWORD)).await.map_err(|e| e.to_string())?;
        if !answer.success() {
            return Err(format!("{login} was not let in"));
        }
        Self::begin(Arc::new(connection)).await
    }

    async fn dial(address: SocketAddr, client_id: SshId) -> std::result::Result<client::Handle<AnyHost>, String> {
        let config = client::Config { client_id, window_size: 8 << 20, nodelay: true, ..client::Config::default() };
        let dial = client::connect(Arc::new(config), address, AnyHost);
        tokio::time::timeout(LIMIT, dial).await.map_err(|_| "no answer".to_owned())?.map_err(|e| e.to_string())
    }

    async fn begin(connection: Arc<client::Handle<AnyHost>>) -> std::result::Result<Self, String> {
        let channel = connection.channel_open_session().await.map_err(|e| e.to_string())?;
        channel.request_subsystem(true, "sftp").await.map_err(|e| e.to_string())?;
        let mut sftp = Self { stream: channel.into_stream(), next: 0, connection };
        sftp.send_raw(&[0, 0, 0, 5, INIT, 0, 0, 0, 3]).await.map_err(|s| s.message)?;
        let packet = sftp.receive_raw().await.map_err(|s| s.message)?;
        if packet.first() != Some(&2) || Reading(&packet[1..]).u32() != 3 {
            return Err(format!("not SSH_FXP_VERSION 3: {packet:?}"));
        }
        Ok(sftp)
    }

    /// One more session on the same connection.
    pub async fn channel(&self) -> std::result::Result<Self, String> {
        Self::begin(self.connection.clone()).await
    }

    /// A command on the same connection (RFC 4254 section 6.5): its input and its output.
    pub async fn command(&self, line: &str) -> ChannelStream<Msg> {
        let channel = self.connection.channel_open_session().await.unwrap();
        channel.exec(true, line).await.unwrap();
        channel.into_stream()
    }

    /// Sends these bytes as they are.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> Result<()> {
        let send = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        tokio::time::timeout(LIMIT, send).await.map_err(|_| Status::lost("hung while sending"))?.map_err(Status::lost)
    }

    /// The next packet, without its length.
    pub async fn receive_raw(&mut self) -> Result<Vec<u8>> {
        let receive = async {
            let length = self.stream.read_u32().await? as usize;
            assert!(length <= 1 << 20, "the gateway sent a packet of {length} bytes");
            let mut packet = vec![0; length];
            self.stream.read_exact(&mut packet).await?;
            Ok::<_, std::io::Error>(packet)
        };
        tokio::time::timeout(LIMIT, receive)
            .await
            .map_err(|_| Status::lost("hung while receiving"))?
            .map_err(Status::lost)
    }

    /// Sends a request and does not wait; its id.
    pub async fn send(&mut self, kind: u8, body: Body) -> Result<u32> {
        self.next += 1;
        let id = self.next;
        let mut packet = Vec::with_capacity(body.0.len() + 9);
        packet.extend_from_slice(&(body.0.len() as u32 + 5).to_be_bytes());
        packet.push(kind);
        packet.extend_from_slice(&id.to_be_bytes());
        packet.extend_from_slice(&body.0);
        self.send_raw(&packet).await?;
        Ok(id)
    }

    /// The next reply and the id that it belongs to.
    pub async fn receive(&mut self) -> Result<(u32, Reply)> {
        let packet = self.receive_raw().await?;
        let mut rest = Reading(&packet);
        let kind = rest.take(1)[0];
        let id = rest.u32();
        let reply = match kind {
            101 => {
                let code = rest.u32();
                let message = String::from_utf8(rest.string().to_vec()).expect("a status in UTF-8");
                let _language = rest.string();
                Reply::Status(Status { code, message })
            }
            102 => Reply::Handle(rest.string().to_vec()),
            103 => Reply::Data(rest.string().to_vec()),
            104 => {
                let mut names = Vec::new();
                for _ in 0..rest.u32() {
                    let name = String::from_utf8(rest.string().to_vec()).expect("a name in UTF-8");
                    let _long = rest.string();
                    names.push((name, rest.attrs()));
                }
                Reply::Names(names)
            }
            105 => Reply::Attrs(rest.attrs()),
            201 => Reply::Extended(rest.take(rest.0.len()).to_vec()),
            other => panic!("the gateway sent a packet of type {other}"),
        };
        assert!(rest.0.is_empty(), "{} bytes after the end of a reply", rest.0.len());
        Ok((id, reply))
    }

    /// Sends a request and waits for its reply.
    pub async fn call(&mut self, kind: u8, body: Body) -> Result<Reply> {
        let sent = self.send(kind, body).await?;
        let (id, reply) = self.receive().await?;
        assert_eq!(id, sent, "a reply to another request: {reply:?}");
        match reply {
            Reply::Status(status) if status.code != 0 => Err(status),
            reply => Ok(reply),
        }
    }

    async fn done(&mut self, kind: u8, body: Body) -> Result<()> {
        match self.call(kind, body).await? {
            Reply::Status(_) => Ok(()),
            other => panic!("not a status: {other:?}"),
        }
    }

    async fn attrs(&mut self, kind: u8, body: Body) -> Result<Attrs> {
        match self.call(kind, body).await? {
            Reply::Attrs(attrs) => Ok(attrs),
            other => panic!("no attributes: {other:?}"),
        }
    }

    pub async fn open(&mut self, path: &str, flags: u32) -> Result<Vec<u8>> {
        self.open_bytes(path.as_bytes(), flags, &Attrs::default()).await
    }

    pub async fn open_bytes(&mut self, path: &[u8], flags: u32, attrs: &Attrs) -> Result<Vec<u8>> {
        match self.call(OPEN, Body::default().string(path).u32(flags).attrs(attrs)).await? {
            Reply::Handle(handle) => Ok(handle),
            other => panic!("no handle: {other:?}"),
        }
    }

    pub async fn close(&mut self, handle: &[u8]) -> Result<()> {
        self.done(CLOSE, Body::default().string(handle)).await
    }

    pub async fn write(&mut self, handle: &[u8], offset: u64, data: &[u8]) -> Result<()> {
        self.done(WRITE, Body::default().string(handle).u64(offset).string(data)).await
    }

    /// None at the end of the file.
    pub async fn read(&mut self, handle: &[u8], offset: u64, len: u32) -> Result<Option<Vec<u8>>> {
        match self.call(READ, Body::default().string(handle).u64(offset).u32(len)).await {
            Ok(Reply::Data(data)) => Ok(Some(data)),
            Ok(other) => panic!("no data: {other:?}"),
            Err(status) if status.code == 1 => Ok(None),
            Err(status) => Err(status),
        }
    }

    pub async fn stat(&mut self, path: &str) -> Result<Attrs> {
        self.attrs(STAT, Body::default().string(path)).await
    }

    pub async fn lstat(&mut self, path: &str) -> Result<Attrs> {
        self.attrs(LSTAT, Body::default().string(path)).await
    }

    pub async fn fstat(&mut self, handle: &[u8]) -> Result<Attrs> {
        self.attrs(FSTAT, Body::default().string(handle)).await
    }

    pub async fn setstat(&mut self, path: &str, attrs: &Attrs) -> Result<()> {
        self.done(SETSTAT, Body::default().string(path).attrs(attrs)).await
    }

    pub async fn fsetstat(&mut self, handle: &[u8], attrs: &Attrs) -> Result<()> {
        self.done(FSETSTAT, Body::default().string(handle).attrs(attrs)).await
    }

    pub async fn remove(&mut self, path: &str) -> Result<()> {
        self.done(REMOVE, Body::default().string(path)).await
    }

    pub async fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        self.done(RENAME, Body::default().string(from).string(to)).await
    }

    pub async fn mkdir(&mut self, path: &str) -> Result<()> {
        self.done(MKDIR, Body::default().string(path).attrs(&Attrs::default())).await
    }

    pub async fn rmdir(&mut self, path: &str) -> Result<()> {
        self.done(RMDIR, Body::default().string(path)).await
    }

    pub async fn realpath(&mut self, path: &str) -> Result<String> {
        match self.call(REALPATH, Body::default().string(path)).await? {
            Reply::Names(names) => Ok(names[0].0.clone()),
            other => panic!("no name: {other:?}"),
        }
    }

    /// The entries of a folder but for `.` and `..`, in the order they come.
    pub async fn list(&mut self, path: &str) -> Result<Vec<(String, Attrs)>> {
        let handle = match self.call(OPENDIR, Body::default().string(path)).await? {
            Reply::Handle(handle) => handle,
            other => panic!("no handle: {other:?}"),
        };
        let mut out = Vec::new();
        loop {
            match self.call(READDIR, Body::default().string(&handle)).await {
                Ok(Reply::Names(names)) => out.extend(names),
                Ok(other) => panic!("no names: {other:?}"),
                Err(status) if status.code == 1 => break,
                Err(status) => return Err(status),
            }
        }
        self.close(&handle).await?;
        out.retain(|(name, _)| name != "." && name != "..");
        Ok(out)
    }

    pub async fn names(&mut self, path: &str) -> Result<Vec<String>> {
        Ok(self.list(path).await?.into_iter().map(|(name, _)| name).collect())
    }

    /// Puts a file as OpenSSH does: open to truncate, pipelined writes, close. Done when close is acknowledged.
    pub async fn put(&mut self, path: &str, content: &[u8]) -> Result<()> {
        let handle = self.open(path, W | CREATE | TRUNCATE).await?;
        self.write_all(&handle, 0, content).await?;
        self.close(&handle).await
    }

    /// Pipelined writes from an offset on.
    pub async fn write_all(&mut self, handle: &[u8], offset: u64, content: &[u8]) -> Result<()> {
        let mut under_way = 0;
        let mut first_error = None;
        let mut note = |reply: Reply| match reply {
            Reply::Status(status) if status.code == 0 => {}
            Reply::Status(status) => {
                first_error.get_or_insert(status);
            }
            other => panic!("not a status: {other:?}"),
        };
        for (i, piece) in content.chunks(32 * 1024).enumerate() {
            let at = offset + (i as u64) * 32 * 1024;
            self.send(WRITE, Body::default().string(handle).u64(at).string(piece)).await?;
            under_way += 1;
            if under_way == 32 {
                note(self.receive().await?.1);
                under_way -= 1;
            }
        }
        for _ in 0..under_way {
            note(self.receive().await?.1);
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Gets a file whole.
    pub async fn get(&mut self, path: &str) -> Result<Vec<u8>> {
        let handle = self.open(path, R).await?;
        let mut out = Vec::new();
        while let Some(data) = self.read(&handle, out.len() as u64, 64 * 1024).await? {
            assert!(!data.is_empty(), "an empty read that is not the end");
            out.extend_from_slice(&data);
        }
        self.close(&handle).await?;
        Ok(out)
    }
}
