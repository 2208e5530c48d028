"""An installation as a customer and its operator see it: plain HTTP, without any library of the vendor."""

import itertools
import smtplib

from harness import Api, Postfleet, wait_until

# What every object of a kind must show, whether or not it has a value.
GRANT = {"id", "provider", "email", "name", "grant_status", "scope", "settings", "blocked", "workspace_id"} | {"created_at", "updated_at"}
WORKSPACE = {"workspace_id", "application_id", "name", "domain", "auto_group", "default", "policy_id", "rule_ids"} | {"created_at", "updated_at"}
POLICY = {"id", "name", "application_id", "organization_id", "limits", "spam_detection", "rules", "created_at", "updated_at"}
LIMITS = {
    "limit_attachment_size_limit",
    "limit_attachment_count_limit",
    "limit_attachment_allowed_types",
    "limit_size_total_mime",
    "limit_storage_total",
    "limit_count_daily_message_received",
    "limit_count_daily_email_sent",
    "limit_inbox_retention_period",
    "limit_spam_retention_period",
}
MIB, GIB = 1 << 20, 1 << 30


class Key(Api):
    """A key, and what can be asked with it. What does not answer as expected fails with request and answer."""

    def ask(self, method, path, body=None, expect=(200, 201), headers=None):
        """The answer of a request that must succeed: all of it, with the envelope."""
        status, answered, answer = self.call(method, path, body, headers)
        expect = (expect,) if isinstance(expect, int) else expect
        assert status in expect, f"{method} {path} {str(body)[:300]}: expected {expect}, got {status}: {answer}"
        assert answer["request_id"] and answered.get("X-Request-Id") == answer["request_id"], f"{method} {path}: {answer}"
        return answer

    def data(self, method, path, body=None, expect=(200, 201)):
        return self.ask(method, path, body, expect)["data"]

    def get(self, path):
        return self.data("GET", path, expect=200)

    def post(self, path, body=None, expect=(200, 201)):
        return self.data("POST", path, body, expect)

    def patch(self, path, body):
        return self.data("PATCH", path, body, expect=200)

    def put(self, path, body):
        return self.data("PUT", path, body, expect=200)

    def delete(self, path):
        return self.ask("DELETE", path, expect=200)

    def refused(self, method, path, body=None, status=400, type=None, code=None, field=None, text=()):
        """The error of a request that must be refused."""
        got, headers, answer = self.call(method, path, body)
        said = f"{method} {path} {str(body)[:300]}: expected {status} {type or ''} {code or ''}, got {got}: {answer}"
        assert got == status, said
        assert headers.get("X-Request-Id") == answer["request_id"], said
        error = answer["error"]
        assert error["type"] and error["message"] and error["code"] and isinstance(error["retryable"], bool), said
        assert type is None or error["type"] == type, said
        assert code is None or error["code"] == code, said
        assert field is None or error.get("field") == field or field in error["message"], f"no word of {field}: {said}"
        for word in [text] if isinstance(text, str) else text:
            assert word in error["message"], f"no {word!r}: {said}"
        if status in (429, 503):
            assert int(headers["Retry-After"]) >= 1, f"no Retry-After: {said}"
        return error

    # What tests do again and again -----------------------------------------------------------------------------------

    def new_grant(self, email, **more):
        """Makes a mailbox; all of it."""
        settings = {"email": email, **more.pop("settings", {})}
        return self.data("POST", "/v3/connect/custom", {"provider": "nylas", "settings": settings, **more}, expect=201)

    def new_policy(self, name="A policy", **limits):
        return self.post("/v3/policies", {"name": name, "limits": limits}, expect=200)

    def new_workspace(self, name="A workspace", **more):
        return self.post("/v3/workspaces", {"name": name, **more}, expect=200)

    def move(self, grant, workspace):
        return self.patch(f"/v3/grants/{grant}", {"workspace_id": workspace})

    def workspace_of(self, grant):
        return self.get(f"/v3/grants/{grant}")["workspace_id"]

    def try_send(self, grant, **more):
        """Sends a small message; status, headers and answer."""
        message = {"to": [{"email": "someone@people.test"}], "subject": "Hello", "body": "x", **more}
        return self.call("POST", f"/v3/grants/{grant}/messages/send", message)

    def send(self, grant, **more):
        status, headers, answer = self.try_send(grant, **more)
        assert status in (200, 202), f"send of {grant}: {status} {answer}"
        return headers

    def send_refused(self, grant, **expected):
        message = {"to": [{"email": "someone@people.test"}], "subject": "Hello", "body": "x"}
        return self.refused("POST", f"/v3/grants/{grant}/messages/send", message, **expected)

    def over_quota(self, grant, limit):
        """Insists that the next send is refused because so many a day are allowed, and sent."""
        error = self.send_refused(grant, status=429, type="too_many_requests", code="daily_quota_exceeded")
        assert (error["limit"], error["used"]) == (limit, limit), error
        assert error["retryable"] and error["resets_at"] % 86_400 == 0, error
        return error

    def may_send(self, grant, times):
        """Insists that exactly so many more messages leave today."""
        for _ in range(times):
            headers = self.send(grant)
        assert times == 0 or headers["RateLimit-Remaining"] == "0"
        limit = self.send_refused(grant, status=429)["limit"]
        return self.over_quota(grant, limit)

    def all(self, path, limit=200):
        """All of a list that is continued by cursors; no cursor may come twice."""
        found, cursor, seen = [], None, set()
        while True:
            mark = "&" if "?" in path else "?"
            page = self.ask("GET", f"{path}{mark}limit={limit}" + (f"&page_token={cursor}" if cursor else ""))
            assert len(page["data"]) <= limit
            found += page["data"]
            cursor = page.get("next_cursor")
            if not cursor:
                return found
            assert cursor not in seen, f"{path}: the cursor {cursor} again"
            seen.add(cursor)

    def all_grants(self, query=""):
        found = []
        while True:
            page = self.ask("GET", f"/v3/grants?limit=200&offset={len(found)}{query}")
            assert (page["limit"], page["offset"]) == (200, len(found)), page
            found += page["data"]
            if len(page["data"]) < 200:
                return found


# A plan that ends where `full_platform` goes on.
TWENTY = """
[plans.twenty]
based_on = "full_platform"
overage = false
"""


class Fleet:
    """An installation with one organization."""

    def __init__(self, folder, sink, domains=("agents.test",), plan="self_hosted", trust=True, settings=None, storage=None, plans=None):
        self.server = Postfleet(folder, relay=sink.address, storage=storage, settings=settings, plans=plans)
        self.account = self.server.init(domains=domains, plan=plan, trust=trust)
        self.organization = self.account["organization_id"]
        self.application = self.account["application_id"]
        self.default_workspace = self.account["default_workspace_id"]
        self.numbers = itertools.count()

    def start(self):
        self.server.start()
        return self

    def stop(self):
        self.server.stop()

    def key(self, key):
        return Key(self.server, key)

    @property
    def api(self):
        """The application that `init` made."""
        return self.key(self.account["api_key"])

    @property
    def operator(self):
        return self.key(self.account["operator_key"])

    def address(self, domain="agents.test"):
        """One that nobody has."""
        return f"agent-{next(self.numbers)}@{domain}"

    def mailbox(self, **more):
        """The id of a new mailbox."""
        return self.api.new_grant(self.address(more.pop("domain", "agents.test")), **more)["id"]

    def second_application(self, name="Second", environment="production"):
        """Another application of the organization: its id and a key of its own."""
        made = self.operator.post("/v3/admin/applications", {"name": name, "environment": environment})
        key = self.operator.post(f"/v3/admin/applications/{made['id']}/api-keys", {"name": "main"})
        return made["id"], self.key(key["api_key"])

    def second_organization(self, name="Second"):
        """Another organization of the same installation, with keys that know nothing of this one."""
        organization = self.operator.post("/v3/admin/organizations", {"name": name})["id"]
        owned = {"organization_id": organization}
        wish = {"name": name, "environment": "production"}
        application = self.operator.post("/v3/admin/applications", owned | wish)["id"]
        key = self.operator.post("/v3/admin/keys", owned | {"name": "operator"})
        main = self.operator.post(f"/v3/admin/applications/{application}/api-keys", {"name": "main"})
        return owned | {"application_id": application, "operator_key": key["api_key"], "api_key": main["api_key"]}

    def receive(self, recipient, text="x", subject="Hello", sender="someone@people.test"):
        """Mail from outside; the reply to DATA, or to RCPT if that was refused."""
        raw = f"From: {sender}\r\nTo: {recipient}\r\nSubject: {subject}\r\n\r\n{text}\r\n"
        return self.receive_raw(recipient, raw.encode(), sender)

    def receive_raw(self, recipient, raw, sender="someone@people.test"):
        with self.server.smtp() as connection:
            try:
                connection.sendmail(sender, [recipient], raw)
            except smtplib.SMTPRecipientsRefused as refusal:
                (reply,) = refusal.recipients.values()
                return reply[0], reply[1].decode()
            except smtplib.SMTPResponseException as refusal:
                return refusal.smtp_code, refusal.smtp_error.decode()
        return 250, ""

    def ends_well(self):
        """Whether the server is still there after what it was told."""
        wait_until("the server to be ready", self.server.is_ready)


def no_secret(value, *secrets):
    """Insists that none of the secrets stands anywhere in an answer."""
    text = str(value)
    for secret in secrets:
        assert secret and secret not in text, f"a secret stands in {text[:500]}"
