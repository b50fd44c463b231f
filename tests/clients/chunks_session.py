"""An upload in chunks as a client writes it with `requests`: eight at a time, stopped, asked where it was, completed.

    chunks_session.py BASE_URL CA_FILE API_KEY FILE
"""

import base64
import hashlib
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import requests

base, ca, key, path = sys.argv[1:5]
api = f"{base}/api/v1"
local = threading.local()


def client():
    if not hasattr(local, "session"):
        local.session = requests.Session()
        local.session.trust_env = False
        local.session.verify = ca
        local.session.headers["Authorization"] = f"Bearer {key}"
    return local.session


def expect(status, response):
    assert response.status_code == status, (response.status_code, response.text)
    return response


with open(path, "rb") as file:
    content = file.read()
digest = hashlib.sha256(content).hexdigest()
begun = expect(
    201,
    client().post(
        f"{api}/uploads",
        json={
            "destination": "/large",
            "filename": "content",
            "size": len(content),
            "sha256": digest,
            "chunk_size": 64 * 1024,
        },
    ),
).json()
session, chunk_size, chunks = begun["session_id"], begun["chunk_size"], begun["chunks"]
assert chunks == -(-len(content) // chunk_size)


def send(number):
    chunk = content[number * chunk_size : (number + 1) * chunk_size]
    sha256 = base64.b64encode(hashlib.sha256(chunk).digest()).decode()
    headers = {"Content-Digest": f"sha-256=:{sha256}:"}
    expect(204, client().put(f"{api}/uploads/{session}/chunks/{number}", data=chunk, headers=headers))


with ThreadPoolExecutor(8) as pool:
    list(pool.map(send, reversed(range(0, chunks, 2))))
status = expect(200, client().get(f"{api}/uploads/{session}")).json()
there = {n for first, last in status["received"] for n in range(first, last + 1)}
assert there == set(range(0, chunks, 2)), status
assert [each["session_id"] for each in expect(200, client().get(f"{api}/uploads")).json()["uploads"]] == [session]
missing = expect(409, client().post(f"{api}/uploads/{session}/complete")).json()["missing"]
with ThreadPoolExecutor(8) as pool:
    list(pool.map(send, [n for first, last in missing for n in range(first, last + 1)]))
done = expect(200, client().get(f"{api}/uploads/{session}")).json()
assert done["percent"] == 100 and done["received"] == [[0, chunks - 1]], done
file = expect(201, client().post(f"{api}/uploads/{session}/complete")).json()
assert file["hash"] == digest and file["path"] == "/large/content", file
found = expect(200, client().get(f"{api}/files/{file['file_id']}/download"))
assert found.content == content
