"""Every method that the official Python SDK has for what is in a mailbox was called by the tests of this run, with every
parameter that its types document. This test comes last: conftest.py sees to it."""

import pytest

from sdk import PASSED, mailbox_methods

# What no test passes yet: a method as a whole (None), or some of its parameters. It may only become shorter.
MISSING = {
    "messages.destroy": None,
    "messages.clean_messages": None,
    "messages.smart_compose.compose_message": None,
    "messages.smart_compose.compose_message_reply": None,
    "messages.list": {"search_query_native"},
    "messages.send": {"starred"},
    "messages.update": {"metadata"},
    "threads.list": {
        "any_email", "bcc", "cc", "earliest_message_date", "from", "has_attachment", "in", "latest_message_after",
        "latest_message_before", "limit", "page_token", "search_query_native", "select", "starred", "subject", "thread_id", "to",
        "unread",
    },
    "threads.update": None,
    "threads.destroy": None,
    "drafts.list": {"from", "in"},
    "folders.create": None,
    "folders.update": None,
    "folders.destroy": None,
    "attachments.create_upload_session": None,
    "attachments.complete_upload_session": None,
}
# Tests that call them: without all of these, nothing can be said.
FILES = ("test_drafts", "test_inbound", "test_sdk_sending", "test_mailbox_lists")


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
    new = {method: names for method, names in missing.items() if method not in MISSING or names != MISSING[method]}
    assert not new, f"no test passes these (None: no test calls it): {new}"
    assert not (done := set(MISSING) - set(missing)), f"tests pass these by now, so they are no longer missing: {done}"
