"""Bad input for what protects a fleet: every field and parameter of its routes that the OpenAPI document names, with the
wrong kind, nothing, too much, too little, and what belongs to somebody else. Refused with the field and the limit, and
never with a fault of the server."""

import json

import pytest

from harness import Api, Postfleet

# Requests that are accepted, or refused only because of the state of what they concern; each field is spoiled in turn.
# What stands in braces is a thing that the fixture made.
BODIES = {
    ("POST", "/v3/stops"): {"scope": "grant", "subject": "{grant}", "reason": "why"},
    ("POST", "/v3/stops/{stop}/lift"): {"reason": "why"},
    ("POST", "/v3/admin/stops"): {"scope": "grant", "subject": "{grant}", "reason": "why"},
    ("POST", "/v3/admin/stops/{stop}/lift"): {"reason": "why"},
    ("POST", "/v3/admin/restrictions"): {"scope": "sender_domain", "subject": "unused.test", "reason": "why", "reference": "4711"},
    ("POST", "/v3/admin/restrictions/{restriction}/lift"): {"reason": "why"},
    ("POST", "/v3/grants/{grant}/recoveries"): {"cause": "a list", "fix": "it is gone", "evidence": ["a ticket"]},
    ("POST", "/v3/admin/recoveries/{recovery}/decide"): {"decision": "refuse", "note": "no", "despite_checks": False},
    ("PUT", "/v3/workspaces/{workspace}/breakers"): {"breakers": [{"metric": "bounce_rate", "threshold": 3, "min_volume": 100, "action": "hold", "enabled": True}]},
    ("POST", "/v3/sender-pools"): {"name": "Pool", "grant_ids": ["{grant}"]},
    ("PATCH", "/v3/sender-pools/{pool}"): {"name": "Pool", "grant_ids": ["{grant}"]},
    ("POST", "/v3/sender-pools/{pool}/messages/send"): {"to": [{"email": "grace@people.test"}], "subject": "s", "body": "b"},
    ("PUT", "/v3/domains/{domain}/warm-up"): {"target_per_day": 1000, "start_cap": 20},
    ("POST", "/v3/alerts"): {"type": "email", "email": "ops@people.test", "from_grant_id": "{grant}", "trigger_types": ["sending.stopped"], "workspace_id": "{workspace}", "description": "d"},
    ("POST", "/v3/alerts/send"): {"metric": "bounce_rate", "threshold": 0.05, "window_hours": 6, "min_volume": 100, "name": "n"},
    ("PUT", "/v3/alerts/send/{alert_rule}"): {"metric": "bounce_rate", "threshold": 0.05, "window_hours": 6, "min_volume": 100, "name": "n"},
    ("POST", "/v3/grants/{grant}/opt-ins"): {"email": "ada@people.test", "purpose": "News", "name": "Ada", "redirect_url": "https://shop.test/"},
    ("POST", "/v3/holds/{hold}/approve"): {"digest": "0" * 64, "reason": "r"},
    ("POST", "/v3/holds/{hold}/reject"): {"reason": "r"},
}  # fmt: skip

# Reading: every parameter is spoiled in turn.
READS = [
    "/v3/stops", "/v3/admin/stops", "/v3/admin/restrictions", "/v3/admin/recoveries", "/v3/grants/{grant}/recoveries",
    "/v3/grants/{grant}/reputation", "/v3/workspaces/{workspace}/reputation", "/v3/domains/{domain}/reputation",
    "/v3/admin/organizations/{organization}/reputation", "/v3/reputation", "/v3/activity/send", "/v3/metrics/send",
    "/v3/metrics/send/summary", "/v3/metrics/send/timeseries", "/v3/alerts", "/v3/alerts/send", "/v3/sender-pools",
    "/v3/sender-pools/{pool}/plan", "/v3/domains/{domain}/health", "/v3/domains/{domain}/warm-up", "/v3/opt-ins", "/v3/holds",
    "/v3/grants/{grant}/holds", "/v3/workspaces/{workspace}/breakers", "/v3/grants/{grant}/support-bundle",
]  # fmt: skip
OF_THE_OPERATOR = ("/v3/admin/", "/v3/domains/")
# Parameters that take any text: an address, a name, a domain that nothing was sent to.
ANY_TEXT = {"purpose", "email", "select", "fields"}
NOBODY = "01900000-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
def server(folder, sink):
    server = Postfleet(folder / "postfleet", relay=sink.address)
    server.account = server.init()
    server.start()
    yield server
    assert server.is_running() and "panicked" not in server.log.read_text()
    server.stop()


@pytest.fixture(scope="module")
def document(server):
    return Api(server, "").call("GET", "/openapi.json")[2]


@pytest.fixture(scope="module")
def world(server):
    return World(server)


class World:
    """An application with one of each, and what belongs to somebody else."""

    def __init__(self, server):
        self.account = server.account
        self.api, self.operator = Api(server, self.account["api_key"]), Api(server, self.account["operator_key"])
        grant = self.api.mailbox("ada@agents.test")
        workspace = self.account["default_workspace_id"]
        stop = {"scope": "grant", "subject": grant, "reason": "why"}
        restriction = {"scope": "sender_domain", "subject": "agents.test", "reason": "why"}
        rule = {"metric": "bounce_rate", "threshold": 0.05}
        self.things = {
            "grant": grant,
            "workspace": workspace,
            "domain": "agents.test",
            "organization": self.account["organization_id"],
            "stop": self.made(self.api, "/v3/stops", stop),
            "restriction": self.made(self.operator, "/v3/admin/restrictions", restriction),
            "pool": self.made(self.api, "/v3/sender-pools", {"name": "P", "grant_ids": [grant]}),
            "alert_rule": self.made(self.api, "/v3/alerts/send", rule),
            "recovery": NOBODY,
            "hold": NOBODY,
        }
        other = {"organization_id": self.made(self.operator, "/v3/admin/organizations", {"name": "Other"})}
        application = self.made(self.operator, "/v3/admin/applications", other | {"name": "Other"})
        _, _, key = self.operator.call("POST", f"/v3/admin/applications/{application}/api-keys", {"name": "k"})
        self.stranger = Api(server, key["data"]["api_key"])
        _, _, made = self.operator.call("POST", "/v3/admin/keys", other | {"name": "k"})
        self.other_operator = Api(server, made["data"]["api_key"])

    @staticmethod
    def made(api, path, body):
        status, _, answer = api.call("POST", path, body)
        assert status in (200, 201), (path, answer)
        return answer["data"]["id"]

    def filled(self, text):
        for name, thing in self.things.items():
            text = text.replace("{" + name + "}", thing)
        assert "{" not in text, text
        return text

    def good(self, operation):
        return json.loads(self.with_things(json.dumps(BODIES[operation])))

    def with_things(self, text):
        return text.replace("{grant}", self.things["grant"]).replace("{workspace}", self.things["workspace"])

    def ask(self, method, path, body=None, query=""):
        api = self.operator if path.startswith(OF_THE_OPERATOR) else self.api
        return api.call(method, self.filled(path) + query, body)


def schema_of(document, operation):
    """The fields of a request's body, with what is known of them."""
    method, path = operation
    content = document["paths"][path][method.lower()]["requestBody"]["content"]["application/json"]
    return resolved(document, content["schema"])


def resolved(document, schema):
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    for part in schema.get("oneOf", []):
        if part.get("type") != "null":
            return resolved(document, part) | {key: value for key, value in schema.items() if key != "oneOf"}
    return schema


def kinds_of(schema):
    kinds = schema.get("type", [])
    return set([kinds] if isinstance(kinds, str) else kinds)


WRONG = {"string": [5, ["x"], {"x": 1}, True], "integer": ["x", [1], {"x": 1}, 1.5], "number": ["x", [1], {"x": 1}],
         "boolean": ["perhaps", [True], 5], "array": ["x", 5, {"x": 1}], "object": ["x", 5, [1]]}  # fmt: skip


def spoiled(schema):
    """Bad values for a field: each with what the refusal must say of the limit."""
    kinds = kinds_of(schema) - {"null"}
    for value in [value for kind in kinds for value in WRONG.get(kind, [])]:
        # A whole number is a number, and what is taken instead of a number by its text is none here.
        yield value, ""
    if "string" in kinds:
        yield "\x00", ""
        yield "a\r\nBcc: evil@people.test", ""
        if "maxLength" in schema:
            most = schema["maxLength"]
            yield "x" * (most + 1), str(most)
        yield "ü" * 100_000, ""
    for bound, by in (("minimum", -1), ("maximum", 1)):
        if bound in schema:
            yield schema[bound] + by, f"{schema[bound]:.6f}".rstrip("0").rstrip(".")
    if kinds & {"integer", "number"}:
        yield 10**30, ""
        yield -1, ""
    if "array" in kinds:
        yield [None], ""
        if "maxItems" in schema:
            yield ["x"] * (schema["maxItems"] + 1), ""


def check(operation, field, value, answer, limit=""):
    """A refusal that says what is wrong; the state of what is concerned may be told first."""
    status, headers, body = answer
    said = f"{' '.join(operation)} with {field} = {str(value)[:80]!r}: {status} {str(body)[:400]}"
    assert 400 <= status < 500, said
    error = body["error"]
    assert body["request_id"] == headers["x-request-id"] and isinstance(error["retryable"], bool) and error["code"], said
    if status == 400:
        named = error.get("field") or ""
        assert named.split("[")[0].split(".")[0] == field, said
        assert limit in error["message"].replace(",", ""), f"does not name the limit {limit}: {said}"
    return status


# What is looked at only if another field says so.
LENIENT_OF = {("POST", "/v3/alerts"): {"url"}}
# A send has tests of its own; here only that it is answered.
SEND = ("POST", "/v3/sender-pools/{pool}/messages/send")
# What cannot be decided because it is not there is not found, whatever the request says.
MISSING = {"/v3/admin/recoveries/{recovery}/decide", "/v3/holds/{hold}/approve", "/v3/holds/{hold}/reject"}


@pytest.mark.parametrize("operation", BODIES, ids=lambda one: " ".join(one))
def test_a_bad_field_is_refused_with_its_name_and_its_limit(world, document, operation):
    method, path = operation
    fields = schema_of(document, operation)["properties"]
    assert set(BODIES[operation]) <= set(fields), "a field that the document does not know"
    for name, described in fields.items():
        for value, limit in spoiled(resolved(document, described)):
            answer = world.ask(method, path, world.good(operation) | {name: value})
            assert answer[0] < 500, (operation, name, str(value)[:80], answer)
            if operation == SEND or name in LENIENT_OF.get(operation, ()):
                continue
            if path in MISSING and answer[0] == 404:
                continue
            check(operation, name, value, answer, limit)


@pytest.mark.parametrize("operation", BODIES, ids=lambda one: " ".join(one))
def test_what_is_required_is_missed_and_null_is_as_if_absent(world, document, operation):
    method, path = operation
    schema = schema_of(document, operation)
    for name in schema["properties"]:
        without = {key: value for key, value in world.good(operation).items() if key != name}
        absent, null = world.ask(method, path, without), world.ask(method, path, without | {name: None})
        assert absent[0] < 500 and null[0] < 500, (operation, name, absent, null)
        if name in schema.get("required", []) and path not in MISSING:
            for answer in (absent, null, world.ask(method, path, without | {name: ""})):
                check(operation, name, "nothing", answer)


@pytest.mark.parametrize("operation", BODIES, ids=lambda one: " ".join(one))
def test_what_is_no_object_is_refused(world, operation):
    method, path = operation
    api = world.operator if path.startswith(OF_THE_OPERATOR) else world.api
    for body in (b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"reason":' + b"[" * 5_000, b"{}" + b" " * 100 + b"x"):
        status, _, answer = api.call(method, world.filled(path), body)
        assert status in (400, 404), (operation, body[:20], answer)
        assert answer["error"]["message"] and answer["request_id"]


@pytest.mark.parametrize("path", READS)
def test_a_bad_parameter_is_refused_with_its_name(world, document, path):
    operation = document["paths"][path]["get"]
    assert world.ask("GET", path)[0] in (200, 400), world.ask("GET", path)
    for parameter in operation.get("parameters", []):
        name, schema = parameter["name"], parameter["schema"]
        if parameter["in"] != "query" or name in ANY_TEXT:
            continue
        kinds = kinds_of(schema) | kinds_of(schema.get("items", {}))
        bad = ["%00", "x" * 5_000, "%C3%BC%20%0d%0aX"]
        if "integer" in kinds:
            bad += ["x", "1.5", "9" * 30, str(schema.get("minimum", 0) - 1), str(schema.get("maximum", 10**19) + 1)]
        if "boolean" in kinds or "enum" in schema or "enum" in schema.get("items", {}):
            bad += ["perhaps"]
        for value in bad:
            answer = world.ask("GET", path, query=f"?{name}={value}")
            said = f"GET {path}?{name}={value[:60]}: {answer[0]} {str(answer[2])[:300]}"
            assert answer[0] in (200, 400), said
            if answer[0] == 400:
                assert answer[2]["error"].get("field") == name or name in answer[2]["error"]["message"], said
            else:
                assert kinds == {"string"} and "enum" not in schema, f"taken: {said}"
        # Given and empty is as if it was not given, or refused with its name.
        status, _, answer = world.ask("GET", path, query=f"?{name}=")
        assert status == 200 or (status == 400 and name in answer["error"]["message"]), (path, name, answer)


def test_what_belongs_to_somebody_else_does_not_exist(world):
    grant, things = world.things["grant"], world.things
    for path in ("/v3/stops/{stop}", "/v3/sender-pools/{pool}", "/v3/alerts/send/{alert_rule}", "/v3/grants/{grant}/reputation",
                 "/v3/grants/{grant}/recoveries", "/v3/grants/{grant}/support-bundle", "/v3/workspaces/{workspace}/reputation",
                 "/v3/workspaces/{workspace}/breakers", "/v3/sender-pools/{pool}/plan?volume=5"):  # fmt: skip
        filled = path
        for name, thing in things.items():
            filled = filled.replace("{" + name + "}", thing)
        assert world.api.call("GET", filled)[0] == 200, path
        assert world.stranger.call("GET", filled)[0] == 404, path
    lift = {"reason": "why"}
    assert world.stranger.call("POST", f"/v3/stops/{things['stop']}/lift", lift)[0] == 404
    assert world.other_operator.call("POST", f"/v3/admin/stops/{things['stop']}/lift", lift)[0] == 404
    assert world.other_operator.call("GET", f"/v3/admin/stops/{things['stop']}")[0] == 404
    for path in ("/v3/domains/agents.test/reputation", "/v3/domains/agents.test/health", "/v3/domains/agents.test/warm-up",
                 f"/v3/admin/organizations/{things['organization']}/reputation"):  # fmt: skip
        assert world.operator.call("GET", path)[0] == 200, path
        assert world.other_operator.call("GET", path)[0] == 404, path
    # In a body or a parameter it is a bad value, which is named.
    for api, path, body, field in (
        (world.stranger, "/v3/stops", {"scope": "grant", "subject": grant, "reason": "r"}, "subject"),
        (world.stranger, "/v3/stops", {"scope": "workspace", "subject": things["workspace"], "reason": "r"}, "subject"),
        (world.stranger, "/v3/stops", {"scope": "sender_domain", "subject": "agents.test", "reason": "r"}, "subject"),
        (world.stranger, "/v3/stops", {"scope": "sender_address", "subject": "ada@agents.test", "reason": "r"}, "subject"),
        (world.stranger, "/v3/stops", {"scope": "application", "subject": world.account["application_id"], "reason": "r"}, "subject"),
        (world.stranger, "/v3/sender-pools", {"name": "P", "grant_ids": [grant]}, "grant_ids"),
        (world.stranger, "/v3/alerts", {"type": "email", "email": "o@people.test", "from_grant_id": grant}, "from_grant_id"),
        (world.other_operator, "/v3/admin/stops", {"scope": "organization", "subject": things["organization"], "reason": "r"}, "subject"),
    ):  # fmt: skip
        status, _, answer = api.call("POST", path, body)
        assert status == 400 and answer["error"]["field"].split("[")[0] == field, (path, body, answer)
    # Only whoever operates the installation restricts.
    body = {"scope": "sender_domain", "subject": "agents.test", "reason": "r"}
    status, _, answer = world.other_operator.call("POST", "/v3/admin/restrictions", body)
    assert status == 403 and answer["error"]["code"] == "installation_only", answer


@pytest.mark.parametrize("body", [{}, {"name": None}, {"grant_ids": None}, {"name": ""}, {"grant_ids": []}, {"surprise": 1}], ids=json.dumps)
def test_a_change_of_a_pool_keeps_what_is_absent_and_takes_nothing_for_nothing(world, body):
    pool = f"/v3/sender-pools/{world.things['pool']}"
    before = world.api.call("GET", pool)[2]["data"]
    status, _, answer = world.api.call("PATCH", pool, body)
    after = world.api.call("GET", pool)[2]["data"]
    if set(body) <= {"surprise"}:
        assert status == 200
    else:
        (field,) = body
        assert status in (200, 400), answer
        assert status == 200 or answer["error"]["field"] == field, answer
    same = ("id", "name")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
