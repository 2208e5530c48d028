"""Every method that the official Python SDK has for what is in a mailbox was called by the tests of this run, with every
parameter that its types document. This test comes last: conftest.py sees to it."""

import pytest

from sdk import PASSED, mailbox_methods

# Tests that call them: without all of these, nothing can be said.
FILES = (
    "test_drafts", "test_inbound", "test_sdk_sending", "test_mailbox_lists", "test_mailbox_changes", "test_mailbox_clean",
    "test_mailbox_folders", "test_mailbox_threads", "test_mailbox_attachments",
)


def test_every_method_of_a_mailbox_was_called_with_every_parameter(request):
    ran = {item.fspath.purebasename for item in request.session.items}
    if not set(FILES) <= ran:
        pytest.skip("the tests that call the methods do not all run")
    methods = mailbox_methods()
    assert len(methods) > 25 and all(methods[f"{name}.list"] for name in ("messages", "threads", "drafts", "folders"))
    missing = {}
    for method, parameters in methods.items():
        if method not in PASSED:
            missing[method] = None
        elif parameters - PASSED[method]:
            missing[method] = parameters - PASSED[method]
    passed = sum(len(parameters & PASSED.get(method, set())) for method, parameters in methods.items())
    documented = sum(map(len, methods.values()))
    print(f"{len(methods) - list(missing.values()).count(None)} of {len(methods)} methods, {passed} of {documented} parameters")
    assert not missing, f"no test passes these (None: no test calls it): {missing}"
