"""An administrator's script with `requests`: makes a key, hands it to an application, rotates it with a grace, ends it.

    api_keys_session.py BASE_URL CA_FILE ADMIN_KEY
"""

import re
import sys

import requests

base, ca, admin_key = sys.argv[1:4]
api = f"{base}/api/v1"


def client(key):
    session = requests.Session()
    # A bundle or a proxy that the environment names must not come before the CA that is given here.
    session.trust_env = False
    session.verify = ca
    session.headers["Authorization"] = f"Bearer {key}"
    return session


def expect(status, response):
    assert response.status_code == status, (response.status_code, response.text)
    return response


admin = client(admin_key)
made = expect(201, admin.post(f"{api}/api-keys", json={"identity": "reader", "name": "Script", "scopes": ["files:read"]}))
assert made.headers["Cache-Control"] == "no-store", made.headers
key = made.json()
assert re.fullmatch(r"cwk_[A-Za-z0-9_-]{49}", key["key"]), key["key"]
assert key["state"] == "active" and key["prefix"] == key["key"][:8], key
assert made.headers["Location"].endswith(f"/api/v1/api-keys/{key['id']}"), made.headers

application = client(key["key"])
who = expect(200, application.get(f"{api}/auth/validate")).json()
assert (who["identity"], who["login"], who["scopes"]) == ("reader", key["id"], ["files:read"]), who
expect(200, application.get(f"{api}/files", params={"path": "/"}))
expect(403, application.get(f"{api}/events"))

rotated = expect(200, admin.post(f"{api}/api-keys/{key['id']}/rotate", json={"grace": "1h"}))
assert rotated.headers["Cache-Control"] == "no-store"
newer = client(rotated.json()["key"])
for session in (application, newer):
    assert expect(200, session.get(f"{api}/auth/validate")).json()["login"] == key["id"]

listed = expect(200, admin.get(f"{api}/api-keys", params={"limit": 1000})).json()["api_keys"]
mine = next(one for one in listed if one["id"] == key["id"])
assert mine["state"] == "rotating" and mine["name"] == "Script" and mine["last_used_at"], mine
assert "key" not in mine and rotated.json()["key"] not in str(listed)

expect(204, admin.delete(f"{api}/api-keys/{key['id']}"))
for session in (application, newer):
    expect(401, session.get(f"{api}/auth/validate"))
expect(404, admin.delete(f"{api}/api-keys/{key['id']}"))
print("done")
