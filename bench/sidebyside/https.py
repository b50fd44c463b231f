"""HTTP over TLS: the servers, the clients and the steps. HTTP/1.1 and TLS 1.3 with AES-128-GCM for all of them."""

import hashlib
import http.client
import json
import re
import shutil
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

from . import peers
from .ftps import CIPHER, certificate, flat, timed, unpacked
from .peers import Server, files, free_port, gateway
from .steps import LARGE, LISTED, SMALL, Step

KEY = "cwk_of-the-benchmark-and-of-nothing-else"
LANES = 8
LISTED_NAMES = [f"entry-{n:06}.dat" for n in range(LISTED)]


# ---------------------------------------------------------------- servers
def api_key():
    hashed = hashlib.sha256(KEY.encode()).hexdigest()
    return f'[[tenant.api_key]]\nid = "bench"\nidentity = "bench"\nkey_hash = "{hashed}"\n'


def causeway(folder, options, name="causeway", binary=None, more="", before=()):
    server = gateway(folder, name, binary or options.binary, "api", "", api_key() + more, before=before)
    server.authorization = f"Bearer {KEY}"
    return server


def causeway_before(folder, options):
    return causeway(folder, options, "before", options.before)


def nginx(folder, _options):
    """Downloads and listings of a folder; with its own PUT (ngx_http_dav_module) uploads too."""
    program, at, port = unpacked("nginx", "nginx"), files(folder), free_port()
    certificate(folder)
    (folder / "config").write_text(
        f"user root;\nworker_processes auto;\ndaemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{ worker_connections 1024; }}\n"
        "http {\n  types {} default_type application/octet-stream;\n  access_log off;\n  sendfile on;\n  tcp_nopush on;\n"
        f"  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;\n"
        f"  scgi_temp_path {folder}/scgi;\n  keepalive_requests 1000000;\n  server {{\n    listen 127.0.0.1:{port} ssl;\n"
        f"    ssl_certificate {folder}/cert.pem;\n    ssl_certificate_key {folder}/key.pem;\n    ssl_protocols TLSv1.3;\n    ssl_buffer_size 16k;\n"
        f"    root {at};\n    autoindex on;\n    autoindex_format json;\n    client_max_body_size 0;\n"
        "    dav_methods PUT DELETE MKCOL;\n    create_full_put_path on;\n  }\n}\n"
    )
    command = [program, "-c", folder / "config", "-e", folder / "error.log"]
    return serving("nginx", command, port, folder)


def rclone_http(folder, options):
    """Downloads and listings; its files come from beside."""
    server = rclone(folder, "http", "rclone-http")
    server.place = folder / "files"
    return server


def rclone_webdav(folder, _options):
    return rclone(folder, "webdav", "rclone-dav")


def rclone(folder, kind, name):
    venv = peers.ROOT / "target" / "test-venv" / "bin" / "rclone"
    program = venv if venv.exists() else peers.need("rclone", "rclone")
    port = free_port()
    certificate(folder)
    # Without a login: it would hash the password anew for each request, and little else would be measured.
    command = [program, "--config", "/dev/null", "serve", kind, files(folder), "--addr", f"127.0.0.1:{port}"]
    command += ["--cert", folder / "cert.pem", "--key", folder / "key.pem"]
    return serving(name, command, port, folder)


def serving(name, command, port, folder):
    server = Server(name, command, None, "", port, folder / "log")
    server.authorization = None
    server.place = None
    return server


PEERS = {"causeway": causeway, "before": causeway_before, "nginx": nginx, "rclone-http": rclone_http, "rclone-dav": rclone_webdav}
GATEWAYS = ("causeway", "before", "webhook", "without-trail")
# Whoever takes no uploads by HTTP.
READ_ONLY = ("rclone-http",)


def start(name, scratch, _public_key, options):
    """Starts a server with everything that it keeps under `scratch`."""
    folder = scratch / f"https-{name}"
    folder.mkdir(parents=True)
    return PEERS[name](folder, options).await_ready()


# ---------------------------------------------------------------- clients
def url(server, path):
    base = f"https://127.0.0.1:{server.port}"
    return f"{base}/api/v1/files/content?path={quote(path, safe='')}" if server.name in GATEWAYS else f"{base}/{path}"


def options_of(server):
    lines = ["silent", "show-error", "fail", "insecure", "http1.1", "tlsv1.3", f'tls13-ciphers = "{CIPHER}"']
    if server.authorization:
        lines.append(f'header = "Authorization: {server.authorization}"')
    return lines


def curl(server, transfers, cwd):
    """Runs curl once with many transfers, each a list of lines of its configuration file: one connection, kept alive."""
    blocks = ["\n".join([*options_of(server), *lines]) for lines in transfers]
    done = subprocess.run(["curl", "--config", "-"], input="\nnext\n".join(blocks), cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{server.name}: curl failed: {done.stderr[:500]}")


def put(server, path, local):
    # Without waiting for "100 Continue", as nothing is refused here.
    return [f'url = "{url(server, path)}"', f'upload-file = "{local}"', 'header = "Expect:"', 'output = "/dev/null"']


def get(server, path, local):
    return [f'url = "{url(server, path)}"', f'output = "{local}"']


class Client:
    """A connection of Python's, kept alive."""

    def __init__(self, server):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.server, self.connection = server, http.client.HTTPSConnection("127.0.0.1", server.port, timeout=120, context=context)

    def ask(self, method, target, body=None, headers=()):
        sent = {"Authorization": self.server.authorization} if self.server.authorization else {}
        self.connection.request(method, target, body, {**sent, **dict(headers)})
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{self.server.name}: {method} {target}: {answer.status} {content[:300]}")
        return content

    def remove(self, path):
        at = f"/api/v1/files/{self.id(path)}" if self.server.name in GATEWAYS else f"/{path}"
        self.ask("DELETE", at)

    def remove_folder(self, path):
        if self.server.name in GATEWAYS:
            self.ask("DELETE", f"/api/v1/folders?recursive=true&path={quote(path, safe='')}")
        else:
            self.ask("DELETE", f"/{path}/")

    def make(self, path):
        if self.server.name in GATEWAYS:
            self.ask("POST", "/api/v1/folders", json.dumps({"path": path}), {"Content-Type": "application/json"})
        else:
            self.ask("MKCOL", f"/{path}/")

    def id(self, path):
        head, _, name = path.rpartition("/")
        entries = json.loads(self.ask("GET", f"/api/v1/files?limit=1000&path={quote(head, safe='')}"))["entries"]
        return next(entry["file_id"] for entry in entries if entry["name"] == name)

    def list(self, path):
        """The whole listing of a folder; how many entries it has."""
        if self.server.name in GATEWAYS:
            count, cursor = 0, ""
            while cursor is not None:
                page = self.ask("GET", f"/api/v1/files?limit=1000&path={quote(path, safe='')}{cursor}")
                # Counted without parsing it, as is done to the others: the client's work is not measured.
                count += page.count(b'"type":"file"')
                after = re.search(rb'"next_cursor":"([^"]+)"', page[-4096:])
                cursor = f"&cursor={quote(after[1].decode(), safe='')}" if after else None
            return count
        if self.server.name == "rclone-dav":
            return self.ask("PROPFIND", f"/{path}/", headers={"Depth": "1"}).count(b"<D:response>") - 1
        return self.ask("GET", f"/{path}/").count(b"entry-") // (2 if self.server.name == "rclone-http" else 1)

    def close(self):
        self.connection.close()


def at_once(server, transfers, cwd, lanes):
    """Shares transfers out among so many curls at once."""
    with ThreadPoolExecutor(lanes) as pool:
        list(pool.map(lambda lane: curl(server, transfers[lane::lanes], cwd), range(lanes)))


def beside(bench, server):
    """Places all that is there to be read in the folder of a server that takes nothing itself; all at once, as it remembers
    what a folder has."""

    def place():
        for folder in ("small", "listed"):
            (server.place / folder).mkdir()
        shutil.copyfile(bench.local / "large", server.place / "large")
        for file in flat(bench).iterdir():
            shutil.copyfile(file, server.place / "small" / file.name)
        for name in LISTED_NAMES:
            (server.place / "listed" / name).touch()

    bench.place(server, "all", place)


# ---------------------------------------------------------------- steps
def put_large(bench, server):
    seconds, cpu = timed(server, lambda: curl(server, [put(server, "put-large", "large")], bench.local))
    client = Client(server)
    client.remove("put-large")
    client.close()
    return LARGE, seconds, cpu


def place_large(bench, server):
    if server.name in READ_ONLY:
        beside(bench, server)
    else:
        bench.place(server, "large", lambda: curl(server, [put(server, "large", "large")], bench.local))


def get_large(lanes):
    def work(bench, server):
        place_large(bench, server)
        back = bench.back()
        transfers = [get(server, "large", "/dev/null" if lanes > 1 else "large") for _ in range(lanes)]
        seconds, cpu = timed(server, lambda: at_once(server, transfers, back, lanes))
        if lanes == 1 and (back / "large").stat().st_size != LARGE << 20:
            raise RuntimeError(f"{server.name}: not the whole file came back")
        return LARGE * lanes, seconds, cpu

    return work


def put_small(lanes):
    def work(bench, server):
        local = flat(bench)
        client = Client(server)
        client.make("put-small")
        transfers = [put(server, f"put-small/f{n:05}", f"f{n:05}") for n in range(SMALL)]
        seconds, cpu = timed(server, lambda: at_once(server, transfers, local, lanes))
        client.remove_folder("put-small")
        client.close()
        return SMALL, seconds, cpu

    return work


def get_small(lanes):
    def work(bench, server):
        local = flat(bench)

        def place():
            client = Client(server)
            client.make("small")
            client.close()
            curl(server, [put(server, f"small/f{n:05}", f"f{n:05}") for n in range(SMALL)], local)

        if server.name in READ_ONLY:
            beside(bench, server)
        else:
            bench.place(server, "small", place)
        back = bench.back()
        transfers = [get(server, f"small/f{n:05}", f"f{n:05}") for n in range(SMALL)]
        seconds, cpu = timed(server, lambda: at_once(server, transfers, back, lanes))
        if sum(file.stat().st_size for file in back.iterdir()) != SMALL * 4096:
            raise RuntimeError(f"{server.name}: not all small files came back")
        return SMALL, seconds, cpu

    return work


def list_folder(bench, server):
    empty = bench.local / "empty"
    empty.touch()

    def place():
        client = Client(server)
        client.make("listed")
        client.close()
        at_once(server, [put(server, f"listed/{name}", "empty") for name in LISTED_NAMES], bench.local, LANES)

    if server.name in READ_ONLY:
        beside(bench, server)
    else:
        bench.place(server, "listed", place)
    client = Client(server)

    def work():
        for _ in range(5):
            if (seen := client.list("listed")) < LISTED:
                raise RuntimeError(f"{server.name}: the listing has {seen} entries")

    seconds, cpu = timed(server, work)
    client.close()
    return 5, seconds, cpu


STEPS = [
    Step("download 1 GiB", "MiB/s", get_large(1), None),
    Step("download 1 GiB, 4 at once", "MiB/s", get_large(4), None),
    Step("upload 1 GiB", "MiB/s", put_large, None, READ_ONLY),
    Step("download 2,000 of 4 KiB, 1 connection", "files/s", get_small(1), None),
    Step("download 2,000 of 4 KiB, 8 connections", "files/s", get_small(LANES), None),
    Step("upload 2,000 of 4 KiB, 1 connection", "files/s", put_small(1), None, READ_ONLY),
    Step("upload 2,000 of 4 KiB, 8 connections", "files/s", put_small(LANES), None, READ_ONLY),
    Step("list 10,000", "/s", list_folder, None),
]
