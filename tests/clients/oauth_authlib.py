"""Authlib: client credentials in both ways, code with PKCE, refresh, introspection, revocation, and the metadata.

    oauth_authlib.py BASE_URL CA_FILE API_KEY LOGIN PASSWORD BACKEND_SECRET
"""

import sys

import requests
from authlib.common.security import generate_token
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url

from oauth_pages import agree

base, ca, key, login, password, backend_secret = sys.argv[1:7]


def ready(session):
    # What the environment names must not come before the CA that is given here.
    session.trust_env = False
    session.verify = ca
    return session


well_known = get_well_known_url(base, external=True, suffix="oauth-authorization-server")
answer = ready(requests.Session()).get(well_known)
assert answer.status_code == 200, answer.text
metadata = AuthorizationServerMetadata(answer.json())
metadata.validate()
assert metadata["issuer"] == base
token_endpoint = metadata["token_endpoint"]

for method in metadata["token_endpoint_auth_methods_supported"]:
    if method == "none":
        continue
    client = ready(OAuth2Session("orders", key, scope="files:read", token_endpoint_auth_method=method))
    token = client.fetch_token(token_endpoint, grant_type="client_credentials")
    assert token["scope"] == "files:read" and "refresh_token" not in token, token
    who = client.get(f"{base}/api/v1/auth/validate").json()
    assert who["identity"] == "orders-app" and who["scopes"] == ["files:read"], who
    told = client.introspect_token(metadata["introspection_endpoint"], token=token["access_token"]).json()
    assert told["active"] and told["client_id"] == "orders", told
    assert client.revoke_token(metadata["revocation_endpoint"], token=token["access_token"]).status_code == 200
    assert client.get(f"{base}/api/v1/auth/validate").status_code == 401

for client_id, secret, callback in (
    ("portal", None, "http://127.0.0.1:49152/callback"),
    ("backend", backend_secret, "https://backend.example/cb?from=gw"),
):
    client = ready(
        OAuth2Session(
            client_id,
            secret,
            scope="files:read files:write",
            redirect_uri=callback,
            code_challenge_method="S256",
            # This secret has what has to be form-encoded in HTTP Basic (RFC 6749 section 2.3.1), which Authlib leaves as it is.
            token_endpoint_auth_method="client_secret_post" if secret else "none",
            revocation_endpoint_auth_method="client_secret_post" if secret else "none",
        )
    )
    verifier = generate_token(64)
    url, state = client.create_authorization_url(metadata["authorization_endpoint"], code_verifier=verifier)
    response = agree(ready(requests.Session()), url, login, password, callback)
    token = client.fetch_token(token_endpoint, authorization_response=response, code_verifier=verifier, state=state)
    assert token["token_type"] == "Bearer" and token["refresh_token"].startswith("cwr_"), token
    assert client.get(f"{base}/api/v1/files", params={"path": "/inbound"}).status_code == 200
    first = token["access_token"]
    token = client.refresh_token(token_endpoint, refresh_token=token["refresh_token"])
    assert token["access_token"] != first
    if secret:
        told = client.introspect_token(metadata["introspection_endpoint"], token=token["refresh_token"]).json()
        assert told["active"] and told["username"] == login, told
    assert client.revoke_token(metadata["revocation_endpoint"], token=token["refresh_token"]).status_code == 200
    assert client.get(f"{base}/api/v1/auth/validate").status_code == 401
    try:
        client.refresh_token(token_endpoint, refresh_token=token["refresh_token"])
        raise SystemExit("a revoked token was refreshed")
    except OAuthError as error:
        assert error.error == "invalid_grant", error
