"""The OpenAPI document against the built server, by schemathesis: whatever fits or nearly fits the document is answered
as the document says, and never with a fault of the server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness import Api, Missing, Postfleet

# The checks that must hold for every answer. Whether a request is refused at all is not among them: the server takes
# more than it promises (a number of any size as a limit is refused, an unknown field is not).
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]

# Requests for one operation, and seconds for all of them with one key.
EXAMPLES_MAX = 20
SECONDS_MAX = 400


@pytest.fixture(scope="module")
def server(folder, sink):
    server = Postfleet(folder / "postfleet", relay=sink.address)
    server.account = server.init()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def things(server, receiver):
    """What stands in the open places of paths, by name, so that not every request is for what does not exist."""
    api = Api(server, server.account["api_key"])
    grant = api.mailbox("ada@agents.test")
    with server.smtp() as connection:
        connection.sendmail("x@people.test", ["ada@agents.test"], b"Subject: x\r\nContent-Type: image/png\r\n\r\nx\r\n")
    (message,) = api.messages(grant)
    hook = {"trigger_types": ["message.created"], "webhook_url": receiver.url + "/openapi"}
    webhook = api.call("POST", "/v3/webhooks", hook)[2]["data"]["id"]
    return {
        "grant": [grant, "ada@agents.test"],
        "message": [message["id"]],
        "thread": [message["thread_id"]],
        "attachment": [message["attachments"][0]["id"]],
        "folder": ["inbox", "sent"],
        "webhook": [webhook],
    }


def belongs(operation, key):
    """Whether an operation is asked with a key: operators have their own, and all others the application's."""
    names = {name for requirement in operation.get("security", []) for name in requirement}
    return ("operatorKey" in names) == (key == "operator_key")


def prepared(document, key, things, removals=False):
    """The document with the operations of one key, and with known things where paths are open. Removals are apart:
    what they take away is missing for everything that is asked later."""
    document = json.loads(json.dumps(document))
    for path, item in list(document["paths"].items()):
        # Whoever waits is answered late: what these answer is held against the document in the tests of the interface.
        if path.endswith(("/messages/wait", "/messages/stream", "/events/stream")):
            del document["paths"][path]
            continue
        for method, operation in list(item.items()):
            if not belongs(operation, key) or (method == "delete") != removals:
                del item[method]
                continue
            # Schemas describe answers without `select`: fields that are not selected are missing on purpose.
            parameters = [one for one in operation.get("parameters", []) if one["name"] != "select"]
            for parameter in parameters:
                known = things.get(parameter["name"]) if parameter["in"] == "path" else None
                if known:
                    parameter["schema"] = {"type": "string", "enum": [*known, "01900000-0000-7000-8000-000000000000"]}
            operation["parameters"] = parameters
        if not item:
            del document["paths"][path]
    return document


def run(server, document, key, folder):
    program = Path(sys.executable).with_name("schemathesis")
    if not program.exists():
        raise Missing("schemathesis is not installed (tests/acceptance/requirements.txt)")
    file = folder / f"openapi-{key}.json"
    file.write_text(json.dumps(document))
    # One worker: with several, Python 3.11 now and then fails inside of hypothesis.
    # Without this setting it tries methods that were left out, and so removes what everything else is asked about.
    (folder / "schemathesis.toml").write_text("[phases.coverage]\nunexpected-methods = []\n")
    command = [program, "run", file, "--url", server.api, "--no-color"]
    command += ["--header", f"Authorization: Bearer {server.account[key]}"]
    command += ["--generation-with-security-parameters", "false", "--generation-database", "none"]
    command += ["--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing"]
    command += ["--max-examples", str(EXAMPLES_MAX), "--seed", "20261121", "--suppress-health-check", "all"]
    command += ["--request-timeout", "20", "--continue-on-failure", "--warnings", "off", "--no-shrink"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS_MAX)
    print(done.stdout[-20_000:], done.stderr[-2000:])
    return done


@pytest.fixture(scope="module")
def document(server):
    status, _, document = Api(server, server.account["api_key"]).call("GET", "/openapi.json")
    assert status == 200 and document["openapi"].startswith("3.1")
    return document


def test_a_document_that_lies_is_found(server, document, things, folder):
    lying = prepared(document, "api_key", things)
    lying["paths"] = {path: lying["paths"][path] for path in ("/v3/grants", "/v3/grants/{grant}")}
    lying["components"]["schemas"]["Grant"]["properties"]["name"]["type"] = "integer"
    del lying["paths"]["/v3/grants"]["get"]["responses"]["400"]
    done = run(server, lying, "api_key", folder)
    assert done.returncode == 1
    assert "violates schema" in done.stdout and "Undocumented status code" in done.stdout


@pytest.mark.parametrize("removals", [False, True])
@pytest.mark.parametrize("key", ["api_key", "operator_key"])
def test_every_answer_is_one_that_the_document_promises(server, document, things, folder, key, removals):
    of_key = prepared(document, key, things, removals)
    if not of_key["paths"]:
        pytest.skip(f"no operation takes the {key}")
    assert run(server, of_key, key, folder).returncode == 0, "some answer is not as promised: see above"
    assert server.is_running() and "panicked" not in server.log.read_text()
