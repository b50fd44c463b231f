"""A session of paramiko's SFTP client: port, login and key file are the arguments. Ends with 0 if all is as it must be."""

import hashlib
import io
import os
import stat
import sys

import paramiko

port, login, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]
ssh = paramiko.SSHClient()
ssh.set_missing_host_key_policy(paramiko.AutoAddPolicy())
ssh.connect("127.0.0.1", port, login, key_filename=key, look_for_keys=False, allow_agent=False)
sftp = ssh.open_sftp()

assert sftp.normalize(".") == "/", sftp.normalize(".")
sftp.mkdir("/inbound/paramiko")
sftp.chdir("/inbound/paramiko")
content = os.urandom(3_000_000)
# `putfo` pipelines its writes and compares the size with a stat after the close.
attributes = sftp.putfo(io.BytesIO(content), "data.bin")
assert attributes.st_size == len(content), attributes
assert stat.S_ISREG(attributes.st_mode), attributes
back = io.BytesIO()
sftp.getfo("data.bin", back)
assert hashlib.sha256(back.getvalue()).digest() == hashlib.sha256(content).digest()

with sftp.open("data.bin", "rb") as file:
    file.seek(1_000_000)
    assert file.read(1000) == content[1_000_000:1_001_000]
    assert file.readv([(0, 10), (2_999_990, 10)]) is not None

with sftp.open("notes.txt", "w") as file:
    file.write("one\n")
with sftp.open("notes.txt", "a") as file:
    file.write("two\n")
with sftp.open("notes.txt", "r") as file:
    assert file.read() == b"one\ntwo\n"
with sftp.open("notes.txt", "r+") as file:
    file.seek(4)
    file.write("TWO")
with sftp.open("notes.txt", "r") as file:
    assert file.read() == b"one\nTWO\n"

sftp.utime("notes.txt", (1_000_000_000, 1_100_000_000))
assert sftp.stat("notes.txt").st_mtime == 1_100_000_000
sftp.chmod("notes.txt", 0o600)
assert stat.S_IMODE(sftp.stat("notes.txt").st_mode) == 0o600
sftp.truncate("notes.txt", 3)
assert sftp.stat("notes.txt").st_size == 3
try:
    sftp.open("notes.txt", "x").close()
    raise SystemExit("an exclusive open of a file that is there must fail")
except OSError:
    pass

sftp.rename("data.bin", "renamed.bin")
assert sorted(sftp.listdir()) == ["notes.txt", "renamed.bin"], sftp.listdir()
sftp.remove("notes.txt")
try:
    sftp.stat("notes.txt")
    raise SystemExit("a removed file must be gone")
except FileNotFoundError:
    pass
sftp.mkdir("sub")
sftp.rmdir("sub")
try:
    sftp.symlink("renamed.bin", "link")
    raise SystemExit("links must not exist")
except OSError:
    pass
ssh.close()
print("paramiko: all as it must be")
