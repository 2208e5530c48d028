"""Fixtures, and what becomes of a test whose means are missing: skipped, or failed where they are required."""

import sys

sys.dont_write_bytecode = True

import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402

from harness import Missing, Postfleet, Postgres, Sink, WebhookReceiver, required  # noqa: E402


def absent(reason):
    """Ends a test for which this machine lacks something."""
    if required():
        pytest.fail(f"{reason}, and POSTFLEET_TEST_REQUIRE=1 requires it", pytrace=False)
    pytest.skip(f"SKIPPED: {reason}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.excinfo is not None and call.excinfo.errisinstance(Missing) and not required():
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1] or 0, f"SKIPPED: {call.excinfo.value}")
    elif report.failed and hasattr(item, "funcargs"):
        for value in item.funcargs.values():
            if isinstance(value, Postfleet):
                report.sections.append(("server log", value.log_tail()))
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
