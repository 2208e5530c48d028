"""The official Python SDK, watched: what is called, and whether every answer is whole."""

import inspect
import typing

from harness import Missing

# Resources of the SDK that are no control plane: the tests of acceptance, and later ones, look after them.
DATA_PLANE = {
    "attachments", "calendars", "contacts", "drafts", "events", "folders", "free_busy", "messages", "notetakers",
    "scheduler", "threads", "transactional_send",
}
# The resources of one mailbox: test_mailbox_complete.py looks after them.
MAILBOX = ("messages", "messages.smart_compose", "threads", "drafts", "folders", "attachments")
# Methods for which a hosted mailbox has no use; test_sdk_python.py says how each is refused.
FOREIGN = {
    "connectors.credentials.list", "connectors.credentials.find", "connectors.credentials.create",
    "connectors.credentials.update", "connectors.credentials.destroy", "auth.url_for_admin_consent",
}


def nylas():
    """The SDK, or the reason why a test is skipped."""
    try:
        import nylas
    except ImportError:
        raise Missing("the Python SDK is not installed (pip package nylas)") from None
    return nylas


def methods_of(resource):
    """The names of the methods that a resource offers. Those that only its parents have are not its own."""
    own = {name: value for name, value in vars(type(resource)).items() if not name.startswith("_")}
    return {name for name, value in own.items() if inspect.isfunction(value)}


class Watched:
    """A resource of the SDK that notes which of its methods were called, and looks at what they answer."""

    def __init__(self, resource, name, called):
        self._resource, self._name, self._called = resource, name, called

    def __getattr__(self, name):
        value = getattr(self._resource, name)
        if not callable(value):
            return Watched(value, f"{self._name}.{name}" if self._name else name, self._called)

        def call(*arguments, **named):
            method = f"{self._name}.{name}"
            self._called.add(method)
            PASSED.setdefault(method, set()).update(*map(members, [*arguments, *named.values()]))
            return whole(value(*arguments, **named))

        return call


# What was passed to each method in this run: the names of the members of every object among its arguments.
PASSED = {}


def members(argument):
    """The names of the members of an object; nothing of anything else."""
    return set(argument) if isinstance(argument, dict) else set()


def documented(method):
    """The members of the objects that a method takes, as the SDK's types name them."""
    found = set()
    for kind in typing.get_type_hints(method).values():
        for one in [kind, *typing.get_args(kind)]:
            # Typed dictionaries come from two modules, which know only their own.
            if isinstance(one, type) and issubclass(one, dict) or hasattr(one, "__required_keys__"):
                found |= set(getattr(one, "__required_keys__", ())) | set(getattr(one, "__optional_keys__", ()))
    # How a request is made, not what it says.
    return found - {"api_key", "api_uri", "timeout", "headers", "skip_auth"}


def mailbox_methods():
    """Every method of the resources of a mailbox, with the members that it takes."""
    sdk = nylas().Client(api_key="none", api_uri="http://127.0.0.1:1")
    found = {}
    for name in MAILBOX:
        resource = sdk
        for part in name.split("."):
            resource = getattr(resource, part)
        for method in methods_of(resource):
            found[f"{name}.{method}"] = documented(getattr(type(resource), method))
    return found


def whole(answer):
    """An answer of the SDK, if its envelope is as it must be."""
    if hasattr(answer, "request_id") and hasattr(answer, "headers"):
        assert answer.request_id, "an answer without a request_id"
        assert answer.headers["X-Request-Id"] == answer.request_id, "another id in the header than in the body"
    return answer


def client(fleet, key=None, called=None):
    """A client of the application that `init` made."""
    sdk = nylas().Client(api_key=key or fleet.account["api_key"], api_uri=fleet.server.api, timeout=60)
    return Watched(sdk, "", set() if called is None else called)


def control_plane():
    """Every method of the SDK's control plane, `resource.method`."""
    sdk = nylas().Client(api_key="none", api_uri="http://127.0.0.1:1")
    names = {name for name, value in vars(type(sdk)).items() if isinstance(value, property)}
    found = set()
    for name in names - DATA_PLANE:
        resource = getattr(sdk, name)
        found |= {f"{name}.{method}" for method in methods_of(resource)}
        for part, value in vars(type(resource)).items():
            if isinstance(value, property):
                found |= {f"{name}.{part}.{method}" for method in methods_of(getattr(resource, part))}
    return found


def failure(call, *arguments, **named):
    """The error that the SDK raises."""
    error = nylas().models.errors.NylasApiError
    try:
        call(*arguments, **named)
    except error as raised:
        assert raised.request_id and raised.type and raised.type != "unknown" and str(raised), repr(raised)
        return raised
    raise AssertionError("the call was not refused")


def oauth_failure(call, *arguments, **named):
    """The error that the SDK raises for the token endpoints; anything else it cannot read."""
    error = nylas().models.errors.NylasOAuthError
    try:
        call(*arguments, **named)
    except error as raised:
        assert isinstance(raised.error_code, int) and raised.error_description and isinstance(raised.error_uri, str)
        return raised
    raise AssertionError("the call was not refused")
