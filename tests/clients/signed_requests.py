"""Requests that http-message-signatures signs: hmac-sha256, ed25519 and ecdsa-p256-sha256, as its users write it."""

import base64
import os
import sys

import http_message_signatures as signatures
import requests

url, ca, folder = sys.argv[1:4]
base = f"{url}/api/v1"
MINE = ("@method", "@target-uri", "content-digest", "content-type")


class Keys(signatures.HTTPSignatureKeyResolver):
    def __init__(self, key):
        self.key = key

    def resolve_public_key(self, key_id):
        return self.key

    def resolve_private_key(self, key_id):
        return self.key


class Signed(requests.auth.AuthBase):
    """Signs each request anew, with a nonce."""

    def __init__(self, key_id, token, algorithm, key, components=None):
        self.key_id, self.token, self.components = key_id, token, components
        self.signer = signatures.HTTPMessageSigner(signature_algorithm=algorithm, key_resolver=Keys(key))

    def __call__(self, request):
        request.headers["Authorization"] = f"Bearer {self.token}"
        body = request.body.encode() if isinstance(request.body, str) else request.body
        covered = self.components or ("@method", "@target-uri")
        if body and "content-type" not in covered:
            covered += ("content-type",)
        self.signer.sign(
            request,
            key_id=self.key_id,
            nonce=base64.b64encode(os.urandom(16)).decode(),
            covered_component_ids=covered,
            body=body or None,
        )
        return request


def session(auth):
    made = requests.Session()
    made.trust_env, made.verify, made.auth = False, ca, auth
    return made


secret = os.environ["SIGNING_SECRET"].encode()
ed25519 = open(os.environ["ED25519_KEY"], "rb").read()
p256 = open(os.environ["P256_KEY"], "rb").read()
token = os.environ["SIGNED_TOKEN"]
algorithms = signatures.algorithms
for name, algorithm, key in [
    ("hmac", algorithms.HMAC_SHA256, secret),
    ("ed25519", algorithms.ED25519, ed25519),
    ("p256", algorithms.ECDSA_P256_SHA256, p256),
]:
    auth = Signed("python", token, algorithm, key)
    client = session(auth)
    path = f"{folder}/{name}.csv"
    content = os.urandom(300_000)
    put = client.put(f"{base}/files/content", params={"path": path}, data=content, headers={"Content-Type": "text/csv"})
    assert put.status_code == 201, (name, put.status_code, put.text)
    got = client.get(f"{base}/files/content", params={"path": path})
    assert got.content == content, name
    made = client.post(f"{base}/folders", json={"path": f"{folder}/{name} of Zoë"})
    assert made.status_code == 201, (name, made.text)
    form = client.post(f"{base}/files/upload", data={"destination": folder}, files={"file": (f"{name}.bin", content)})
    assert form.status_code == 201, (name, form.text)
    listed = client.get(f"{base}/files", params={"path": folder, "limit": "1000"}).json()["entries"]
    assert f"{name} of Zoë" in [entry["name"] for entry in listed], listed
    # Other components that mean the same, and parameters of theirs.
    covered = ("@method", "@authority", "@path", "@query", '"@query-param";name="path"', '"content-digest";sf', "content-type", "@scheme")
    other = session(Signed("python", token, algorithm, key, covered))
    put = other.put(f"{base}/files/content", params={"path": path}, data=b"again", headers={"Content-Type": "text/csv"})
    assert put.status_code == 200, (name, put.text)
    gone = client.delete(f"{base}/files/{put.json()['file_id']}")
    assert gone.status_code == 204, (name, gone.text)

# A key that is not the one.
wrong = session(Signed("python", token, algorithms.HMAC_SHA256, b"x" * 32))
refused = wrong.get(f"{base}/files", params={"path": folder})
assert refused.status_code == 401, refused.status_code
assert "is not right" in refused.json()["detail"], refused.text
unsigned = requests.get(f"{base}/files", params={"path": folder}, headers={"Authorization": f"Bearer {token}"}, verify=ca)
assert unsigned.status_code == 401 and "must be signed" in unsigned.json()["detail"], unsigned.text
