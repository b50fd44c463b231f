"""The servers: how each is configured and started."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from .accounting import Meter

ROOT = Path(__file__).resolve().parent.parent.parent


class Server:
    """A running server. `at` is the folder to work in, as its clients name it."""

    def __init__(self, name, command, user, at, port, log, ciphers=None):
        self.name, self.user, self.at, self.port, self.log, self.ciphers = name, user, at, port, log, ciphers
        self.meter = Meter(f"{name}-{id(self)}")
        self.process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log.open("w"), stderr=subprocess.STDOUT,
            preexec_fn=self.meter.enter, cwd=log.parent,
        )  # fmt: skip
        self.meter.pid = self.process.pid

    def await_ready(self):
        for _ in range(600):
            if self.process.poll() is not None:
                sys.exit(f"{self.name} ended at its start:\n{self.log.read_text()}")
            try:
                port = self.port() if callable(self.port) else self.port
                if port:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    self.port = port
                    time.sleep(0.3)
                    self.meter.settle()
                    return self
            except OSError:
                pass
            time.sleep(0.05)
        sys.exit(f"{self.name} did not come up:\n{self.log.read_text()}")

    def speaks(self, cipher):
        return self.ciphers is None or cipher in self.ciphers

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.meter.close()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def need(program, *packages):
    """Where a program is; Debian's packages are installed where it is missing."""
    path = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
    if not shutil.which(program, path=path):
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
        subprocess.run(["apt-get", "update"], **quiet)
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *packages], **quiet)
    return shutil.which(program, path=path) or sys.exit(f"{program} is missing; install {' '.join(packages)}")


def host_key(folder, kind="ed25519"):
    extra = ["-m", "PEM"] if kind == "rsa" else []
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *extra, "-N", "", "-f", folder / "host"], check=True)
    return folder / "host"


def sshd(folder, public_key, _options):
    program = need("sshd", "openssh-server")
    Path("/run/sshd").mkdir(exist_ok=True)
    (folder / "authorized_keys").write_text(public_key)
    port = free_port()
    (folder / "config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {host_key(folder)}\nPidFile {folder}/pid\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
        "PasswordAuthentication no\nSubsystem sftp /usr/lib/openssh/sftp-server\nMaxStartups 10000\n"
    )
    command = [program, "-D", "-e", "-f", folder / "config"]
    return Server("sshd", command, "root", files(folder), port, folder / "log")


def causeway(folder, public_key, options, name="causeway", binary=None, more="", before=()):
    who = f'{LOGIN}protocols = ["sftp"]\nauthorized_keys = ["{public_key.strip()}"]\n{more}'
    return gateway(folder, name, binary or options.binary, "sftp", "", who, before=before)


LOGIN = '[[tenant.login]]\nusername = "bench"\nidentity = "bench"\n'


def gateway(folder, name, binary, protocol, listener, who, scopes=("files:read", "files:write"), before=()):
    """causeway with this protocol alone: more lines of its listener's table, the table of the one who may come in and those behind
    it, what he may do, and what stands before the command."""
    (folder / "causeway.toml").write_text(
        f'data_dir = "{folder}/data"\n[{protocol}]\nlisten = ["127.0.0.1:0"]\n{listener}'
        # All clients of the benchmark come from one address, 64 of them at once, and none of the others counts requests.
        '[limits]\npenalty_exempt = ["127.0.0.0/8"]\nrequests_per_minute = 10000000\n'
        f'[[storage]]\nname = "local"\nkind = "local"\nroot = "{folder}/content"\n'
        '[uploads]\nblob_grace = "0s"\n'
        '[[tenant]]\nid = "bench"\n[[tenant.mount]]\nat = "/"\nstorage = "local"\npath = "bench"\n'
        f'[[tenant.identity]]\nid = "bench"\nscopes = {json.dumps(scopes)}\n'
        f'view = [{{ at = "/", path = "/", permissions = ["*"] }}]\n{who}'
    )
    listening = folder / "data" / "listening.json"

    def port():
        try:
            return int(json.loads(listening.read_text())[protocol][0].rsplit(":", 1)[1])
        except (OSError, ValueError, KeyError):
            return None

    return Server(name, [*before, binary, "serve", "--config", folder / "causeway.toml"], "bench", "", port, folder / "log")


def causeway_before(folder, public_key, options):
    """Another build of causeway, to compare two of them in one run (`--before`)."""
    return causeway(folder, public_key, options, "before", options.before)


def proftpd(folder, public_key, _options):
    program = need("proftpd", "proftpd-core", "proftpd-mod-crypto")
    keys = folder / "authorized_keys"
    (folder / "id.pub").write_text(public_key)
    keys.write_bytes(subprocess.run(["ssh-keygen", "-e", "-f", folder / "id.pub"], check=True, capture_output=True).stdout)
    at, port = files(folder), free_port()
    (folder / "users").write_text(f"bench:*:0:0::{at}:/bin/sh\n")
    (folder / "users").chmod(0o600)
    (folder / "config").write_text(
        "ModulePath /usr/lib/proftpd\nLoadModule mod_sftp.c\nServerName bench\nServerType standalone\n"
        f"DefaultAddress 127.0.0.1\nPort {port}\nUser root\nGroup root\nRootLogin on\nUseReverseDNS off\nUseIPv6 off\n"
        f"MaxInstances none\nPidFile {folder}/pid\nScoreboardFile {folder}/scoreboard\nSystemLog {folder}/system.log\n"
        f"TransferLog none\nWtmpLog off\nDelayEngine off\nAllowOverwrite on\nRequireValidShell off\nAuthOrder mod_auth_file.c\n"
        f"AuthUserFile {folder}/users\nSFTPEngine on\nSFTPHostKey {host_key(folder, 'rsa')}\nSFTPAuthMethods publickey\n"
        f"SFTPAuthorizedUserKeys file:{keys}\nSFTPLog none\nMaxClients none\nMaxClientsPerHost none\n"
    )
    command = [program, "-n", "-q", "-c", folder / "config"]
    return Server("proftpd", command, "bench", at, port, folder / "log", {"aes128-gcm@openssh.com"})


def rclone(folder, public_key, _options):
    venv = ROOT / "target" / "test-venv" / "bin" / "rclone"
    program = venv if venv.exists() else need("rclone", "rclone")
    (folder / "authorized_keys").write_text(public_key)
    port = free_port()
    command = [program, "--config", "/dev/null", "serve", "sftp", files(folder), "--addr", f"127.0.0.1:{port}"]
    command += ["--user", "bench", "--authorized-keys", folder / "authorized_keys", "--key", host_key(folder)]
    return Server("rclone", command, "bench", "", port, folder / "log")


def files(folder):
    (folder / "files").mkdir()
    return str(folder / "files")


PEERS = {"causeway": causeway, "before": causeway_before, "sshd": sshd, "proftpd": proftpd, "rclone": rclone}


def start(name, scratch, public_key, options):
    """Starts a server with everything that it keeps under `scratch`."""
    folder = scratch / name
    folder.mkdir(parents=True)
    return PEERS[name](folder, public_key, options).await_ready()
