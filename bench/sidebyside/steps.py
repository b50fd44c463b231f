"""What is measured. A step prepares (not measured), works (measured) and clears away, against one server at a time."""

import hashlib
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from .clients import AES, ATTRS, CHACHA, LSTAT, REMOVE, STATUS, Raw, Sftp

LARGE = 1024  # MiB
SMALL = 2000  # files of 4 KiB
LISTED = 10_000
STATS = 1000
SHARED = 64  # files of SHARED_MIB that are shared out among the sessions
SHARED_MIB = 8
SPLIT = 16
DEEP = 64


@dataclass(eq=False)
class Bench:
    """What all steps share: the client's files, its key, and what the servers have got already."""

    local: object
    key: object
    idle: int
    """Idle sessions to open."""
    placed: set
    start: object = None
    """Starts another server of this name."""

    def __post_init__(self):
        piece = hashlib.shake_128(b"bench").digest(1 << 20)
        with open(self.local / "large", "wb") as large:
            for n in range(LARGE):
                large.write(n.to_bytes(8, "big") + piece[8:])
        for n in range(SMALL):
            folder = self.local / "small" / f"s{n % SPLIT:02}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"f{n:05}").write_bytes(n.to_bytes(8, "big") + piece[8:4096])
        (self.local / "shared").mkdir()
        for n in range(SHARED):
            with open(self.local / "shared" / f"m{n:03}", "wb") as file:
                for _ in range(SHARED_MIB):
                    file.write(n.to_bytes(8, "big") + piece[8:])

    def place(self, server, what, put):
        """Puts something there once for all rounds."""
        if (id(server), what) not in self.placed:
            put()
            self.placed.add((id(server), what))

    def sftp(self, server, commands, cipher=AES):
        client = Sftp(server, self.key, cipher, self.local)
        client.begin(commands)
        client.end()

    def timed(self, server, jobs, cipher=AES):
        """Runs `sftp` with each of these commands at once, from the moment when all are logged in: seconds."""
        with ThreadPoolExecutor(8) as pool:
            clients = list(pool.map(lambda _: Sftp(server, self.key, cipher, self.local), jobs))
        before = server.meter.cpu()
        began = time.monotonic()
        for client, commands in zip(clients, jobs):
            client.begin(commands)
        for client in clients:
            client.end()
        seconds = time.monotonic() - began
        return seconds, server.meter.settled_cpu() - before

    def remove(self, server, paths):
        raw = Raw(server, self.key)
        raw.many([(REMOVE, path.encode()) for path in paths], DEEP, STATUS)
        raw.close()

    def back(self):
        """An empty folder for what comes back."""
        folder = self.local / "back"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder


@dataclass(eq=False)
class Step:
    """A row of the table: its name, what is counted, and the work: from bench and server to amount, seconds, CPU seconds."""

    name: str
    unit: str
    work: object
    cipher: str = AES
    without: tuple = ()
    """The servers that cannot do it."""


def put_large(cipher):
    def work(bench, server):
        seconds, cpu = bench.timed(server, [f"put large {server.at}/put-large\n"], cipher)
        bench.remove(server, [f"{server.at}/put-large"])
        return LARGE, seconds, cpu

    return work


def get_large(cipher):
    def work(bench, server):
        bench.place(server, "large", lambda: bench.sftp(server, f"put large {server.at}/large\n"))
        back = bench.back()
        seconds, cpu = bench.timed(server, [f"get {server.at}/large back/large\n"], cipher)
        if (back / "large").stat().st_size != LARGE << 20:
            raise SystemExit(f"{server.name}: not the whole file came back")
        return LARGE, seconds, cpu

    return work


def put_small(sessions):
    def work(bench, server):
        folders = [f"s{n:02}" for n in range(SPLIT)]
        at = f"{server.at}/put-small"
        bench.sftp(server, f"-mkdir {at}\n" + "".join(f"-mkdir {at}/{folder}\n" for folder in folders))
        jobs = ["".join(f"put small/{folder}/* {at}/{folder}/\n" for folder in folders[n::sessions]) for n in range(sessions)]
        seconds, cpu = bench.timed(server, jobs)
        bench.remove(server, [f"{at}/s{n % SPLIT:02}/f{n:05}" for n in range(SMALL)])
        return SMALL, seconds, cpu

    return work


def place_small(bench, server):
    at = f"{server.at}/small"
    commands = f"-mkdir {at}\n" + "".join(f"-mkdir {at}/s{n:02}\nput small/s{n:02}/* {at}/s{n:02}/\n" for n in range(SPLIT))
    bench.place(server, "small", lambda: bench.sftp(server, commands))


def get_small(sessions):
    def work(bench, server):
        place_small(bench, server)
        back = bench.back()
        for n in range(SPLIT):
            (back / f"s{n:02}").mkdir()
        jobs = [
            "".join(f"get {server.at}/small/s{k:02}/* back/s{k:02}/\n" for k in range(n, SPLIT, sessions)) for n in range(sessions)
        ]
        seconds, cpu = bench.timed(server, jobs)
        if sum(file.stat().st_size for file in back.glob("*/*")) != SMALL * 4096:
            raise SystemExit(f"{server.name}: not all small files came back")
        return SMALL, seconds, cpu

    return work


def by_packets(bench, server, work):
    """Seconds and CPU seconds of what is done through a session that is there already."""
    raw = Raw(server, bench.key)
    before = server.meter.cpu()
    began = time.monotonic()
    work(raw)
    seconds = time.monotonic() - began
    raw.close()
    return seconds, server.meter.settled_cpu() - before


def list_folder(bench, server):
    folder = f"{server.at}/listed"

    def fill():
        bench.sftp(server, f"mkdir {folder}\n")

        def some(n):
            raw = Raw(server, bench.key)
            for k in range(n, LISTED, 8):
                raw.make(f"{folder}/entry-{k:06}.dat")
            raw.close()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(some, range(8)))

    bench.place(server, "listed", fill)

    def work(raw):
        for _ in range(5):
            if raw.list(folder) < LISTED:
                raise SystemExit(f"{server.name}: the listing is not complete")

    return 5, *by_packets(bench, server, work)


def stats(depth, times):
    def work(bench, server):
        place_small(bench, server)
        requests = [(LSTAT, f"{server.at}/small/s{n % SPLIT:02}/f{n:05}".encode()) for n in range(STATS)] * times
        return len(requests), *by_packets(bench, server, lambda raw: raw.many(requests, depth, ATTRS))

    return work


def show(bench, server):
    place_small(bench, server)
    commands = "".join(f"ls -l {server.at}/small/s{n % SPLIT:02}/f{n:05}\n" for n in range(STATS))
    return STATS, *bench.timed(server, [commands])


def connect(at_once, count):
    def work(bench, server):
        place_small(bench, server)

        def one(_):
            raw = Raw(server, bench.key)
            raw.many([(LSTAT, f"{server.at}/small/s00/f00000".encode())], 1, ATTRS)
            raw.close()

        before = server.meter.settled_cpu()
        began = time.monotonic()
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(one, range(count)))
        return count, time.monotonic() - began, server.meter.settled_cpu() - before

    return work


def put_shared(sessions):
    def work(bench, server):
        at = f"{server.at}/put-shared"
        bench.sftp(server, f"-mkdir {at}\n")
        jobs = ["".join(f"put shared/m{k:03} {at}/\n" for k in range(n, SHARED, sessions)) for n in range(sessions)]
        seconds, cpu = bench.timed(server, jobs)
        bench.remove(server, [f"{at}/m{n:03}" for n in range(SHARED)])
        return SHARED * SHARED_MIB, seconds, cpu

    return work


def get_shared(sessions):
    def work(bench, server):
        at = f"{server.at}/shared"
        bench.place(server, "shared", lambda: bench.sftp(server, f"mkdir {at}\nput shared/* {at}/\n"))
        bench.back()
        jobs = ["".join(f"get {at}/m{k:03} back/\n" for k in range(n, SHARED, sessions)) for n in range(sessions)]
        seconds, cpu = bench.timed(server, jobs)
        return SHARED * SHARED_MIB, seconds, cpu

    return work


def idle(bench, server):
    """KiB for each idle session: the "amount", of a second that is not one."""
    # A server of its own: memory that earlier sessions have left behind would be taken for none at all.
    server = bench.start(server.name)
    try:
        count = bench.idle if server.name in ("causeway", "before") else min(bench.idle, 200)
        # Some sessions are open before, so that what only the first ones cost does not count.
        sessions = [opened(bench, server) for _ in range(5)]
        time.sleep(0.5)
        before, cpu = server.meter.memory(), server.meter.cpu()
        with ThreadPoolExecutor(8) as pool:
            sessions += pool.map(lambda _: opened(bench, server), range(count))
        time.sleep(1)
        each = (server.meter.memory() - before) / count
        cpu = (server.meter.cpu() - cpu) / count
        for raw in sessions:
            raw.close()
        return each, 1, cpu
    finally:
        server.stop()


def opened(bench, server):
    raw = Raw(server, bench.key)
    raw.many([(LSTAT, f"{server.at}/".encode())], 1, ATTRS)
    return raw


STEPS = [
    Step("put 1 GiB, aes128-gcm", "MiB/s", put_large(AES)),
    Step("get 1 GiB, aes128-gcm", "MiB/s", get_large(AES)),
    Step("put 1 GiB, chacha20", "MiB/s", put_large(CHACHA), CHACHA),
    Step("get 1 GiB, chacha20", "MiB/s", get_large(CHACHA), CHACHA),
    Step("put 2,000 of 4 KiB, 1 session", "files/s", put_small(1)),
    Step("put 2,000 of 4 KiB, 16 sessions", "files/s", put_small(16)),
    Step("get 2,000 of 4 KiB, 1 session", "files/s", get_small(1)),
    Step("get 2,000 of 4 KiB, 16 sessions", "files/s", get_small(16)),
    Step("ls of 10,000", "/s", list_folder),
    Step("ls -l of one file", "/s", show),
    Step("stat, one by one", "/s", stats(1, 1)),
    Step("stat, 64 in flight", "/s", stats(DEEP, 5)),
    Step("connect, one by one", "/s", connect(1, 10)),
    Step("connect, 8 at once", "/s", connect(8, 40)),
    *(Step(f"put 64 of 8 MiB, {n} session{'s' * (n > 1)}", "MiB/s", put_shared(n)) for n in (1, 8, 64)),
    *(Step(f"get 64 of 8 MiB, {n} session{'s' * (n > 1)}", "MiB/s", get_shared(n)) for n in (1, 8, 64)),
    Step("idle session", "KiB", idle),
]
