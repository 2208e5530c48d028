"""What the tests here share. The server and the strangers around it are those of the acceptance tests."""

import sys

sys.dont_write_bytecode = True

from pathlib import Path  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "acceptance"))

import pytest  # noqa: E402

from fixtures import *  # noqa: E402, F403
from fleet import Fleet  # noqa: E402


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


@pytest.fixture
def free(fleets):
    """An installation on the Free plan."""
    return fleets(plan="free")


@pytest.fixture
def full(fleets):
    """An installation on the Full Platform plan."""
    return fleets(plan="full_platform")
