"""What the tests here share. The server and the strangers around it are those of the acceptance tests."""

import sys

sys.dont_write_bytecode = True

from pathlib import Path  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "acceptance"))

import os  # noqa: E402
import subprocess  # noqa: E402
import warnings  # noqa: E402

import pytest  # noqa: E402

from fixtures import *  # noqa: E402, F403
from fleet import Fleet  # noqa: E402
from harness import Missing, program, required  # noqa: E402
from sdk import client  # noqa: E402

# The SDK, and a reader of mail that has nothing to do with it or us.
NODE_PACKAGES = {"nylas": "nylas@8", "postal-mime": "postal-mime@2"}


def pytest_collection_modifyitems(items):
    """What looks back at all others comes last."""
    items.sort(key=lambda item: item.fspath.purebasename == "test_mailbox_complete")


@pytest.fixture(scope="session")
def modules(tmp_path_factory):
    """A folder with the Node packages in it: the one that was prepared, or a new one."""
    program("node", "nodejs")
    prepared = os.environ.get("POSTFLEET_TEST_NODE_FOLDER")
    if prepared:
        for name in NODE_PACKAGES:
            assert (Path(prepared) / "node_modules" / name).is_dir(), f"{prepared} has no node_modules/{name}"
        return Path(prepared)
    npm, target = program("npm", "npm"), tmp_path_factory.mktemp("node")
    command = [npm, "install", "--prefix", target, "--no-audit", "--no-fund", *NODE_PACKAGES.values()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        assert not required(), done.stderr
        raise Missing("the Node packages cannot be installed (npm packages nylas and postal-mime)")
    return target


@pytest.fixture
def fleets(tmp_path_factory, sink):
    """Makes installations that last for one test: `fleets(plan="free", domains=[…])`."""
    made = []

    def make(**wishes):
        fleet = Fleet(tmp_path_factory.mktemp("fleet"), sink, **wishes)
        made.append(fleet)
        return fleet.start()

    yield make
    for fleet in made:
        fleet.stop()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory, sink):
    """One installation for all tests of a file, on the plan without limits."""
    fleet = Fleet(tmp_path_factory.mktemp("fleet"), sink).start()
    yield fleet
    fleet.stop()


@pytest.fixture(scope="module")
def sdk(fleet):
    """The official Python SDK, for that installation."""
    return client(fleet)


@pytest.fixture(scope="module")
def strict():
    """The SDK only warns of a null where its type has none; for a file that uses this it is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


@pytest.fixture
def free(fleets):
    """An installation on the Free plan."""
    return fleets(plan="free")


@pytest.fixture
def full(fleets):
    """An installation on the Full Platform plan."""
    return fleets(plan="full_platform")
