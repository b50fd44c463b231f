"""Uploads by tuspy (tus 1.0.0): in chunks with checksums, stopped and resumed, an empty file, one that is refused.

    tuspy_session.py BASE_URL API_KEY

The CA stands in REQUESTS_CA_BUNDLE: the library takes it from nowhere else.
"""

import hashlib
import io
import sys

import requests
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed

base, key = sys.argv[1:3]
api = f"{base}/api/v1"
headers = {"Authorization": f"Bearer {key}"}
tus = TusClient(f"{api}/tus", headers=headers)


def hash_at(path):
    response = requests.get(f"{api}/files/content", params={"path": path}, headers=headers)
    assert response.status_code == 200, (response.status_code, response.text)
    return hashlib.sha256(response.content).hexdigest()


content = bytes(range(256)) * 8_000
digest = hashlib.sha256(content).hexdigest()

# In chunks, each with its SHA-1.
uploader = tus.uploader(
    file_stream=io.BytesIO(content),
    chunk_size=300_000,
    metadata={"filename": "tuspy.bin", "sha256": digest},
    upload_checksum=True,
)
uploader.upload()
assert uploader.offset == len(content)
file_id = uploader.request.response_headers["x-file-id"]
found = requests.get(f"{api}/files/{file_id}", headers=headers).json()
assert found["hash"] == digest and found["path"] == "/tuspy.bin", found
assert hash_at("/tuspy.bin") == digest

# Stopped in the middle, resumed by another uploader that knows the address alone.
first = tus.uploader(file_stream=io.BytesIO(content), chunk_size=500_000, metadata={"path": "/resumed.bin"})
first.upload(stop_at=700_000)
assert first.offset == 700_000, first.offset
assert requests.get(f"{api}/files/content", params={"path": "/resumed.bin"}, headers=headers).status_code == 404
again = tus.uploader(file_stream=io.BytesIO(content), chunk_size=500_000, url=first.url)
assert again.offset == 700_000, again.offset
again.upload()
assert hash_at("/resumed.bin") == digest

# Nothing at all.
tus.uploader(file_stream=io.BytesIO(b""), metadata={"filename": "empty"}).upload()
assert hash_at("/empty") == hashlib.sha256(b"").hexdigest()

# A name that is taken, and a wrong digest of the whole.
try:
    tus.uploader(file_stream=io.BytesIO(b"x"), metadata={"filename": "empty"}).upload()
    raise AssertionError("the name is taken")
except TusCommunicationError as error:
    assert error.status_code == 409, error.status_code
tus.uploader(file_stream=io.BytesIO(b"x"), metadata={"filename": "empty", "overwrite": "true"}).upload()
assert hash_at("/empty") == hashlib.sha256(b"x").hexdigest()
try:
    tus.uploader(file_stream=io.BytesIO(b"x"), metadata={"filename": "wrong", "sha256": digest}).upload()
    raise AssertionError("the digest is another one")
except TusUploadFailed as error:
    assert error.status_code == 422, error.status_code
