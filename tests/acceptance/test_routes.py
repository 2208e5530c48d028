"""Mail on its way through a relay that wants a login."""

import pytest

from harness import Api, Postfleet, Sink, wait_until


@pytest.fixture(scope="module")
def relay():
    sink = Sink(login=("postfleet", "open sesame")).start()
    yield sink
    sink.close()


def send(api):
    grant = api.mailbox("ada@agents.test")
    body = {"to": [{"email": "grace@people.test"}], "subject": "Hello", "body": "Hi"}
    status, _, answer = api.call("POST", f"/v3/grants/{grant}/messages/send", body)
    assert status == 200, answer


def serve(folder, relay, password, **settings):
    settings = {
        "POSTFLEET_RELAY__HOST": "127.0.0.1",
        "POSTFLEET_RELAY__PORT": str(relay.port),
        "POSTFLEET_RELAY__USERNAME": "postfleet",
        "POSTFLEET_RELAY__PASSWORD": password,
        "POSTFLEET_RELAY__AUTH_IN_CLEAR": "true",
        **settings,
    }
    server = Postfleet(folder, settings=settings)
    server.account = server.init()
    return server


def folder_below(folder, name):
    below = folder / name
    below.mkdir()
    return below


def test_a_relay_with_a_login(folder, relay):
    server = serve(folder_below(folder, "right"), relay, "open sesame").start()
    try:
        before = len(relay.taken)
        send(Api(server, server.account["api_key"]))
        wait_until("the relay to have the message", lambda: len(relay.taken) > before)
        assert relay.taken[-1].recipients == ["grace@people.test"]
        assert "open sesame" not in server.log_tail(1 << 20)
    finally:
        server.stop()


def test_a_relay_that_refuses_the_login_costs_no_message(folder, relay):
    server = serve(folder_below(folder, "wrong"), relay, "close sesame").start()
    try:
        before = len(relay.taken)
        api = Api(server, server.account["api_key"])
        send(api)
        wait_until("the failure to be counted", lambda: b"postfleet_relay_refusals_total" in metrics(api))
        assert len(relay.taken) == before
        log = server.log_tail(1 << 20)
        assert "failed to sign in to the relay" in log and "535 5.7.8" in log and "close sesame" not in log
    finally:
        server.stop()


def test_a_login_without_protection_stops_the_start(folder, relay):
    server = serve(folder_below(folder, "bare"), relay, "x", POSTFLEET_RELAY__AUTH_IN_CLEAR="true")
    server.environment["POSTFLEET_RELAY__AUTH_IN_CLEAR"] = "false"
    server.spawn()
    assert server.process.wait(timeout=30) != 0
    server.process = None
    assert "relay.username needs relay.tls" in server.log_tail()


def metrics(api):
    return api.call("GET", "/metrics")[2]
