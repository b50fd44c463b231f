"""requests-oauthlib: client credentials, code with PKCE, refresh.

    oauth_requests.py BASE_URL CA_FILE API_KEY LOGIN PASSWORD BACKEND_SECRET
"""

import sys

import requests
from oauthlib.oauth2 import BackendApplicationClient, InvalidGrantError
from requests_oauthlib import OAuth2Session

from oauth_pages import agree

base, ca, key, login, password, backend_secret = sys.argv[1:7]
api = f"{base}/api/v1"


def ready(session):
    # What the environment names must not come before the CA that is given here.
    session.trust_env = False
    session.verify = ca
    return session


for more in ({}, {"include_client_id": True}):
    client = ready(OAuth2Session(client=BackendApplicationClient(client_id="orders")))
    auth = None if more else ("orders", key)
    token = client.fetch_token(f"{api}/oauth/token", auth=auth, client_secret=key if more else None, verify=ca, **more)
    assert token["token_type"] == "Bearer", token
    assert client.get(f"{api}/auth/validate").json()["identity"] == "orders-app"

callback = "https://portal.example/callback"
client = ready(OAuth2Session("portal", redirect_uri=callback, scope=["files:read"], pkce="S256"))
url, state = client.authorization_url(f"{api}/oauth/authorize")
response = agree(ready(requests.Session()), url, login, password, callback)
token = client.fetch_token(
    f"{api}/oauth/token", authorization_response=response, include_client_id=True, verify=ca
)
assert client.get(f"{api}/files", params={"path": "/inbound"}).status_code == 200
spent = token["refresh_token"]
token = client.refresh_token(f"{api}/oauth/token", client_id="portal", verify=ca)
assert token["refresh_token"] != spent
assert client.get(f"{api}/auth/validate").json()["login"] == login
# A spent one ends all of it.
try:
    client.refresh_token(f"{api}/oauth/token", refresh_token=spent, client_id="portal", verify=ca)
    raise SystemExit("a spent token was refreshed")
except InvalidGrantError:
    pass
assert client.get(f"{api}/auth/validate").status_code == 401
