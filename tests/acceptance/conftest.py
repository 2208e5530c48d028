"""What the tests here share; see fixtures.py."""

import sys

sys.dont_write_bytecode = True

import pytest  # noqa: E402

from fixtures import *  # noqa: E402, F403
from remote import Internet  # noqa: E402


@pytest.fixture(scope="module")
def internet(folder):
    """A postfleet of its own among servers that a test makes up."""
    internet = Internet(folder)
    yield internet
    internet.close()
