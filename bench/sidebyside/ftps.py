"""FTP over TLS: the servers, the clients and the steps. TLS 1.3 with AES-128-GCM for all of them."""

import ftplib
import os
import shutil
import ssl
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import peers
from .peers import LOGIN, Server, files, free_port, gateway, need
from .steps import LARGE, SMALL, Step

USER, PASSWORD = "bench", "correct horse"
CIPHER = "TLS_AES_128_GCM_SHA256"
# The account of the peers' files: some of them serve nobody else as root, and vsftpd wants one with a home.
OWNER, OWNER_ID = "daemon", 1


# ---------------------------------------------------------------- servers
def certificate(folder):
    """A certificate and its key in one file."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
         "-subj", "/CN=localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    both.chmod(0o600)
    return both


def unpacked(program, *packages):
    """A program of a Debian package that cannot be installed beside another FTP server: its files are enough."""
    root = peers.ROOT / "target" / "bench-peers"
    found = list(root.glob(f"usr/*bin/{program}"))
    if not found:
        root.mkdir(parents=True, exist_ok=True)
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": root}
        needs = subprocess.run(["apt-cache", "depends", *packages], check=True, capture_output=True, text=True).stdout
        libraries = sorted({word for line in needs.splitlines() if "Depends:" in line for word in line.split() if word.startswith("lib")})
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *libraries], **quiet)
        subprocess.run(["apt-get", "download", *packages], **quiet)
        for package in root.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, root], **quiet)
        found = list(root.glob(f"usr/*bin/{program}"))
    return found[0] if found else sys.exit(f"{program} is in none of {' '.join(packages)}")


def owned(folder):
    """The folder of a peer's files, which its account may write in."""
    for parent in [folder, *folder.parents]:
        if parent in (Path("/dev/shm"), Path("/var/tmp"), Path("/")):
            break
        parent.chmod(0o755)
    at = Path(files(folder))
    shutil.chown(at, OWNER)
    return at


def crypted():
    """The password as crypt(3) keeps it."""
    return subprocess.run(["openssl", "passwd", "-5", PASSWORD], check=True, capture_output=True, text=True).stdout.strip()


def causeway(folder, options, name="causeway", binary=None):
    binary = binary or options.binary
    hashed = subprocess.run(
        [binary, "hash-password"], input=f"{PASSWORD}\n", check=True, capture_output=True, text=True
    ).stdout.strip()
    listener = 'listen_implicit = []\npassive_ports = "30000-39999"\n'
    who = f'{LOGIN}protocols = ["ftps"]\npassword_hash = "{hashed}"\n'
    return gateway(folder, name, binary, "ftps", listener, who)


def causeway_before(folder, options):
    return causeway(folder, options, "before", options.before)


def vsftpd(folder, _options):
    """Anonymous, as its other accounts need PAM; the rest of what it does is the same."""
    program, at, port = unpacked("vsftpd", "vsftpd"), owned(folder), free_port()
    both = certificate(folder)
    config = folder / "config"
    config.write_text(
        f"listen=YES\nlisten_address=127.0.0.1\nlisten_port={port}\nbackground=NO\nsecure_chroot_dir={folder}/empty\n"
        f"anonymous_enable=YES\nno_anon_password=YES\nftp_username={OWNER}\nanon_root={folder}\nanon_umask=022\n"
        "write_enable=YES\nanon_upload_enable=YES\nanon_mkdir_write_enable=YES\nanon_other_write_enable=YES\n"
        f"ssl_enable=YES\nallow_anon_ssl=YES\nrsa_cert_file={both}\nrsa_private_key_file={both}\nrequire_ssl_reuse=NO\n"
        "force_anon_data_ssl=YES\nforce_anon_logins_ssl=YES\nssl_ciphers=HIGH\nseccomp_sandbox=NO\n"
        "connect_from_port_20=NO\nsession_support=NO\nmax_clients=0\nmax_per_ip=0\n"
        "pasv_min_port=40000\npasv_max_port=44999\nxferlog_enable=NO\n"
    )
    config.chmod(0o600)
    (folder / "empty").mkdir()
    server = Server("vsftpd", [program, config], "ftp", f"/{at.name}", port, folder / "log")
    return server


def proftpd(folder, _options):
    program = need("proftpd", "proftpd-core", "proftpd-mod-crypto")
    at, port = owned(folder), free_port()
    both = certificate(folder)
    (folder / "users").write_text(f"{USER}:{crypted()}:{OWNER_ID}:{OWNER_ID}::{at}:/bin/sh\n")
    (folder / "users").chmod(0o600)
    (folder / "config").write_text(
        "ModulePath /usr/lib/proftpd\nLoadModule mod_tls.c\nServerName bench\nServerType standalone\n"
        f"DefaultAddress 127.0.0.1\nPort {port}\nUser {OWNER}\nGroup {OWNER}\nUseReverseDNS off\nUseIPv6 off\n"
        f"MaxInstances none\nPidFile {folder}/pid\nScoreboardFile {folder}/scoreboard\nSystemLog {folder}/system.log\n"
        "TransferLog none\nWtmpLog off\nDelayEngine off\nAllowOverwrite on\nRequireValidShell off\nAuthOrder mod_auth_file.c\n"
        f"AuthUserFile {folder}/users\nTLSEngine on\nTLSRequired on\nTLSLog none\nTLSProtocol TLSv1.2 TLSv1.3\n"
        f"TLSECCertificateFile {folder}/cert.pem\nTLSECCertificateKeyFile {folder}/key.pem\nTLSRenegotiate none\nTLSOptions NoSessionReuseRequired\n"
        "PassivePorts 45000 49999\nMaxClients none\nMaxClientsPerHost none\n"
    )
    command = [program, "-n", "-q", "-c", folder / "config"]
    return Server("proftpd", command, USER, str(at), port, folder / "log")


def pure_ftpd(folder, _options):
    program, tool = unpacked("pure-ftpd", "pure-ftpd", "pure-ftpd-common"), unpacked("pure-pw", "pure-ftpd-common")
    at, port = owned(folder), free_port()
    both = certificate(folder)
    # By hand, as the tool's own hash takes seconds: of each login, not of what is measured.
    (folder / "passwd").write_text(f"{USER}:{crypted()}:{OWNER_ID}:{OWNER_ID}::{at}/./::::::::::::\n")
    subprocess.run([tool, "mkdb", folder / "users.pdb", "-f", folder / "passwd"], check=True)
    command = [program, "-S", f"127.0.0.1,{port}", "-l", f"puredb:{folder}/users.pdb", "-E", "-H", "-Y", "2", "-u", "1"]
    command += [f"--certfile={both}", "-p", "50000:59999", "-c", "1000", "-C", "1000", "-g", folder / "pid"]
    return Server("pure-ftpd", command, USER, "", port, folder / "log")


PEERS = {"causeway": causeway, "before": causeway_before, "vsftpd": vsftpd, "proftpd": proftpd, "pure-ftpd": pure_ftpd}


def start(name, scratch, _public_key, options):
    """Starts a server with everything that it keeps under `scratch`."""
    folder = scratch / f"ftps-{name}"
    folder.mkdir(parents=True)
    return PEERS[name](folder, options).await_ready()


# ---------------------------------------------------------------- clients
def curl(server, arguments, cwd):
    """What curl takes from its login to its end: seconds."""
    command = ["curl", "-sS", "--fail", "--ssl-reqd", "--insecure", "--tlsv1.3", "--tls13-ciphers", CIPHER]
    command += ["--user", f"{server.user}:{PASSWORD}", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{server.name}: curl failed: {done.stderr}")


def url(server, path):
    return f"ftp://127.0.0.1:{server.port}/{('%2F' + server.at[1:] + '/') if server.at else ''}{path}"


# curl 7.88, Debian's, waits for a second before most data connections of a session that goes on; later ones do not.
MANY = """
import pycurl, sys
base, user, cipher, folder, count, way = sys.argv[1:]
one = pycurl.Curl()
options = {"USERPWD": user, "SSL_VERIFYPEER": 0, "SSL_VERIFYHOST": 0, "USE_SSL": pycurl.USESSL_ALL, "TLS13_CIPHERS": cipher,
           "SSLVERSION": pycurl.SSLVERSION_TLSv1_3, "UPLOAD": way == "put", "FTP_FILEMETHOD": pycurl.FTPMETHOD_NOCWD}
for name, value in options.items():
    one.setopt(getattr(pycurl, name), value)
for n in range(int(count)):
    one.setopt(pycurl.URL, f"{base}f{n:05}")
    with open(f"{folder}/f{n:05}", "rb" if way == "put" else "wb") as file:
        one.setopt(pycurl.READDATA if way == "put" else pycurl.WRITEDATA, file)
        one.perform()
"""


def curl_many(server, folder, path, way):
    """libcurl, all small files in one session, from its login to its end."""
    python = peers.ROOT / "target" / "bench-venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "pycurl>=7.46"], check=True)
    command = [python, "-c", MANY, url(server, path), f"{server.user}:{PASSWORD}", CIPHER, folder, str(SMALL), way]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{server.name}: libcurl failed: {done.stderr}")


# Without MODE Z, which lftp asks for where it is there: of these servers causeway alone can have it, and it would be compared with none.
LFTP = (
    "set ssl:verify-certificate no; set ftp:ssl-force yes; set ftp:ssl-protect-data yes; set ftp:use-mode-z no; "
    "set net:max-retries 1; set net:timeout 60;"
    "set xfer:clobber yes; set cmd:fail-exit yes; set ssl:priority NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM;"
)


def lftp(server, commands, cwd):
    script = f"{LFTP} open -u '{server.user},{PASSWORD}' ftp://127.0.0.1:{server.port}; cd {server.at or '/'}; {commands}"
    done = subprocess.run(["lftp", "-f", "/dev/stdin"], input=script.replace("; ", "\n"), cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{server.name}: lftp failed: {done.stdout} {done.stderr}")


def session(server):
    """A session of Python's client that is logged in."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    client = ftplib.FTP_TLS(context=context)
    client.connect("127.0.0.1", server.port, 30)
    client.login(server.user, PASSWORD)
    if server.at:
        client.cwd(server.at)
    return client


def timed(server, work):
    before = server.meter.settled_cpu()
    began = time.monotonic()
    work()
    seconds = time.monotonic() - began
    return seconds, server.meter.settled_cpu() - before


# ---------------------------------------------------------------- steps
# `mget` gets some 20 files a second from every server: a part of the small files says as much.
SOME = 200


def delete(server, names):
    client = session(server)
    for name in names:
        client.delete(name)
    client.quit()


def folder(bench, server, name):
    def make():
        client = session(server)
        client.mkd(name)
        client.quit()

    bench.place(server, name, make)


def flat(bench):
    """The small files in one folder, by number."""
    at = bench.local / "flat"
    if not at.exists():
        at.mkdir()
        for file in (bench.local / "small").glob("*/*"):
            os.link(file, at / file.name)
    return at


def put_large(by):
    def work(bench, server):
        if by is curl:
            seconds, cpu = timed(server, lambda: curl(server, ["-T", "large", url(server, "put-large")], bench.local))
        else:
            seconds, cpu = timed(server, lambda: lftp(server, "put large -o put-large", bench.local))
        delete(server, ["put-large"])
        return LARGE, seconds, cpu

    return work


def get_large(by):
    def work(bench, server):
        bench.place(server, "large", lambda: curl(server, ["-T", "large", url(server, "large")], bench.local))
        back = bench.back()
        if by is curl:
            seconds, cpu = timed(server, lambda: curl(server, [url(server, "large"), "-o", "large"], back))
        else:
            seconds, cpu = timed(server, lambda: lftp(server, "get large", back))
        if (back / "large").stat().st_size != LARGE << 20:
            sys.exit(f"{server.name}: not the whole file came back")
        return LARGE, seconds, cpu

    return work


def put_small(by):
    def work(bench, server):
        local = flat(bench)
        folder(bench, server, "put-small")
        if by is curl:
            seconds, cpu = timed(server, lambda: curl_many(server, local, "put-small/", "put"))
        else:
            seconds, cpu = timed(server, lambda: lftp(server, "mput -O put-small f*", local))
        # Refused where one is missing.
        delete(server, [f"put-small/f{n:05}" for n in range(SMALL)])
        return SMALL, seconds, cpu

    return work


def get_small(by):
    def work(bench, server):
        local = flat(bench)
        folder(bench, server, "small")
        bench.place(server, "small files", lambda: curl_many(server, local, "small/", "put"))
        back = bench.back()
        if by is curl:
            seconds, cpu = timed(server, lambda: curl_many(server, back, "small/", "get"))
        else:
            seconds, cpu = timed(server, lambda: lftp(server, "cd small; mget f000* f001*", back))
        count = SMALL if by is curl else SOME
        if sum(file.stat().st_size for file in back.iterdir()) != count * 4096:
            sys.exit(f"{server.name}: not all small files came back")
        return count, seconds, cpu

    return work


def connect(bench, server):
    count = 20

    def one():
        for _ in range(count):
            session(server).quit()

    return count, *timed(server, one)


def idle(bench, server):
    """KiB for each idle session: the "amount", of a second that is not one."""
    server = bench.start(server.name)
    try:
        count = bench.idle if server.name in ("causeway", "before") else min(bench.idle, 200)
        # What checking passwords side by side leaves behind in the allocator is there once.
        with ThreadPoolExecutor(4) as pool:
            sessions = list(pool.map(lambda _: session(server), range(12)))
        time.sleep(0.5)
        before, cpu = server.meter.memory(), server.meter.cpu()
        with ThreadPoolExecutor(4) as pool:
            sessions += pool.map(lambda _: session(server), range(count))
        time.sleep(1)
        each = (server.meter.memory() - before) / count
        cpu = (server.meter.cpu() - cpu) / count
        for client in sessions:
            client.close()
        return each, 1, cpu
    finally:
        server.stop()


STEPS = [
    Step("put 1 GiB, curl", "MiB/s", put_large(curl), None),
    Step("put 1 GiB, lftp", "MiB/s", put_large(lftp), None),
    Step("get 1 GiB, curl", "MiB/s", get_large(curl), None),
    Step("get 1 GiB, lftp", "MiB/s", get_large(lftp), None),
    Step("put 2,000 of 4 KiB, libcurl", "files/s", put_small(curl), None),
    Step("put 2,000 of 4 KiB, lftp", "files/s", put_small(lftp), None),
    Step("get 2,000 of 4 KiB, libcurl", "files/s", get_small(curl), None),
    Step("get 200 of 4 KiB, lftp", "files/s", get_small(lftp), None),
    Step("connect, log in, end", "/s", connect, None),
    Step("idle session", "KiB", idle, None),
]
