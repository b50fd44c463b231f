"""Events to webhooks: how many a second arrive, how long after they were committed, and whether an endpoint that is dead, or one that
hangs, changes that for the others.

Every event is a real one: a folder made over REST by one of eight clients, each a process of its own with a connection that is kept
alive. The receiver is a process that answers at once. All of it is on one machine, so its clock is the one that the gateway stamps the
event by; the stamp is taken before the transaction, which therefore counts in the time until the event arrives."""

import asyncio
import json
import math
import multiprocessing
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import urlsplit

from . import https
from .peers import Server, free_port, gateway

LANES = 8
PACE = 500
PACED = 20  # seconds
# Nothing new for so long: what is missing will not come.
PATIENCE = 60
VARIANTS = ("alone", "dead", "hangs")
WHAT = {"alone": "alone", "dead": "beside one that refuses connections", "hangs": "beside one that never answers"}
FORK = multiprocessing.get_context("fork")


# ---------------------------------------------------------------- the receiver
class Receiving(asyncio.Protocol):
    """HTTP/1.1 as far as a webhook needs it. Ids and stamps are cut out of the bytes: JSON would be most of the work."""

    def __init__(self, got):
        self.got, self.buffer = got, b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            at = head.index(b"content-length:") + 15
            length = int(head[at:].split(b"\r", 1)[0])
            if len(self.buffer) < end + 4 + length:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            self.got.append((field(body, b'"id":"'), field(body, b'"timestamp":"'), time.time()))


def field(body, name):
    at = body.index(name) + len(name)
    return body[at : body.index(b'"', at)]


async def receiving(pipe):
    got = []
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Receiving(got), "127.0.0.1", 0, backlog=1024)
    pipe.send(listening.sockets[0].getsockname()[1])
    asked = asyncio.Event()
    loop.add_reader(pipe.fileno(), asked.set)
    while True:
        await asked.wait()
        asked.clear()
        while pipe.poll():
            question = pipe.recv()
            if question == "end":
                return
            if question == "count":
                pipe.send(len(got))
            else:
                pipe.send(got[:])
                got.clear()


class Receiver:
    def __init__(self):
        self.pipe, other = FORK.Pipe()
        self.process = FORK.Process(target=lambda: asyncio.run(receiving(other)), daemon=True)
        self.process.start()
        self.port = self.pipe.recv()

    def ask(self, question):
        self.pipe.send(question)
        return self.pipe.recv()

    def wait(self, count):
        """Until so many have come; then what has come."""
        seen, since = 0, time.monotonic()
        while (now := self.ask("count")) < count:
            if now > seen:
                seen, since = now, time.monotonic()
            if time.monotonic() - since > PATIENCE:
                raise RuntimeError(f"{now} of {count} events have arrived, and nothing more for {PATIENCE} s")
            time.sleep(0.1)
        return self.ask("all")

    def stop(self):
        self.pipe.send("end")
        self.process.join(5)
        self.process.kill()


# ---------------------------------------------------------------- the clients
class Lane:
    """A connection that is kept alive, by bytes: `http.client` would need more of the processor than the gateway does."""

    def __init__(self, port):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(plain)

    def make(self, path):
        body = json.dumps({"path": path})
        self.socket.sendall(
            f"POST /api/v1/folders HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {https.KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        answer = b""
        while (end := answer.find(b"\r\n\r\n")) < 0:
            answer += self.more()
        length = answer[:end].lower().split(b"content-length:")[1].split(b"\r", 1)[0]
        while len(answer) < end + 4 + int(length):
            answer += self.more()
        if not answer.startswith(b"HTTP/1.1 201"):
            raise RuntimeError(f"no folder was made: {answer[:400]}")

    def more(self):
        return self.socket.recv(65536) or sys.exit("the gateway has closed a connection")


def lane(port, top, numbers, rate, start):
    try:
        client = Lane(port)
        client.make(top)
    except BaseException:
        start.abort()
        raise
    start.wait()
    due = time.monotonic()
    for number in numbers:
        client.make(f"{top}/{number:06}")
        if rate:
            due += 1 / rate
            time.sleep(max(0, due - time.monotonic()))


def made(server, name, count, rate=None):
    """Has so many folders made, at this rate or as fast as that goes: when the first was asked for, and when the last was there."""
    start = FORK.Barrier(LANES + 1)
    share = rate and rate / LANES
    lanes = [
        FORK.Process(target=lane, args=(server.port, f"/{name}-{n}", range(n, count, LANES), share, start), daemon=True) for n in range(LANES)
    ]
    for one in lanes:
        one.start()
    start.wait(60)
    began = time.time()
    for one in lanes:
        one.join()
    if any(one.exitcode for one in lanes):
        raise RuntimeError("a client has failed")
    return began, time.time()


# ---------------------------------------------------------------- the gateways
def webhooks(folder, ports, events):
    """The tables of webhooks to these ports of this machine, by their ids."""
    (folder / "secret").write_text("of-the-benchmark-and-of-nothing-else")
    hooks = "".join(
        f'[[tenant.webhook]]\nid = "{id}"\nurl = "http://127.0.0.1:{port}/"\nevents = {json.dumps(events)}\nsecret = "file:{folder}/secret"\n'
        for id, port in ports.items()
    )
    return f"{hooks}[events]\nwebhook_allow_private_addresses = true\n"


class Beside:
    """What stands beside the fast receiver: an address where nobody listens, or where nobody answers."""

    def __init__(self, variant):
        self.listener, self.ports = None, {}
        if variant == "dead":
            self.ports["other"] = free_port()
        elif variant == "hangs":
            self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
            self.ports["other"] = self.listener.getsockname()[1]

    def close(self):
        if self.listener:
            self.listener.close()


class Database:
    """One of a PostgreSQL server, for one gateway."""

    def __init__(self, url, name):
        self.url, self.name = url, name
        self.say(f"DROP DATABASE IF EXISTS {name}")
        self.say(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")

    def say(self, sql):
        subprocess.run(["psql", "--quiet", "--no-psqlrc", "-d", self.url, "-c", sql], check=True, stderr=subprocess.DEVNULL)

    def table(self, folder):
        place = folder / "database-url"
        place.write_text(urlsplit(self.url)._replace(path=f"/{self.name}").geturl())
        place.chmod(0o600)
        return f'[database]\nurl = "file:{place}"\n'

    def drop(self):
        self.say(f"DROP DATABASE {self.name} WITH (FORCE)")


def once(options, variant, receiver):
    """One gateway, from its start to its end: by step events, seconds, CPU seconds of the gateway, and waits in milliseconds."""
    folder = Path(tempfile.mkdtemp(prefix="causeway-bench-events-", dir=options.place))
    beside, database, server = Beside(variant), None, None
    try:
        tables = webhooks(folder, {"fast": receiver.port, **beside.ports}, ["folder.created"])
        if options.postgres:
            database = Database(options.postgres, "causeway_bench_events")
            tables += database.table(folder)
        scopes = ("files:read", "files:write", "webhooks:write")
        server = gateway(folder, "causeway", options.binary, "api", "", https.api_key() + tables, scopes).await_ready()
        server.authorization = f"Bearer {https.KEY}"
        steps = {"paced": load(server, receiver, "paced", PACE * PACED, PACE)}
        since = datetime.now(timezone.utc)
        steps["flat out"] = load(server, receiver, "flat", options.count)
        steps["replay"] = replay(server, receiver, since, options.count)
        return steps
    finally:
        if server:
            server.stop()
        if database:
            database.drop()
        beside.close()
        subprocess.run(["rm", "-rf", folder], check=True)


def load(server, receiver, name, count, rate=None):
    cpu = server.meter.settled_cpu()
    began, done = made(server, name, count, rate)
    # Each client has made a folder of its own, too.
    got = receiver.wait(count + LANES)
    cpu = server.meter.settled_cpu() - cpu
    waits = sorted((at - stamp(text)) * 1000 for _, text, at in got)
    whole(got, count + LANES)
    return {"events": count, "seconds": max(at for *_, at in got) - began, "made": count / (done - began), "cpu": cpu, "waits": waits}


def replay(server, receiver, since, count):
    """All of them once more, at once: what the dispatcher alone can do."""
    cpu = server.meter.settled_cpu()
    client = https.Client(server)
    body = json.dumps({"since": since.strftime("%Y-%m-%dT%H:%M:%S.%fZ")})
    began = time.time()
    queued = json.loads(client.ask("POST", "/api/v1/webhooks/fast/replay", body, {"Content-Type": "application/json"}))["queued"]
    client.close()
    if queued < count:
        raise RuntimeError(f"{queued} of {count} events are sent once more")
    got = receiver.wait(queued)
    whole(got, queued)
    cpu = server.meter.settled_cpu() - cpu
    return {"events": queued, "seconds": max(at for *_, at in got) - began, "made": math.nan, "cpu": cpu, "waits": []}


def whole(got, count):
    """Whether each has arrived. More than once is allowed, but not in a run without a failure."""
    ids = {id for id, *_ in got}
    if len(ids) != count or len(got) != count:
        raise RuntimeError(f"{len(got)} deliveries of {len(ids)} events, of {count}")


def stamp(text):
    return datetime.fromisoformat(text.decode().replace("Z", "+00:00")).timestamp()


def at_part(waits, part):
    return waits[min(len(waits) - 1, math.ceil(len(waits) * part) - 1)]


# ---------------------------------------------------------------- all of it
def measure(options):
    """So many rounds of all variants, one right after another, and in the other order every other time."""
    results = {}
    receiver = Receiver()
    try:
        for turn in range(options.rounds):
            for variant in VARIANTS if turn % 2 == 0 else VARIANTS[::-1]:
                for step, run in once(options, variant, receiver).items():
                    results.setdefault(step, {}).setdefault(variant, []).append(run)
                    line = f"events {turn + 1} {step:9} {variant:6} {run['events'] / run['seconds']:8.0f} /s {run['cpu']:7.2f} CPU s"
                    if run["waits"]:
                        line += f" p50 {at_part(run['waits'], 0.5):8.1f} p99 {at_part(run['waits'], 0.99):8.1f} ms, made {run['made']:.0f} /s"
                    print(line, file=sys.stderr, flush=True)
    finally:
        receiver.stop()
    table(results, options)


def table(results, options):
    ledger = "PostgreSQL" if options.postgres else "SQLite"
    print(f"\n## events to one fast endpoint, {ledger}, {options.place}: medians of {options.rounds}\n")
    print("| | endpoint | events/s (times alone) | p50 / p99 ms (times alone) | gateway CPU, µs for each |")
    print("|---|---|---|---|---|")
    titles = {"paced": f"{PACE} a second", "flat out": f"{options.count}, as fast as they are made", "replay": "the same, replayed at once"}
    within = []
    for step, by_variant in results.items():
        base = middle(by_variant["alone"])
        for variant, runs in by_variant.items():
            rate, p50, p99, each = middle(runs)
            waits = "–" if math.isnan(p50) else f"{p50:.1f} / {p99:.1f} ({p50 / base[1]:.2f} / {p99 / base[2]:.2f})"
            print(f"| {titles[step]} | {WHAT[variant]} | {rate:.0f} (**{rate / base[0]:.2f}**) | {waits} | {each * 1e6:.0f} |")
            # What is made at a pace arrives at that pace.
            within.append(step == "paced" or rate / base[0] >= 0.9)
    print(f"\nEvents a second beside a bad endpoint within 10 % of alone: {'yes' if all(within) else 'NO'}", flush=True)


def middle(runs):
    rates = statistics.median(run["events"] / run["seconds"] for run in runs)
    each = statistics.median(run["cpu"] / run["events"] for run in runs)
    if not runs[0]["waits"]:
        return rates, math.nan, math.nan, each
    parts = [statistics.median(at_part(run["waits"], part) for run in runs) for part in (0.5, 0.99)]
    return rates, *parts, each
