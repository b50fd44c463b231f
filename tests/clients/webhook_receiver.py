"""A receiver of webhooks that verifies them with the `standardwebhooks` library.

    webhook_receiver.py SECRET ...

Listens at a loopback port, which is the first line that it writes. Each further line is a POST as JSON: its id and type, whether each of
the secrets verifies it, whether X-Signature is that of each, and whether the library takes it when it is shown to it later, or altered.
It ends with its standard input.
"""

import hashlib
import hmac
import json
import sys
import threading
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock

from standardwebhooks import Webhook, WebhookVerificationError

secrets = sys.argv[1:]
told = threading.Lock()
clock = threading.Lock()


def tell(line):
    with told:
        print(line, flush=True)


def takes(secret, body, headers):
    try:
        Webhook(secret).verify(body, headers)
        return True
    except WebhookVerificationError:
        return False


def taken_later(body, headers, minutes):
    """Whether it is taken when it is shown again so much later."""

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(minutes=minutes)

    with mock.patch("standardwebhooks.webhooks.datetime", Later):
        return any(takes(secret, body, headers) for secret in secrets)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = dict(self.headers)
        named = {name.lower(): name for name in headers}
        stamp = headers[named["webhook-timestamp"]]
        other_id = headers | {named["webhook-id"]: "another"}
        other_time = headers | {named["webhook-timestamp"]: str(int(stamp) + 1)}
        plain = headers[named["x-signature"]]
        event = json.loads(body)
        with clock:
            # The library's clock is one for all requests.
            verified = [takes(secret, body, headers) for secret in secrets]
            soon, late = taken_later(body, headers, 2), taken_later(body, headers, 6)
        tell(
            json.dumps(
                {
                    "id": headers[named["webhook-id"]],
                    "type": event["type"],
                    "path": event["data"]["path"],
                    "same_id": event["id"] == headers[named["webhook-id"]],
                    "verified": verified,
                    "plain": [
                        hmac.compare_digest(plain, hmac.new(secret.encode(), body, hashlib.sha256).hexdigest())
                        for secret in secrets
                    ],
                    "soon": soon,
                    "late": late,
                    "altered": [
                        any(takes(secret, changed, fields) for secret in secrets)
                        for changed, fields in [
                            (body.replace(b"completed", b"cancelled"), headers),
                            (body + b" ", headers),
                            (body, other_id),
                            (body, other_time),
                        ]
                    ],
                }
            )
        )
        self.send_response(204 if any(verified) else 401)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
tell(server.server_address[1])
sys.stdin.read()
