"""A client as the guides of managed file transfer write it, with `requests`: validate the key, upload a form, read the
metadata and its hash, download as a stream, go on with a range, label, move, copy, list by pages, clear away.

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

several = expect(206, client.get(url, headers={"Range": "bytes=0-9,1000000-1000009"}))
assert several.headers["Content-Type"].startswith("multipart/byteranges"), several.headers
assert content[:10] in several.content and content[1_000_000:1_000_010] in several.content

# Resumed only where it is still the same file.
same = {"Range": "bytes=100-", "If-Range": metadata["etag"]}
assert expect(206, client.get(url, headers=same)).content == content[100:]
assert expect(200, client.get(url, headers=same | {"If-Range": '"other"'})).content == content

labelled = expect(
    200,
    client.patch(
        f"{api}/files/{made['file_id']}",
        json={"classification": "internal", "tags": {"order": "4711"}, "modified_at": "2026-01-02T03:04:05Z"},
        headers={"If-Match": metadata["etag"]},
    ),
).json()
assert labelled["classification"] == "internal" and labelled["tags"] == {"order": "4711"}, labelled
moved = expect(200, client.patch(f"{api}/files/{made['file_id']}", json={"path": "/guide/archive.pdf"})).json()
assert moved["path"] == "/guide/archive.pdf" and moved["modified_at"].startswith("2026-01-02T03:04:05"), moved
wrong = expect(400, client.patch(f"{api}/files/{made['file_id']}", json={"tags": {"k" * 65: "v"}, "colour": "red"})).json()
assert [error["field"] for error in wrong["errors"]] == ["tags", "colour"], wrong
copied = client.post(f"{api}/files/{made['file_id']}/copy", json={"destination": "/guide/in/invoice.pdf", "overwrite": False})
copy = expect(201, copied).json()
assert copy["hash"] == digest and copy["classification"] == "internal", copy
assert copied.headers["Location"].endswith(f"/api/v1/files/{copy['file_id']}"), copied.headers
expect(204, client.delete(f"{api}/files/{made['file_id']}"))
made = copy

pages, cursor = [], {}
while True:
    page = expect(200, client.get(f"{api}/files", params={"path": "/guide", "recursive": "true", "limit": 1} | cursor)).json()
    pages += [entry["path"] for entry in page["entries"]]
    if page["next_cursor"] is None:
        break
    cursor = {"cursor": page["next_cursor"]}
assert pages == ["/guide/in", "/guide/in/invoice.pdf"], pages

names = [entry["name"] for entry in expect(200, client.get(f"{api}/files", params={"path": "/guide/in"})).json()["entries"]]
assert names == ["invoice.pdf"], names
expect(204, client.delete(f"{api}/files/{made['file_id']}"))
expect(404, client.get(f"{api}/files/{made['file_id']}"))
expect(409, client.delete(f"{api}/folders", params={"path": "/guide"}))
expect(204, client.delete(f"{api}/folders", params={"path": "/guide", "recursive": "true"}))
expect(404, client.get(f"{api}/files", params={"path": "/guide"}))
