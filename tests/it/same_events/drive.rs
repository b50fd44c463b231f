//! One act, by each protocol. Each driver answers whether the client was told that it is done.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::scp;
use crate::harness::ftps::{code, cut};
use crate::harness::http::{Http, head};
use crate::harness::proxy::Proxy;
use crate::harness::rest::{content_path, encode};
use crate::harness::sftp::{Attrs, Body, CREATE, EXTENDED, R, TRUNCATE, W};
use crate::harness::{Ftps, Gateway, Rest, Sftp, eventually};

/// What an upload that breaks off announces, where it announces anything, and what comes of it.
const WHOLE: usize = 1000;
const HALF: usize = 400;
/// 2020-01-01T00:00:00Z.
const MOMENT: u32 = 1_577_836_800;
/// How long anything may take before a test calls it hung.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is done. Paths are the identity's own.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// So many bytes to a path. `announced`: their number is told before they come.
    Upload {
        path: &'static str,
        size: usize,
        announced: bool,
    },
    /// From a byte on to the end.
    Download {
        path: &'static str,
        from: u64,
    },
    /// A file is removed.
    Delete {
        path: &'static str,
    },
    /// To another name, whatever is there.
    Rename {
        from: &'static str,
        to: &'static str,
    },
    /// On the gateway's side.
    Copy {
        from: &'static str,
        to: &'static str,
    },
    /// The time of the last change is set.
    Touch {
        path: &'static str,
    },
    Mkdir {
        path: &'static str,
    },
    Rmdir {
        path: &'static str,
    },
    List {
        path: &'static str,
    },
    /// An upload whose connection breaks.
    Break {
        path: &'static str,
    },
    /// A login, and its end.
    Session,
    /// A login by a wrong password.
    WrongPassword,
}

/// The clients of one identity, whose login and API key have its name.
pub struct Clients<'a> {
    gateway: &'a Gateway,
    who: &'static str,
    sftp: Sftp,
    ftps: Ftps,
    rest: Rest,
}

/// By name: of the folder that a path is in, and of what is in it.
fn split(path: &str) -> (&str, &str) {
    let (folder, name) = path.rsplit_once('/').unwrap();
    (if folder.is_empty() { "/" } else { folder }, name)
}

impl<'a> Clients<'a> {
    pub async fn of(gateway: &'a Gateway, who: &'static str) -> Self {
        let (sftp, ftps) = (gateway.sftp(who).await, Ftps::login(gateway, who).await);
        Self { gateway, who, sftp, ftps, rest: gateway.rest_http1(who) }
    }

    pub async fn does(&mut self, protocol: &str, act: Act, keeper: &Keeper) -> bool {
        match protocol {
            "sftp" => self.over_sftp(act).await,
            "scp" => self.over_scp(act).await,
            "ftps" => self.over_ftps(act).await,
            _ => self.over_rest(act, keeper).await,
        }
    }

    async fn over_sftp(&mut self, act: Act) -> bool {
        let sftp = &mut self.sftp;
        match act {
            Act::Upload { path, size, .. } => {
                let Ok(handle) = sftp.open(path, W | CREATE | TRUNCATE).await else { return false };
                let wrote = sftp.write_all(&handle, 0, &vec![b'x'; size]).await.is_ok();
                sftp.close(&handle).await.is_ok() && wrote
            }
            Act::Download { path, from } => {
                let Ok(handle) = sftp.open(path, R).await else { return false };
                let mut at = from;
                while let Some(data) = sftp.read(&handle, at, 32_768).await.unwrap() {
                    at += data.len() as u64;
                }
                sftp.close(&handle).await.is_ok()
            }
            Act::Delete { path } => sftp.remove(path).await.is_ok(),
            Act::Rename { from, to } => {
                let body = Body::default().string("posix-rename@openssh.com").string(from).string(to);
                sftp.call(EXTENDED, body).await.is_ok()
            }
            Act::Copy { from, to } => {
                let source = sftp.open(from, R).await.unwrap();
                let target = sftp.open(to, W | CREATE | TRUNCATE).await.unwrap();
                let body = Body::default().string("copy-data").string(&source).u64(0).u64(0).string(&target).u64(0);
                let copied = sftp.call(EXTENDED, body).await.is_ok();
                sftp.close(&target).await.is_ok() && sftp.close(&source).await.is_ok() && copied
            }
            Act::Touch { path } => {
                let times = Attrs { times: Some((MOMENT, MOMENT)), ..Attrs::default() };
                sftp.setstat(path, &times).await.is_ok()
            }
            Act::Mkdir { path } => sftp.mkdir(path).await.is_ok(),
            Act::Rmdir { path } => sftp.rmdir(path).await.is_ok(),
            Act::List { path } => sftp.names(path).await.is_ok(),
            Act::Break { path } => {
                let proxy = Proxy::to(self.gateway.sftp).await;
                let mut sftp = Sftp::connect(proxy.address, self.who).await.unwrap();
                let handle = sftp.open(path, W | CREATE | TRUNCATE).await.unwrap();
                sftp.write(&handle, 0, &[b'x'; HALF]).await.unwrap();
                proxy.cut();
                sftp.close(&handle).await.is_ok()
            }
            Act::Session => Sftp::connect(self.gateway.sftp, self.who).await.is_ok(),
            Act::WrongPassword => Sftp::by_password(self.gateway.sftp, self.who, Some("wrong")).await.is_ok(),
        }
    }

    async fn over_scp(&self, act: Act) -> bool {
        match act {
            Act::Upload { path, size, .. } => {
                // Where the name is none, only the message that the client sends has it.
                let (folder, name) = split(path);
                let target = if name.is_ascii() { path } else { folder };
                scp::put(&self.sftp, target, name.as_bytes(), &vec![b'x'; size]).await
            }
            Act::Download { path, .. } => scp::get(&self.sftp, path).await,
            Act::Mkdir { path } => scp::make_folder(&self.sftp, split(path).1).await,
            Act::List { path } => scp::get_folder(&self.sftp, path).await,
            Act::Break { path } => {
                let proxy = Proxy::to(self.gateway.sftp).await;
                let sftp = Sftp::connect(proxy.address, self.who).await.unwrap();
                let mut scp = scp::Scp::run(&sftp, &format!("-t {path}")).await;
                assert!(scp.goes_on().await);
                scp.send(format!("C0644 {WHOLE} x\n")).await;
                assert!(scp.goes_on().await);
                scp.send([b'x'; HALF]).await;
                self.half_came("sftp").await;
                proxy.cut();
                scp.goes_on().await
            }
            other => unreachable!("{other:?} over scp"),
        }
    }

    async fn over_ftps(&mut self, act: Act) -> bool {
        let ftps = &mut self.ftps;
        match act {
            Act::Upload { path, size, .. } => {
                let (_, data) = ftps.open(&format!("STOR {path}")).await;
                let Some(mut data) = data else { return false };
                // The gateway may have enough before all of it is there.
                let _ = data.write_all(&vec![b'x'; size]).await;
                let _ = data.shutdown().await;
                let _ = timeout(PATIENCE, data.read_to_end(&mut Vec::new())).await.expect("an end in time");
                code(&ftps.reply().await) == 226
            }
            Act::Download { path, from } => {
                if from > 0 {
                    assert_eq!(ftps.code(&format!("REST {from}")).await, 350);
                }
                code(&ftps.get(&format!("RETR {path}")).await.1) == 226
            }
            Act::Delete { path } => ftps.code(&format!("DELE {path}")).await == 250,
            Act::Rename { from, to } => {
                ftps.code(&format!("RNFR {from}")).await == 350 && ftps.code(&format!("RNTO {to}")).await == 250
            }
            Act::Touch { path } => ftps.code(&format!("MFMT 20200101000000 {path}")).await == 213,
            Act::Mkdir { path } => ftps.code(&format!("MKD {path}")).await == 257,
            Act::Rmdir { path } => ftps.code(&format!("RMD {path}")).await == 250,
            Act::List { path } => code(&ftps.get(&format!("MLSD {path}")).await.1) == 226,
            Act::Break { path } => {
                let (_, data) = ftps.open(&format!("STOR {path}")).await;
                let mut data = data.unwrap();
                data.write_all(&[b'x'; HALF]).await.unwrap();
                data.flush().await.unwrap();
                cut(data).await;
                code(&ftps.reply().await) == 226
            }
            Act::Session => {
                let mut ftps = Ftps::login(self.gateway, self.who).await;
                ftps.code("QUIT").await == 221
            }
            Act::WrongPassword => {
                let mut ftps = Ftps::connect(self.gateway, &rustls::version::TLS13).await;
                ftps.secure().await;
                assert_eq!(ftps.code(&format!("USER {}", self.who)).await, 331);
                ftps.code("PASS wrong").await == 230
            }
            Act::Copy { .. } => unreachable!("{act:?} over FTPS"),
        }
    }

    async fn over_rest(&self, act: Act, keeper: &Keeper) -> bool {
        let rest = &self.rest;
        let change = async |path: &str, body: serde_json::Value| {
            let request = rest.request(Method::PATCH, &keeper.file(path).await);
            rest.send(request.header("content-type", "application/json").body(body.to_string())).await
        };
        let answer = match act {
            Act::Upload { path, size, announced: true } => rest.put(path, &vec![b'x'; size]).await,
            Act::Upload { path, size, announced: false } => {
                let body = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; size]))]);
                let request = rest.request(Method::PUT, &content_path(path)).body(reqwest::Body::wrap_stream(body));
                rest.send(request).await
            }
            Act::Download { path, from } => {
                let request = rest.request(Method::GET, &content_path(path));
                let ranged = request.header("range", format!("bytes={from}-"));
                rest.send(if from > 0 { ranged } else { rest.request(Method::GET, &content_path(path)) }).await
            }
            Act::Delete { path } => rest.delete(&keeper.file(path).await).await,
            Act::Rename { from, to } => change(from, json!({ "path": to, "overwrite": true })).await,
            Act::Copy { from, to } => {
                rest.post_json(&format!("{}/copy", keeper.file(from).await), &json!({ "destination": to })).await
            }
            Act::Touch { path } => change(path, json!({ "modified_at": "2020-01-01T00:00:00Z" })).await,
            Act::Mkdir { path } => rest.post_json("/folders", &json!({ "path": path })).await,
            Act::Rmdir { path } => rest.delete(&format!("/folders?path={}", encode(path))).await,
            Act::List { path } => rest.get(&format!("/files?path={}", encode(path))).await,
            Act::Break { path } => {
                let mut http = Http::connect(self.gateway).await;
                let line = format!("PUT /api/v1{}", content_path(path));
                let request = format!("{}Content-Length: {WHOLE}\r\n\r\n", head(&line, self.who));
                http.send([request.as_bytes(), &[b'x'; HALF]].concat()).await;
                self.half_came("api").await;
                http.end(false).await;
                return false;
            }
            Act::Session | Act::WrongPassword => unreachable!("{act:?} over REST"),
        };
        answer.status < 300
    }

    /// Waits until all that is sent of an upload is there.
    async fn half_came(&self, protocol: &str) {
        let ops = self.gateway.rest("ops");
        let query = format!("/sessions?identity={}&protocol={protocol}&limit=200", self.who);
        eventually("the half of it is there", PATIENCE, async || {
            let sessions = ops.get(&query).await.ok();
            sessions["sessions"].as_array().unwrap().iter().any(|session| session["bytes_up"] == HALF).then_some(())
        })
        .await;
    }
}

/// Somebody else, who sees what the others see below a folder of the tenant's tree, and leaves no entry of theirs.
pub struct Keeper {
    rest: Rest,
    root: &'static str,
}

impl Keeper {
    pub fn new(gateway: &Gateway, root: &'static str) -> Self {
        Self { rest: gateway.rest("orders"), root }
    }

    /// The address of a file or folder by its id.
    async fn file(&self, path: &str) -> String {
        let (folder, name) = split(path);
        let folder = format!("{}{folder}", self.root);
        let entry = self.rest.entry(folder.trim_end_matches('/'), name).await;
        let entry = entry.unwrap_or_else(|| panic!("no {path}"));
        format!("/files/{}", entry["file_id"].as_str().unwrap())
    }

    /// Makes everything anew: these files, each with its path as its content, and those that end in a slash as folders.
    pub async fn lay(&self, there: &[&str]) {
        let removed = self.rest.delete(&format!("/folders?path={}&recursive=true", encode(self.root))).await;
        assert!([204, 404].contains(&removed.status), "{removed:?}");
        let folder = async |path: &str| {
            let made = self.rest.post_json("/folders", &json!({ "path": path })).await;
            assert!([201, 409].contains(&made.status), "{made:?}");
        };
        for path in std::iter::once("/").chain(there.iter().copied()) {
            let whole = format!("{}{path}", self.root);
            match whole.strip_suffix('/') {
                Some(whole) => folder(whole).await,
                None => drop(self.rest.put(&whole, path.as_bytes()).await.ok()),
            }
        }
    }
}
