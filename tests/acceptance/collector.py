"""A collector that takes telemetry as OTLP over HTTP in protobuf, and shows what it was given."""

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

FORMS = {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest, "/v1/logs": ExportLogsServiceRequest}


def plain(value):
    """A value of an attribute without its wrapping."""
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None


def attributes(pairs):
    return {pair.key: plain(pair.value) for pair in pairs}


@dataclass
class Span:
    name: str
    trace: str
    id: str
    parent: str
    kind: int
    attributes: dict
    events: int


class Collector:
    """Takes everything; while `takes` is not set it answers nobody, and with a `status` it takes nothing."""

    def __init__(self):
        self.status, self.takes, self.requests = 200, threading.Event(), []
        self.takes.set()
        self.faults, self.asked = [], threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.asked.set()
                collector.takes.wait()
                status = collector.status
                if status == 200:
                    collector.take(self.path, self.headers, body)
                self.send_response(status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # A server that was killed, or does not wait any longer, is no news.
        self.server.handle_error = lambda *_: None
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, path, headers, body):
        try:
            if headers["Content-Type"] != "application/x-protobuf":
                raise ValueError(f"content type {headers['Content-Type']}")
            request = FORMS[path]()
            request.ParseFromString(body)
            self.requests.append((path, dict(headers.items()), request))
        except Exception as fault:  # noqa: BLE001 - whatever it is, it is what the test is about
            self.faults.append((path, fault))

    def of(self, path):
        return [request for at, _, request in list(self.requests) if at == path]

    def resources(self):
        """Who has said something, each once."""
        found = []
        for _, _, request in list(self.requests):
            kinds = ("resource_spans", "resource_metrics", "resource_logs")
            for part in (part for kind in kinds for part in getattr(request, kind, [])):
                of = attributes(part.resource.attributes)
                found += [] if of in found else [of]
        return found

    def spans(self, name=None):
        found = []
        for request in self.of("/v1/traces"):
            for span in (span for part in request.resource_spans for scope in part.scope_spans for span in scope.spans):
                if name in (None, span.name):
                    ids = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
                    found.append(Span(span.name, *ids, span.kind, attributes(span.attributes), len(span.events)))
        return found

    def metrics(self):
        """The points of each metric, as they were told last: by name, of attributes."""
        found = {}
        for request in self.of("/v1/metrics"):
            for metric in (metric for part in request.resource_metrics for scope in part.scope_metrics for metric in scope.metrics):
                points = getattr(metric, metric.WhichOneof("data")).data_points
                found[metric.name] = [(attributes(point.attributes), point) for point in points]
        return found

    def lines(self):
        """The log lines: what was said, and in which trace."""
        found = []
        for request in self.of("/v1/logs"):
            for part in request.resource_logs:
                for scope in part.scope_logs:
                    found += [(scope.scope.name, plain(line.body), line.trace_id.hex()) for line in scope.log_records]
        return found

    def close(self):
        self.takes.set()
        self.server.shutdown()
        self.server.server_close()
