"""A client as the guides of managed file transfer write it, with `requests`: validate the key, upload a form, read the
metadata and its hash, download as a stream, go on with a range.

    rest_session.py BASE_URL CA_FILE API_KEY
"""

import hashlib
import io
import sys

import requests

base, ca, key = sys.argv[1:4]
api = f"{base}/api/v1"
client = requests.Session()
# A bundle or a proxy that the environment names must not come before the CA that is given here.
client.trust_env = False
client.verify = ca
client.headers["Authorization"] = f"Bearer {key}"


def expect(status, response):
    assert response.status_code == status, (response.status_code, response.text)
    return response


who = expect(200, client.get(f"{api}/auth/validate")).json()
assert who["tenant_id"] == "acme" and who["identity"] == "orders-app", who
expect(200, client.get(f"{api}/auth/validate", headers={"X-Tenant-Id": "acme"}))
expect(403, client.get(f"{api}/auth/validate", headers={"X-Tenant-Id": "other"}))
refused = expect(401, requests.get(f"{api}/auth/validate", headers={"Authorization": "Bearer cwk_wrong"}, verify=ca))
assert refused.headers["WWW-Authenticate"].startswith("Bearer")
assert refused.headers["Content-Type"].startswith("application/problem+json")

content = bytes(range(256)) * 20_000
digest = hashlib.sha256(content).hexdigest()


def upload(**fields):
    form = {"destination": "/guide/in"} | fields
    return client.post(f"{api}/files/upload", files={"file": ("invoice.pdf", io.BytesIO(content))}, data=form)


made = expect(201, upload()).json()
assert made["path"] == "/guide/in/invoice.pdf" and made["hash"] == digest and made["size"] == len(content), made
assert expect(409, upload()).json()["code"] == "already_exists"
again = expect(201, upload(overwrite="true", sha256=digest)).json()
assert again["file_id"] == made["file_id"], "overwriting keeps the id"
assert expect(422, upload(overwrite="true", sha256="0" * 64)).json()["code"] == "digest_mismatch"

metadata = expect(200, client.get(f"{api}/files/{made['file_id']}")).json()
assert metadata["hash"] == digest and metadata["hash_algorithm"] == "sha256", metadata

url = f"{api}/files/{made['file_id']}/download"
with client.get(url, stream=True) as response:
    expect(200, response)
    read = hashlib.sha256()
    for piece in response.iter_content(65_536):
        read.update(piece)
assert read.hexdigest() == digest
rest = expect(206, client.get(url, headers={"Range": "bytes=1000000-"}))
assert rest.content == content[1_000_000:]
assert rest.headers["Content-Range"] == f"bytes 1000000-{len(content) - 1}/{len(content)}"
beyond = expect(416, client.get(url, headers={"Range": f"bytes={len(content)}-"}))
assert beyond.content == b""

names = [entry["name"] for entry in expect(200, client.get(f"{api}/files", params={"path": "/guide/in"})).json()["entries"]]
assert names == ["invoice.pdf"], names
expect(204, client.delete(f"{api}/files/{made['file_id']}"))
expect(404, client.get(f"{api}/files/{made['file_id']}"))
