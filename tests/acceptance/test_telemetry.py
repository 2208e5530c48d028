"""Traces, metrics and log lines, as a collector gets them."""

import re
import sqlite3

import pytest
from collector import Collector
from harness import ROOT, Api, NoNames, Postfleet, Sink, WebhookReceiver, wait_until

EVERY_ROLE = '["api", "mx", "submission", "deliver", "webhooks", "janitor"]'
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SERVER, CLIENT = 2, 3


class Stage:
    """A server with a collector, a receiver of webhooks and a server that takes its mail."""

    def __init__(self, folder, **settings):
        self.names, self.sink, self.receiver, self.collector = NoNames(), Sink().start(), WebhookReceiver(), Collector()
        self.settings = {f"POSTFLEET_{name}": value for name, value in settings.items()}
        endpoint = {"POSTFLEET_TELEMETRY__OTLP_ENDPOINT": self.collector.url, "POSTFLEET_TELEMETRY__METRICS_SECONDS": "1"}
        settings = {**endpoint, **self.names.settings, **self.settings}
        self.server = Postfleet(folder, self.sink.address, settings=settings)
        self.api = Api(self.server, self.server.init()["api_key"])

    def set(self, **settings):
        self.server.environment.update({f"POSTFLEET_{name}": value for name, value in settings.items()})
        return self

    def subscribe(self):
        body = {"trigger_types": ["message.created"], "webhook_url": self.receiver.url + "/in?secret=canary"}
        status, _, answer = self.api.call("POST", "/v3/webhooks", body)
        assert status == 200, answer

    def receive(self, *subjects):
        with self.server.smtp() as client:
            for subject in subjects:
                text = f"From: ada@people.test\r\nTo: reader@agents.test\r\nSubject: {subject}\r\n\r\nCanary body\r\n"
                client.sendmail("ada@people.test", ["reader@agents.test"], text)

    def send(self, grant, traceparent):
        message = {"to": [{"email": "bob@people.test"}], "subject": "Canary", "body": "Canary body"}
        path = f"/v3/grants/{grant}/messages/send"
        status, _, answer = self.api.call("POST", path, message, {"traceparent": traceparent})
        assert status == 200, answer

    def span(self, name, **where):
        """The span of that name, once it was exported."""

        def found():
            spans = self.collector.spans(name)
            return next((span for span in spans if all(getattr(span, key) == value for key, value in where.items())), None)

        return wait_until(f"the span {name}", found)

    def told(self, count=1):
        wait_until("the webhook to be told", lambda: len(self.receiver.received) >= count)
        return list(self.receiver.received)

    def text(self):
        """The metrics in text form."""
        return self.api.call("GET", "/metrics")[2].decode()

    def close(self):
        # Whoever waits for the collector is let go first.
        self.collector.takes.set()
        self.receiver.takes.set()
        self.receiver.ends.set()
        self.server.kill()
        for one in (self.collector, self.receiver, self.sink, self.names):
            one.close()


@pytest.fixture
def stage(tmp_path):
    stage = Stage(tmp_path)
    yield stage
    stage.close()


@pytest.fixture
def server(stage):
    """For the log of a test that failed."""
    return stage.server


def test_one_trace_leads_from_smtp_to_the_request_of_the_webhook_across_a_restart(stage, server):
    stage.set(SERVER__ROLES='["api", "mx"]').server.start()
    stage.api.mailbox("reader@agents.test")
    stage.subscribe()
    stage.receive("Canary")
    # The last of them to end, and so to be sent.
    stage.span("smtp.session")
    server.kill()
    assert stage.receiver.received == []
    stage.set(SERVER__ROLES=EVERY_ROLE).server.start()
    (notification,) = stage.told()
    version, trace, asked_in, flags = notification.headers["traceparent"].split("-")
    assert (version, flags) == ("00", "01")
    request = stage.span("http.post", id=asked_in)
    teller = stage.span("event.deliver", id=request.parent)
    commit = stage.span("store.commit", id=teller.parent)
    judged = stage.span("receive.judge", id=commit.parent)
    data = stage.span("smtp.data", id=judged.parent)
    session = stage.span("smtp.session", id=data.parent)
    way = [session, data, judged, commit, teller, request]
    assert {span.trace for span in way} == {trace}
    assert (session.parent, session.kind, request.kind) == ("", SERVER, CLIENT)
    assert request.attributes["http.response.status_code"] == 200
    assert teller.attributes == {"kind": "webhook", "attempt": 1}
    assert data.attributes["reply"] == 250


def test_one_trace_leads_from_a_request_to_the_remote_server_across_a_restart(stage, server):
    stage.set(SERVER__ROLES='["api", "mx"]').server.start()
    grant = stage.api.mailbox("writer@agents.test")
    stage.send(grant, f"00-{TRACE}-{SPAN}-01")
    request = stage.span("http.request", trace=TRACE)
    submit = stage.span("submit", trace=TRACE)
    commits = [span for span in stage.collector.spans("store.commit") if span.parent == submit.id]
    server.kill()
    assert stage.sink.taken == []
    stage.set(SERVER__ROLES=EVERY_ROLE).server.start()
    wait_until("the message to be taken", lambda: stage.sink.taken)
    exchange = stage.span("smtp.exchange", trace=TRACE)
    attempt = stage.span("deliver.attempt", id=exchange.parent)
    assert (request.parent, request.kind, submit.parent) == (SPAN, SERVER, request.id)
    assert request.attributes["http.route"] == "/v3/grants/{grant}/messages/send"
    assert attempt.parent in [commit.id for commit in commits]
    assert exchange.attributes == {"recipients": 1, "accepted": 1, "encrypted": False}
    assert b"traceparent" not in stage.sink.taken[0].raw.lower() and TRACE.encode() not in stage.sink.taken[0].raw


def test_a_trace_that_is_not_recorded_is_not_written_down(stage, server):
    stage.set(TELEMETRY__TRACES_RATIO="0").server.start()
    grant = stage.api.mailbox("reader@agents.test")
    stage.subscribe()
    stage.receive("first")
    stage.send(grant, f"00-{TRACE}-{SPAN}-00")
    # Who says that a trace is recorded has it recorded.
    stage.send(grant, f"00-{TRACE[::-1]}-{SPAN}-01")
    wait_until("both messages to be taken", lambda: len(stage.sink.taken) == 2)
    stage.span("smtp.exchange")
    assert {span.trace for span in stage.collector.spans()} == {TRACE[::-1]}
    assert "traceparent" not in stage.told()[0].headers
    server.stop()
    rows = sqlite3.connect(server.data / "postfleet.db").execute("SELECT length(trace) FROM events").fetchall()
    assert {length for (length,) in rows} == {None, 25}


def documented():
    """The tables of the documentation: the attributes of each span, and the metrics."""
    spans = {}
    for line in (ROOT / "docs" / "telemetry.md").read_text().splitlines():
        if match := re.match(r"\| `([a-z]+(?:\.[a-z]+)?)` \|[^|]*\|([^|]*)\|", line):
            # What an attribute says stands behind a colon.
            named = re.sub(r": `webhook` or `alert`", "", match[2])
            spans[match[1]] = set(re.findall(r"`([a-z_.]+)`", named))
    rows = (ROOT / "docs" / "operate.md").read_text().splitlines()
    metrics = {name for row in rows if row.startswith("| `postfleet_") for name in re.findall(r"`(postfleet_[a-z_]+)`", row.split("|")[1])}
    return spans, metrics


def test_what_is_sent_is_what_is_documented_and_names_nobody(stage, server):
    stage.set(TELEMETRY__HEADERS='["Api-Key: secret"]', TELEMETRY__SERVICE_NAME="mail", SERVER__NODE="first").server.start()
    grant = stage.api.mailbox("reader@agents.test")
    stage.subscribe()
    stage.receive("Canary subject")
    stage.send(grant, f"00-{TRACE}-{SPAN}-01")
    stage.span("http.post")
    stage.span("smtp.exchange")
    stage.span("smtp.session")
    spans, metrics = documented()
    wait_until("the metrics of webhooks", lambda: "postfleet_reader_delivery_seconds" in stage.collector.metrics())
    sent = {}
    for span in stage.collector.spans():
        sent.setdefault(span.name, set()).update(span.attributes)
        assert span.events == 0, span
        words = " ".join(str(value) for value in span.attributes.values()).lower()
        for secret in ("agents.test", "people.test", "canary", "127.0.0.1", grant, "@"):
            assert secret not in words, span
    assert sent == spans
    told = stage.collector.metrics()
    assert set(told) - metrics == set()
    for name in ("messages_received", "reader_lag_events", "reader_lag_seconds", "reader_held_lanes"):
        assert f"postfleet_{name}" in told
    ((of, taken),) = told["postfleet_reader_delivery_seconds"]
    assert (of, taken.count > 0) == ({"kind": "webhook"}, True)
    # The text says the same.
    assert 'postfleet_reader_attempts_total{kind="webhook"' in stage.text()
    assert [{**of, "service.version": ""} for of in stage.collector.resources()] == [
        {"service.name": "mail", "service.version": "", "service.instance.id": "first"}
    ]
    assert {headers["api-key"] for _, headers, _ in stage.collector.requests} == {"secret"}
    assert stage.collector.faults == []


def test_log_lines_are_sent_if_wanted_without_those_about_sending(stage, server):
    stage.set(TELEMETRY__LOGS="true", LOG__LEVEL="debug", WEBHOOKS__DEADLINE_SECONDS="1").server.start()
    stage.receiver.hanging.add(stage.api.mailbox("reader@agents.test"))
    stage.subscribe()
    stage.receive("Canary")
    lines = stage.collector.lines
    wait_until("a line", lambda: any("listens" in (text or "") for _, text, _ in lines()))
    said = wait_until("a line in a trace", lambda: [trace for _, text, trace in lines() if "did not take an event" in (text or "")])
    assert said[0] == stage.span("event.deliver").trace
    targets = {target.split("::")[0] for target, _, _ in stage.collector.lines()}
    assert "postfleet_mailflow" in targets
    assert targets & {"hyper", "hyper_util", "reqwest", "h2", "opentelemetry", "opentelemetry_sdk"} == set(), targets


def test_without_a_collector_nothing_is_made_and_nothing_written(stage, server):
    stage.set(TELEMETRY__OTLP_ENDPOINT="").server.start()
    grant = stage.api.mailbox("reader@agents.test")
    stage.subscribe()
    stage.receive("first")
    stage.send(grant, f"00-{TRACE}-{SPAN}-01")
    (notification, *_) = stage.told()
    wait_until("the message to be taken", lambda: stage.sink.taken)
    assert "traceparent" not in notification.headers
    assert "postfleet_telemetry_items" not in stage.text()
    server.stop()
    rows = sqlite3.connect(server.data / "postfleet.db").execute("SELECT trace FROM events").fetchall()
    assert rows and {trace for (trace,) in rows} == {None}
    assert stage.collector.requests == []


def away(stage):
    stage.collector.server.shutdown()
    stage.collector.server.server_close()


def hangs(stage):
    stage.collector.takes.clear()


def refuses(stage):
    stage.collector.status = 500


@pytest.mark.parametrize("fault", [away, hangs, refuses])
def test_a_collector_that_does_not_take_anything_changes_nothing(stage, server, fault):
    stage.server.start()
    stage.api.mailbox("reader@agents.test")
    stage.subscribe()
    fault(stage)
    # Above all that can wait: about four spans are made for each.
    stage.receive(*(str(number) for number in range(200)))
    told = stage.told(200)
    subjects = [one.json["data"]["object"]["subject"] for one in told]
    assert subjects == [str(number) for number in range(200)]
    assert stage.collector.requests == [] or fault is not away
    if fault is not hangs:
        wait_until("failures to be counted", lambda: 'signal="traces"' in stage.text() and failed(stage.text()) > 0)
    server.stop()


def failed(text):
    """Spans that the collector did not take."""
    lines = [line for line in text.splitlines() if line.startswith("postfleet_telemetry_items_total{")]
    of = [line for line in lines if 'signal="traces"' in line and 'result="failed"' in line]
    return sum(float(line.rsplit(" ", 1)[1]) for line in of)


def test_what_is_left_at_the_end_is_sent(stage, server):
    stage.server.start()
    stage.api.mailbox("reader@agents.test")
    stage.receive("last")
    server.stop()
    assert "smtp.session" in {span.name for span in stage.collector.spans()}
