"""A second implementation of JSON Web Tokens: Authlib verifies the gateway's by its published keys, and signs as a provider would.

verify URL CA TOKEN: prints the claims of a token of the gateway at URL.
sign ISSUER AUDIENCE SUBJECT: prints a set of keys, and a token by each of its algorithms.
"""

import json
import sys
import time
import warnings

warnings.simplefilter("ignore")

from authlib.jose import JsonWebKey, JsonWebToken, KeySet  # noqa: E402


def verify(url, ca, token):
    import requests

    keys = JsonWebKey.import_key_set(requests.get(f"{url}/.well-known/jwks.json", verify=ca, timeout=30).json())
    wanted = {
        "iss": {"essential": True, "value": url},
        "aud": {"essential": True, "value": url},
        "exp": {"essential": True},
    }
    claims = JsonWebToken(["EdDSA"]).decode(token, keys, claims_options=wanted)
    claims.validate(leeway=30)
    assert claims.header["typ"] == "at+jwt", claims.header
    # One changed character, and it is no token any more.
    head, body, signature = token.split(".")
    changed = ("A" if signature[10] != "A" else "B").join([signature[:10], signature[11:]])
    try:
        JsonWebToken(["EdDSA"]).decode(f"{head}.{body}.{changed}", keys)
    except Exception:
        pass
    else:
        raise SystemExit("a changed signature was taken")
    print(json.dumps(dict(claims)))


def sign(issuer, audience, subject):
    made = {
        "rsa": (JsonWebKey.generate_key("RSA", 2048, {"kid": "rsa", "use": "sig"}, is_private=True), ["RS256", "RS384", "RS512", "PS256"]),
        "p256": (JsonWebKey.generate_key("EC", "P-256", {"kid": "p256", "use": "sig"}, is_private=True), ["ES256"]),
        "p384": (JsonWebKey.generate_key("EC", "P-384", {"kid": "p384", "use": "sig"}, is_private=True), ["ES384"]),
        "ed": (JsonWebKey.generate_key("OKP", "Ed25519", {"kid": "ed", "use": "sig"}, is_private=True), ["EdDSA"]),
    }
    now = int(time.time())
    claims = {"iss": issuer, "aud": [audience, "account"], "sub": subject, "iat": now, "exp": now + 300, "scope": "files:read"}
    tokens = {}
    for kid, (key, algorithms) in made.items():
        for algorithm in algorithms:
            header = {"alg": algorithm, "kid": kid, "typ": "JWT"}
            tokens[algorithm] = JsonWebToken([algorithm]).encode(header, claims, key).decode()
    keys = KeySet([key for key, _ in made.values()]).as_dict()
    print(json.dumps({"keys": keys, "tokens": tokens}))


{"verify": verify, "sign": sign}[sys.argv[1]](*sys.argv[2:])
