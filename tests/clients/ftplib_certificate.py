"""Python's `ftplib` with a client certificate over explicit TLS 1.2 and 1.3: alone, with a password, and without one.

    ftplib_certificate.py PORT LOGIN LOGIN_WITH_PASSWORD PASSWORD CA_FILE CHAIN KEY
"""

import ftplib
import io
import ssl
import sys

from ftplib_reusing import Reusing

port, alone, both, password, ca, chain, key = sys.argv[1:8]


def connect(version, certified):
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = context.maximum_version = version
    if certified:
        context.load_cert_chain(chain, key)
    client = Reusing(context=context, timeout=20)
    client.connect("localhost", int(port))
    client.auth()
    return client


content = bytes(range(256)) * 4_000
for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
    for login, secret, answer in ((alone, "", "232"), (both, password, "230")):
        client = connect(version, True)
        said = client.login(login, secret, secure=False)
        assert said.startswith(answer), said
        client.prot_p()
        for _ in range(3):
            assert client.storbinary(f"STOR /inbound/ftplib-{version.name}", io.BytesIO(content)).startswith("226")
        parts = []
        client.retrbinary(f"RETR /inbound/ftplib-{version.name}", parts.append)
        assert b"".join(parts) == content
        client.quit()
    for login in (alone, both):
        client = connect(version, False)
        try:
            client.login(login, password, secure=False)
        except ftplib.error_perm as error:
            assert str(error).startswith("530"), error
        else:
            raise SystemExit(f"{login} came in without a certificate")
        client.close()
