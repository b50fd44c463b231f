"""The clients, the same for every server: OpenSSH's `sftp`, and packets of our own through OpenSSH's `ssh`."""

import struct
import subprocess
import sys

INIT, OPEN, CLOSE, LSTAT, OPENDIR, READDIR, REMOVE, RMDIR, MKDIR, STAT = 1, 3, 4, 7, 11, 12, 13, 15, 14, 17
STATUS, HANDLE, NAME, ATTRS = 101, 102, 104, 105
AES, CHACHA = "aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"


def ssh_options(server, key, cipher):
    return [
        "-F", "/dev/null", "-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no",
        "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", f"Ciphers={cipher}",
        "-o", f"Port={server.port}",
    ]  # fmt: skip


class Sftp:
    """OpenSSH's client, logged in and waiting: what follows is the work alone."""

    def __init__(self, server, key, cipher=AES, cwd=None):
        self.server = server
        command = ["sftp", "-q", "-b", "-", *ssh_options(server, key, cipher), f"{server.user}@127.0.0.1"]
        self.process = subprocess.Popen(
            command, cwd=cwd, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.process.stdin.write("pwd\n")
        for line in self.process.stdout:
            if line.startswith("Remote working directory"):
                return
        self.fail()

    def begin(self, commands):
        self.process.stdin.write(commands)
        self.process.stdin.close()

    def end(self):
        for _ in self.process.stdout:
            pass
        if self.process.wait():
            self.fail()

    def fail(self):
        sys.exit(f"{self.server.name}: sftp failed: {self.process.stderr.read()}")


class Raw:
    """An SFTP session through OpenSSH's `ssh`, by packets, so that the client costs next to nothing."""

    def __init__(self, server, key, cipher=AES):
        self.server = server
        command = ["ssh", *ssh_options(server, key, cipher), "-s", f"{server.user}@127.0.0.1", "sftp"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.input = open(self.process.stdout.fileno(), "rb", buffering=1 << 18, closefd=False)
        self.last = 0
        self.process.stdin.write(struct.pack(">IBI", 5, INIT, 3))
        self.packet()

    def packet(self):
        head = self.input.read(4)
        if len(head) < 4:
            sys.exit(f"{self.server.name}: the session ended")
        return self.input.read(int.from_bytes(head, "big"))

    def pack(self, kind, *fields):
        self.last += 1
        body = b"".join(
            struct.pack(">I", len(f)) + f if isinstance(f, bytes) else struct.pack(">I", f) for f in fields
        )
        return struct.pack(">IBI", 5 + len(body), kind, self.last) + body

    def ask(self, kind, *fields):
        self.process.stdin.write(self.pack(kind, *fields))
        return self.packet()

    def many(self, requests, depth, expected):
        """Sends requests (kind and fields each), `depth` in flight, in batches of half of that."""
        requests, flying, done = list(requests), 0, 0
        at = 0
        while done < len(requests):
            if flying <= depth // 2 and at < len(requests):
                batch = requests[at : at + depth - flying]
                self.process.stdin.write(b"".join(self.pack(*request) for request in batch))
                at += len(batch)
                flying += len(batch)
            reply = self.packet()
            if reply[0] != expected or (expected == STATUS and reply[5:9] != bytes(4)):
                sys.exit(f"{self.server.name}: unexpected reply {reply[:60]}")
            flying -= 1
            done += 1

    def handle(self, kind, *fields):
        reply = self.ask(kind, *fields)
        if reply[0] != HANDLE:
            sys.exit(f"{self.server.name}: no handle: {reply[:80]}")
        return reply[9:]

    def make(self, path):
        """Makes an empty file."""
        self.expect(self.ask(CLOSE, self.handle(OPEN, path.encode(), 0x1A, 0)))

    def list(self, path):
        """How many names a folder has, by the requests of OpenSSH's client."""
        handle, names = self.handle(OPENDIR, path.encode()), 0
        while True:
            reply = self.ask(READDIR, handle)
            if reply[0] != NAME:
                break
            names += int.from_bytes(reply[5:9], "big")
        self.expect(self.ask(CLOSE, handle))
        return names

    def expect(self, reply):
        if reply[0] != STATUS or reply[5:9] != bytes(4):
            sys.exit(f"{self.server.name}: unexpected reply {reply[:80]}")

    def close(self):
        self.process.stdin.close()
        self.input.read()
        self.process.stdout.close()
        self.process.wait()
