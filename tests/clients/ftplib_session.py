"""Python's `ftplib` over explicit and implicit TLS, 1.2 and 1.3, with the few lines that every guide adds so that data connections resume the control
connection's TLS session: upload, list, resume, rename, download, remove.

    ftplib_session.py PORT IMPLICIT_PORT LOGIN PASSWORD CA_FILE
"""

import ftplib
import io
import ssl
import sys

from ftplib_reusing import Reusing

port, implicit_port, login, password, ca = sys.argv[1:6]


class Implicit(Reusing):
    """TLS from the first byte, as the recipes have it: `ftplib` wraps what `sock` is set to."""

    _secured = None

    @property
    def sock(self):
        return self._secured

    @sock.setter
    def sock(self, value):
        if value is not None and not isinstance(value, ssl.SSLSocket):
            value = self.context.wrap_socket(value, server_hostname=self.host)
        self._secured = value


class Reply(Exception):
    pass


def refused(code, work, *arguments):
    try:
        work(*arguments)
    except ftplib.all_errors as error:
        assert str(error).startswith(code), error
        return
    raise Reply(f"{code} was expected")


content = bytes(range(256)) * 12_000
ways = [(way, version) for way in ("explicit", "implicit") for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)]
for way, version in ways:
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = context.maximum_version = version
    name = f"{version.name}.bin"
    if way == "explicit":
        client = Reusing(context=context, timeout=20)
        client.connect("localhost", int(port))
        refused("530", client.voidcmd, f"USER {login}")
    else:
        client = Implicit(context=context, timeout=20)
        client.connect("localhost", int(implicit_port))
    client.login(login, password)
    client.prot_p()
    assert client.pwd() == "/", client.pwd()
    if not any(path.endswith("/ftplib") for path in client.nlst("/inbound")):
        client.mkd("/inbound/ftplib")
    client.cwd("/inbound/ftplib")
    assert client.storbinary(f"STOR {name}", io.BytesIO(content)).startswith("226")
    assert client.size(name) == len(content)
    facts = dict(client.mlsd(facts=["size", "type"]))[name]
    assert facts == {"size": str(len(content)), "type": "file"}, facts
    parts = []
    client.retrbinary(f"RETR {name}", parts.append, rest=1_000_000)
    assert b"".join(parts) == content[1_000_000:]
    # `rest` at its end: the file goes on.
    assert client.storbinary(f"STOR {name}", io.BytesIO(b"tail"), rest=len(content)).startswith("226")
    client.rename(name, f"{way}-{name}")
    parts.clear()
    client.retrbinary(f"RETR {way}-{name}", parts.append)
    assert b"".join(parts) == content + b"tail"
    lines = []
    client.retrlines("LIST", lines.append)
    assert any(line.endswith(f"{way}-{name}") for line in lines), lines
    client.storlines("STOR text.txt", io.BytesIO(b"one\ntwo\n"))
    client.delete("text.txt")
    refused("550", client.delete, "text.txt")
    client.quit()

# Without the session of the control connection nothing is moved.
client = ftplib.FTP_TLS(context=ssl.create_default_context(cafile=ca), timeout=20)
client.connect("localhost", int(port))
client.login(login, password)
client.prot_p()
refused("", client.storbinary, "STOR /inbound/ftplib/stranger.bin", io.BytesIO(b"x"))
client.close()
