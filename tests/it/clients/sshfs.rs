//! sshfs: a mounted folder, with the file system exerciser `fsx` and the ways in which editors save.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{known_hosts, run};
use crate::harness::plan::Secrets;
use crate::harness::{Gateway, Ledger, Plan, count, has_tool, skip};

/// A mounted folder; unmounted at its end.
struct Mount(PathBuf);

impl Mount {
    async fn of(gateway: &Gateway, remote: &str, folder: &Path) -> Self {
        let at = folder.join("mounted");
        fs::create_dir(&at).unwrap();
        let mut command = Command::new("sshfs");
        command.arg(format!("app01@127.0.0.1:{remote}")).arg(&at).args(["-p", &gateway.sftp.port().to_string()]);
        let key = Secrets::get().private_key();
        command.arg("-o").arg(format!(
            "IdentityFile={},IdentitiesOnly=yes,UserKnownHostsFile={},StrictHostKeyChecking=yes",
            key.display(),
            known_hosts(gateway, folder).display()
        ));
        run(command).await;
        Self(at)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("fusermount3").arg("-uz").arg(&self.0).status();
    }
}

fn possible() -> bool {
    if !Path::new("/dev/fuse").exists() {
        // Nothing of ours can make a kernel without FUSE mount something.
        crate::harness::say("no /dev/fuse on this machine: sshfs cannot mount");
        return false;
    }
    has_tool("sshfs")
}

/// Random reads, writes, truncations and mapped writes of one open file, each read compared with a model.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fsx_finds_no_fault() {
    if !possible() {
        return;
    }
    let Some(fsx) = std::env::var_os("CAUSEWAY_TEST_FSX") else {
        return skip("CAUSEWAY_TEST_FSX is not set to the file system exerciser; ./test installs it");
    };
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let folder = tempfile::tempdir().unwrap();
    let mount = Mount::of(&gateway, "/inbound", folder.path()).await;
    // What FUSE over SFTP cannot do is left out.
    let config = folder.path().join("fsx.toml");
    fs::write(
        &config,
        "[opsize]\nmax = 65536\n[weights]\npunch_hole = 0\nposix_fallocate = 0\ncopy_file_range = 0\nsendfile = 0\n",
    )
    .unwrap();
    let mut command = Command::new(fsx);
    command.arg("-f").arg(&config).args(["-N", &count("CAUSEWAY_FSX_OPERATIONS", 1000).to_string(), "-S", "20261124"]);
    command.arg("-P").arg(folder.path()).arg(mount.0.join("exercised"));
    run(command).await;
    let there = fs::read(mount.0.join("exercised")).unwrap();
    drop(mount);
    assert!(!there.is_empty());
    assert!(
        gateway.rest("orders").read("/inbound/exercised").await.body == there,
        "what was mounted is what REST serves"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn editors_save() {
    if !possible() {
        return;
    }
    let gateway = Plan::new(Ledger::Sqlite).start().await;
    let folder = tempfile::tempdir().unwrap();
    let mount = Mount::of(&gateway, "/inbound", folder.path()).await;
    let at = mount.0.clone();
    tokio::task::spawn_blocking(move || {
        let synced = |name: &str, text: &str| {
            let mut file = File::create(at.join(name)).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file.sync_all().unwrap();
        };
        // vim: a swap file, the old version aside, the new one in its place.
        synced("notes.txt", "one\n");
        synced(".notes.txt.swp", "swap");
        fs::rename(at.join("notes.txt"), at.join("notes.txt~")).unwrap();
        synced("notes.txt", "two\n");
        fs::remove_file(at.join("notes.txt~")).unwrap();
        fs::remove_file(at.join(".notes.txt.swp")).unwrap();
        assert_eq!(fs::read(at.join("notes.txt")).unwrap(), b"two\n");
        // gedit, VS Code and LibreOffice: a new file, its mode, and a rename over the old one.
        synced(".goutputstream-1", "three\n");
        fs::set_permissions(at.join(".goutputstream-1"), fs::Permissions::from_mode(0o640)).unwrap();
        fs::rename(at.join(".goutputstream-1"), at.join("notes.txt")).unwrap();
        assert_eq!(fs::read(at.join("notes.txt")).unwrap(), b"three\n");
        assert_eq!(fs::metadata(at.join("notes.txt")).unwrap().permissions().mode() & 0o7777, 0o640);
        // nano: written over in place, and appended to.
        fs::write(at.join("notes.txt"), "four\n").unwrap();
        File::options().append(true).open(at.join("notes.txt")).unwrap().write_all(b"five\n").unwrap();
        assert_eq!(fs::read(at.join("notes.txt")).unwrap(), b"four\nfive\n");
        let names: Vec<_> = fs::read_dir(&at).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["notes.txt"]);
    })
    .await
    .unwrap();
    drop(mount);
    assert_eq!(&gateway.rest("orders").read("/inbound/notes.txt").await.body[..], b"four\nfive\n");
}
