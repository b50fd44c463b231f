"""What schemathesis cannot make up: values of our own formats, and those that only the gateway gives."""

import base64
import itertools
import os
import unicodedata

import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis.core.parameters import ParameterLocation as At
from schemathesis.generation.meta import StatefulPhaseData

letters = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn", "Co"), exclude_characters="/")


def is_name(text):
    return 1 <= len(text.encode()) <= 255 and text not in (".", "..") and unicodedata.is_normalized("NFC", text)


names = st.text(letters, min_size=1, max_size=30).filter(is_name)
folders = st.sampled_from(["", "/", "/st", "st", "/st/deep", "/none"])
paths = st.one_of(
    st.builds(lambda folder, name: f"{folder.rstrip('/')}/{name}", folders, names),
    st.sampled_from(["/", "/st", "/st/", "st/file", "/st/file"]),
)


def metadata(pairs):
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items())


def content_range(first, length, whole):
    return f"bytes {first}-{first + length - 1}/{first + length if whole else '*'}"


schemathesis.openapi.format("virtual-path", paths)
schemathesis.openapi.format("file-name", names)
# What goes where is told apart here: no schema of one member tells that nothing can be put into itself.
schemathesis.openapi.format(
    "transfer-source",
    st.sampled_from(["/st/file", "st/file", "/st/file-?", "/kept/file-[0-3]", "/st/**/none-*", "/st/none", "/none/*", "/st/deep/"]),
)
schemathesis.openapi.format(
    "transfer-destination", st.builds(lambda name, end: f"/moved/{name}{end}", names.filter(lambda name: not set(name) & set("*?")), st.sampled_from(["", "/"]))
)
schemathesis.openapi.format("classification", st.sampled_from(["public", "internal", "confidential", "restricted"]))
schemathesis.openapi.format("media-type", st.sampled_from(["text/csv", "application/pdf", "text/plain; charset=utf-8"]))
schemathesis.openapi.format("tenant", st.sampled_from(["acme", "acme", "acme", "other"]))
schemathesis.openapi.format("content-range", st.builds(content_range, st.integers(0, 5), st.integers(1, 9), st.booleans()))
schemathesis.openapi.format(
    "tus-metadata", st.builds(metadata, st.fixed_dictionaries({"filename": names}, optional={"path": st.just("/st/")}))
)
schemathesis.openapi.format(
    "entity-tags",
    st.one_of(
        st.just("*"),
        st.lists(st.sampled_from(['"x"', 'W/"y"', f'"{"ab" * 32}"']), min_size=1, max_size=3).map(", ".join),
    ),
)
schemathesis.openapi.format(
    "digest", st.binary(min_size=32, max_size=32).map(lambda raw: f"sha-256=:{base64.b64encode(raw).decode()}:")
)
for kind in ("application/offset+octet-stream", "application/partial-upload"):
    schemathesis.serializer.alias(kind, "application/octet-stream")

schemathesis.openapi.format(
    "tus-checksum",
    st.binary(min_size=20, max_size=20).map(lambda raw: f"sha1 {base64.b64encode(raw).decode()}"),
)
schemathesis.openapi.format("webhook-url", st.sampled_from(["https://hooks.example/a", "https://hooks.example:8443/b"]))
schemathesis.openapi.format("duration-text", st.sampled_from(["0s", "15m", "24h", "7d"]))
schemathesis.openapi.format("event-kinds", st.sampled_from(["*", "file.uploaded", "transfer.*"]))
schemathesis.openapi.format("path-glob", st.sampled_from(["/inbound/**", "/st/*.csv", "**"]))
schemathesis.openapi.format("webhook-secret", st.binary(min_size=24, max_size=32).map(lambda raw: f"whsec_{base64.b64encode(raw).decode()}"))
certificate, key = ("-----BEGIN %s-----\nAA==\n-----END %s-----\n" % (kind, kind) for kind in ("CERTIFICATE", "PRIVATE KEY"))
schemathesis.openapi.format("pem-certificates", st.just(certificate))
schemathesis.openapi.format("pem-identity", st.just(certificate + key))
schemathesis.openapi.format("oauth-client", st.just("orders"))
schemathesis.openapi.format("oauth-secret", st.just(os.environ["CAUSEWAY_KEY"]))
schemathesis.openapi.format("oauth-scope", st.sampled_from(["files:read", "files:read files:write"]))

api = os.environ["CAUSEWAY_BASE"]
session = requests.Session()
session.headers["Authorization"] = f"Bearer {os.environ['CAUSEWAY_KEY']}"
numbers, turns, creations = itertools.count(), itertools.count(), itertools.count()


def ask(method, path, **more):
    response = session.request(method, f"{api}/api/v1{path}", **more)
    assert response.ok, (method, path, response.status_code, response.text)
    return response


def new_file():
    # The folder is made again where a chain of requests has removed it.
    form = {"destination": "/kept"}
    return ask("POST", "/files/upload", data=form, files={"file": (f"file-{next(numbers)}", b"content")}).json()["file_id"]


def new_upload(parts):
    """An upload of three chunks, 4 + 4 + 1 bytes, of which so many are there."""
    plan = {"destination": "/kept", "filename": f"upload-{next(numbers)}", "size": 9, "chunk_size": 4}
    upload = ask("POST", "/uploads", json=plan).json()["session_id"]
    for n in range(parts):
        ask("PUT", f"/uploads/{upload}/chunks/{n}", data=b"1234"[: 1 if n == 2 else 4])
    return upload


def new_transfer():
    """One of a file that is there, or of a pattern that nothing fits."""
    plan = {"source": f"/kept/file-{next(numbers) % 3}*", "destination": "/moved/", "overwrite": True}
    return ask("POST", "/transfers", json=plan).json()["transfer_id"]


new_file(), new_file()
new_transfer(), new_transfer()
transfer_cursor = ask("GET", "/transfers", params={"limit": 1}).json()["next_cursor"]
file_cursor = ask("GET", "/files", params={"path": "/kept", "limit": 1}).json()["next_cursor"]
# Where a page of sessions begins: any id.
session_cursor = base64.urlsafe_b64encode(b"01a22651-32c3-725b-8622-b72b3f3e3669").rstrip(b"=").decode()
# Where a page of webhooks begins, any id, and one of deliveries, any position.
webhook_cursor = base64.urlsafe_b64encode(b"a").rstrip(b"=").decode()
delivery_cursor = base64.urlsafe_b64encode(b"1000").rstrip(b"=").decode()
entry_cursor = ask("GET", "/audit", params={"limit": 1}).json()["next_cursor"]
event = ask("GET", "/events", params={"limit": 1}).json()["events"][0]["id"]


def newest():
    """The id of the newest event: behind the first one there are thousands after a while."""
    while True:
        page = ask("GET", "/events", params={"after": seen[0], "limit": 1000}).json()
        seen[0] = page["last_id"] or seen[0]
        if page["next_cursor"] is None:
            return seen[0]


seen = [event]
client = {"client_id": "orders", "client_secret": os.environ["CAUSEWAY_KEY"]}
asked = {
    "response_type": "code",
    "client_id": "portal",
    "redirect_uri": "https://portal.example/callback",
    "scope": "files:read",
    "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    "code_challenge_method": "S256",
}
forms = {
    "issueToken": {"grant_type": "client_credentials", "scope": "files:read", **client},
    "revokeToken": client,
    "introspectToken": client,
    "submitAuthorization": {"step": "decision", "mark": "x", "decision": "allow"},
}


def oauth(case, name, right):
    """In a form every value is text, and which parameters count hangs on each other: what is right and what is wrong is said here."""
    if name in forms:
        token = case.body.get("token") if isinstance(case.body, dict) else None
        token = token if isinstance(token, str) and token and "\0" not in token else "x"
        case.body = {"token": token, **forms[name]} if right(At.BODY) else {"token": ""}
    if name == "authorize":
        case.query = dict(asked) if right(At.QUERY) else {"client_id": "x" * 3000}


@schemathesis.hook
def before_call(context, case, kwargs):
    """Right data names what is there: a file, an upload with the room for the body, a cursor of this list."""
    meta, name = case.meta, case.operation.definition.raw["operationId"]
    if meta is None:
        return

    def right(*places):
        return not any(meta.is_negative_at(place) for place in places)

    oauth(case, name, right)
    # What breaks our own format may still be a path: an empty one is the root. `a//b` is none.
    for place, values in ((At.BODY, case.body), (At.QUERY, case.query)):
        for member in ("path", "source", "destination") if meta.is_negative_at(place) and isinstance(values, dict) else ():
            if values.get(member) == "":
                values[member] = "a//b"
    if right(At.QUERY) and name == "followEvents":
        # A stream that begins now ends by itself only where its reader may know of an event lately, which is not always so here.
        case.query = {**(case.query or {}), "after": newest()}
    if right(At.QUERY) and case.query:
        if "after" in case.query:
            case.query["after"] = event
        if "cursor" in case.query and name == "listFiles":
            case.query.update(path="/kept", cursor=file_cursor)
        if "cursor" in case.query and name == "listAuditEntries":
            case.query["cursor"] = entry_cursor
        if "cursor" in case.query and name == "listTransfers":
            case.query["cursor"] = transfer_cursor
        if "cursor" in case.query and name == "listSessions":
            case.query["cursor"] = session_cursor
        if "cursor" in case.query and name == "listWebhooks":
            case.query["cursor"] = webhook_cursor
        if "cursor" in case.query and name == "listWebhookDeliveries":
            case.query["cursor"] = delivery_cursor
        if name == "uploadFile" and len(case.query.get("destination") or "") > 3000:
            case.query["destination"] = case.query["destination"][:3000]
    if right(At.HEADER) and "Last-Event-ID" in (case.headers or {}):
        case.headers["Last-Event-ID"] = newest()
    if right(At.HEADER) and next(turns) % 2:
        # What hardly ever holds by chance stands before everything else, so half of the requests come without it.
        for header in ("If-Match", "If-None-Match", "If-Unmodified-Since", "Content-Digest", "Repr-Digest", "Upload-Checksum"):
            case.headers.pop(header, None)
    creates = name in ("putContent", "uploadFile")
    if creates:
        # Python's client takes an interim 104 for the answer, and every answer after it for another request's.
        case.headers.pop("Upload-Draft-Interop-Version", None)
    if name == "uploadFile" and not right(At.BODY):
        # With it any body is a file, and so is none.
        case.headers.pop("Upload-Complete", None)
    if right(At.HEADER) and right(At.BODY) and creates and next(creations) % 2:
        # By chance these are hardly ever what the draft knows; `Upload-Length` is the body's own here.
        case.headers["Upload-Complete"] = ("?0", "?1")[next(creations) // 2 % 2]
        case.headers.pop("Upload-Length", None)
    if name == "uploadFile" and case.media_type == "application/octet-stream":
        # The file itself: what must be there then is not required with a form.
        # Any text is right there, so wrong headers are so for another reason, or are only unknown.
        if right(At.BODY) and case.headers.get("Upload-Complete") not in ("?0", "?1"):
            case.headers["Upload-Complete"] = "?1"
        if right(At.QUERY):
            case.query = {"destination": "/st", "filename": f"raw-{next(numbers)}", **(case.query or {})}
    elif name == "uploadFile":
        if right(At.HEADER) and case.headers.get("Upload-Complete") == "?0":
            case.headers["Upload-Complete"] = "?1"
        if right(At.QUERY):
            case.query = {}
    if right(At.HEADER) and case.headers.get("Content-Digest") and case.headers.get("Repr-Digest"):
        case.headers["Repr-Digest"] = case.headers["Content-Digest"]
    if right(At.BODY) and isinstance(case.body, dict):
        if case.body.get("chunk_size"):
            # Both go together: there are at most 10,000 chunks.
            case.body["chunk_size"] = max(int(case.body["chunk_size"]), int(case.body["size"]) // 10_000 + 1)
        for member in ("destination", "path"):
            # A folder leaves room for the file's name: no schema of one member tells that.
            if name not in ("makeFolder", "requestTransfer") and len(case.body.get(member) or "") > 3000:
                case.body[member] = case.body[member][:3000]
    if not right(At.PATH) or not case.path_parameters:
        return
    stateful = isinstance(meta.phase.data, StatefulPhaseData)
    if "file_id" in case.path_parameters and not stateful:
        case.path_parameters["file_id"] = new_file()
    # A body fits into its own upload alone, whatever a chain of requests has begun.
    if "transfer_id" in case.path_parameters and not stateful:
        case.path_parameters["transfer_id"] = new_transfer()
    fits = name in ("putChunk", "continueUpload", "appendUpload", "tusPatch", "tusOverridden")
    for key in ("session_id", "id"):
        if key in case.path_parameters and (fits or not stateful):
            case.path_parameters[key] = new_upload(3 if name == "completeUpload" else 0)
    if right(At.BODY, At.HEADER):
        if name == "putChunk":
            case.path_parameters["n"], case.body = 0, "1234"
        elif name == "continueUpload":
            case.headers["Content-Range"], case.body = "bytes 0-8/*", "123412341"
        elif name == "appendUpload":
            case.headers["Upload-Offset"] = "0"
            case.body = "123412341" if case.headers["Upload-Complete"] == "?1" else "1234"
            case.media_type = "application/partial-upload"
            case.headers.pop("Upload-Length", None)
        elif fits:
            case.headers["Upload-Offset"], case.body = "0", "1234"
            case.media_type = "application/offset+octet-stream"
            if name == "tusOverridden":
                case.headers.pop("Upload-Checksum", None)
