"""Fixtures, and what becomes of a test whose means are missing: skipped, or failed where they are required. For the
conftest.py of every folder of tests that stands on the harness."""

import tempfile
from pathlib import Path

import pytest

from harness import Missing, Postfleet, Postgres, Sink, WebhookReceiver, required


def servers_of(item):
    """The servers that a test used, directly or in what its fixtures hold."""
    for value in getattr(item, "funcargs", {}).values():
        several = getattr(value, "servers", None)
        servers = several.values() if isinstance(several, dict) else [getattr(value, "server", value)]
        yield from (server for server in servers if isinstance(server, Postfleet))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.excinfo is not None and call.excinfo.errisinstance(Missing) and not required():
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1] or 0, f"SKIPPED: {call.excinfo.value}")
    elif report.failed:
        report.sections += [("server log", server.log_tail()) for server in servers_of(item)]
    return report


@pytest.fixture(scope="module")
def engine():
    """What keeps the data. A module that overrides this with parameters runs once with each."""
    return "sqlite"


@pytest.fixture(scope="module")
def folder(engine):
    # Below /tmp and not in the tree: other accounts have to reach it.
    with tempfile.TemporaryDirectory(prefix=f"postfleet-acceptance-{engine}-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def storage(engine, folder):
    """The URL of the storage; nothing for the default."""
    if engine == "sqlite":
        yield None
        return
    postgres = Postgres(folder / "postgres").start()
    yield postgres.url
    postgres.stop()


@pytest.fixture(scope="module")
def receiver(folder):
    receiver = WebhookReceiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def sink(folder):
    sink = Sink().start()
    yield sink
    sink.close()
