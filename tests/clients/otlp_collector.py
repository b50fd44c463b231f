"""A collector of traces, OTLP over HTTP: what comes is read by the OpenTelemetry project's own types, and each span printed as a line of JSON.

    otlp_collector.py PORT          # 0: one that is free; the first line says which it is
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse


def say(what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def attributes(of):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in of.attributes}


def told(span, resource, headers):
    return {
        "name": span.name,
        "kind": span.kind,
        "trace": span.trace_id.hex(),
        "id": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "state": span.trace_state,
        "flags": span.flags,
        "began": span.start_time_unix_nano,
        "ended": span.end_time_unix_nano,
        "failed": span.status.code == 2,
        "attributes": attributes(span),
        "resource": attributes(resource),
        "authorization": headers.get("authorization"),
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            assert self.path == "/v1/traces", self.path
            assert self.headers["content-type"] == "application/x-protobuf", self.headers["content-type"]
            request = ExportTraceServiceRequest.FromString(body)
            # Nothing that these types do not know, and nothing written otherwise than they write it.
            assert request.SerializeToString(deterministic=True) == body, body.hex()
            spans = [
                told(span, group.resource, self.headers)
                for group in request.resource_spans
                for scope in group.scope_spans
                for span in scope.spans
            ]
        except Exception as error:
            say({"wrong": repr(error)})
            return self.answer(400, b"")
        for span in spans:
            say(span)
        self.answer(200, ExportTraceServiceResponse().SerializeToString())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
say({"port": server.server_address[1]})
server.serve_forever()
