"""Signing in to a mailbox in the browser: the hosted page, the token exchange through the SDK, `me`, and the brakes."""

import base64
import hashlib
import http.client
import json
import time
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import pytest

from fleet import no_secret
from sdk import client, failure, nylas, oauth_failure

PASSWORD = "Correct-Horse-Battery-9"
CALLBACK = "https://app.example.test/callback"


class Form(HTMLParser):
    """The first form of a page: where it goes, and its fields."""

    def __init__(self, page):
        super().__init__()
        self.action, self.method, self.fields, self.types, self.text = None, None, {}, {}, page
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form" and self.action is None:
            self.action, self.method = attributes.get("action", ""), attributes.get("method", "get").upper()
        elif tag == "input" and attributes.get("name"):
            self.fields[attributes["name"]] = attributes.get("value") or ""
            self.types[attributes["name"]] = attributes.get("type", "text")

    def name_of(self, *types):
        return next(name for name, type in self.types.items() if type in types)

    @property
    def email(self):
        return self.name_of("email", "text")

    @property
    def password(self):
        return self.name_of("password")


class Browser:
    """What a person's browser does: follows no redirect, so that the tests see it."""

    def __init__(self, fleet):
        self.server, self.cookies = fleet.server, {}

    def request(self, method, url, fields=None, headers=None):
        where = urlsplit(urljoin(self.server.api, url))
        connection = http.client.HTTPConnection("127.0.0.1", self.server.http_port, timeout=30)
        body = urlencode(fields).encode() if fields is not None else None
        sent = {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        path = where.path + (f"?{where.query}" if where.query else "")
        connection.request(method, path, body=body, headers=sent | (headers or {}))
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        for cookie in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = cookie.split(";")[0].partition("=")
            self.cookies[name] = value
        return answer.status, answer.headers, text

    def open(self, url):
        """The form of a page that must be there."""
        status, headers, text = self.request("GET", url)
        assert status == 200 and headers.get_content_type() == "text/html", (status, text[:500])
        form = Form(text)
        assert form.method == "POST" and form.email and form.password, text[:1_000]
        form.url, form.headers = url, headers
        return form

    def submit(self, form, email, password):
        fields = form.fields | {form.email: email, form.password: password}
        return self.request("POST", urljoin(urljoin(self.server.api, form.url), form.action), fields)

    def sign_in(self, url, email, password):
        """Signs in; the parameters with which the browser is sent back."""
        status, headers, text = self.submit(self.open(url), email, password)
        assert status in (302, 303), (status, text[:1_000])
        target = headers["Location"]
        assert target.startswith(CALLBACK + "?"), target
        return {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}


@pytest.fixture
def house(fleets):
    """An installation of its own: failed sign-ins of one test must not slow down another."""
    fleet = fleets()
    fleet.api.post("/v3/applications/redirect-uris", {"url": CALLBACK, "platform": "web"}, expect=200)
    fleet.email = fleet.address()
    fleet.grant = fleet.api.new_grant(fleet.email, settings={"app_password": PASSWORD})["id"]
    fleet.browser = Browser(fleet)
    fleet.sdk = client(fleet)
    fleet.wishes = {"client_id": fleet.application, "redirect_uri": CALLBACK}
    return fleet


def url_of(house, **more):
    return house.sdk.auth.url_for_oauth2({**house.wishes, "provider": "nylas", **more})


def exchange(house, code, **more):
    return house.sdk.auth.exchange_code_for_token({**house.wishes, "code": code, **more})


def signed_in(house, **more):
    code = house.browser.sign_in(url_of(house, **more), house.email, PASSWORD)["code"]
    return exchange(house, code)


def test_the_whole_flow(house):
    sdk = house.sdk
    everything = {
        "access_type": "offline", "prompt": "select_provider", "scope": ["email"], "include_grant_scopes": True,
        "state": "a state & more=ü", "login_hint": house.email, "credential_id": "none", "smtp_required": True,
    }
    # The SDK writes most of these into the URL as they are; only what it encodes survives.
    back = house.browser.sign_in(url_of(house, **everything), house.email, PASSWORD)
    assert back["state"] == "a state & more=ü" and "error" not in back
    tokens = exchange(house, back["code"], client_secret=house.account["api_key"])
    assert tokens.grant_id == house.grant and tokens.email == house.email and tokens.token_type == "Bearer"
    assert tokens.provider == "nylas" and tokens.expires_in > 0 and tokens.access_token and tokens.refresh_token
    assert isinstance(tokens.scope, str)
    identity = json.loads(base64.urlsafe_b64decode(tokens.id_token.split(".")[1] + "=="))
    assert identity["email"] == house.email and identity["aud"] == house.application and identity["exp"] > time.time()
    assert identity["sub"] == house.grant

    own = {"api_key": tokens.access_token}
    assert sdk.grants.find("me", overrides=own).data.id == house.grant
    assert sdk.grants.find(house.grant, overrides=own).data.email == house.email
    assert sdk.messages.list("me", overrides=own).data == []
    sent = sdk.messages.send("me", {"to": [{"email": "someone@people.test"}], "subject": "By token", "body": "x"}, overrides=own)
    assert sent.data.subject == "By token" and len(sdk.messages.list("me", overrides=own).data) == 1

    for info in (sdk.auth.validate_access_token(tokens.access_token).data, sdk.auth.id_token_info(tokens.id_token).data):
        assert info.iss and info.aud == house.application and info.iat <= time.time() + 5 < info.exp
        assert info.email == house.email and info.sub == house.grant

    fresh = sdk.auth.refresh_access_token({**house.wishes, "refresh_token": tokens.refresh_token, "client_secret": house.account["api_key"]})
    assert fresh.grant_id == house.grant and fresh.access_token != tokens.access_token
    own = {"api_key": fresh.access_token}
    assert sdk.grants.find("me", overrides=own).data.id == house.grant
    assert sdk.auth.revoke(fresh.access_token) is True
    assert failure(sdk.grants.find, "me", overrides=own).status_code == 401


def test_a_token_sees_one_mailbox(house):
    other = house.mailbox()
    tokens = signed_in(house)
    assert tokens.refresh_token is None, "an online sign-in gives no refresh token"
    own = {"api_key": tokens.access_token}
    sdk = house.sdk
    for call in ((sdk.grants.find, other), (sdk.grants.destroy, other), (sdk.messages.list, other)):
        assert failure(*call, overrides=own).status_code in (403, 404), call
    for call in ((sdk.grants.list,), (sdk.workspaces.list,), (sdk.policies.create, {"name": "x"}), (sdk.applications.update, {"branding": {"name": "x"}})):
        assert failure(*call, overrides=own).status_code in (401, 403), call
    house.key(tokens.access_token).refused("GET", "/v3/admin/organizations", status=403)
    # Nor is there a `me` for a key.
    house.api.refused("GET", "/v3/grants/me", status=404)


def test_tokens_end_with_the_mailbox_and_the_password(house):
    first, second = signed_in(house), signed_in(house, access_type="offline")
    own = {"api_key": first.access_token}
    house.api.patch(f"/v3/grants/{house.grant}", {"settings": {"email": house.email, "app_password": PASSWORD + "x"}})
    assert failure(house.sdk.grants.find, "me", overrides=own).status_code == 401, "a new password ends what the old one opened"
    refusal = oauth_failure(house.sdk.auth.refresh_access_token, {**house.wishes, "refresh_token": second.refresh_token})
    assert refusal.error == "invalid_grant"
    url = url_of(house)
    tokens = exchange(house, house.browser.sign_in(url, house.email, PASSWORD + "x")["code"])
    house.api.delete(f"/v3/grants/{house.grant}")
    assert failure(house.sdk.grants.find, "me", overrides={"api_key": tokens.access_token}).status_code == 401


@pytest.mark.parametrize("encoding", ["of the SDK", "of RFC 7636"])
def test_pkce(house, encoding):
    if encoding == "of the SDK":
        made = house.sdk.auth.url_for_oauth2_pkce({**house.wishes, "provider": "nylas"})
        url, secret = made.url, made.secret
    else:
        secret = "v" * 64
        challenge = base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest()).decode().rstrip("=")
        url = url_of(house, code_challenge=challenge, code_challenge_method="S256")
    code = house.browser.sign_in(url, house.email, PASSWORD)["code"]
    for wrong in ({"code_verifier": "w" * 64}, {}):
        assert oauth_failure(exchange, house, code, **wrong).error == "invalid_grant"
        code = house.browser.sign_in(url, house.email, PASSWORD)["code"]
    assert exchange(house, code, code_verifier=secret).grant_id == house.grant


def test_a_code_is_good_once_and_for_its_own_client(house):
    other, key = house.second_application()
    url = url_of(house)
    code = house.browser.sign_in(url, house.email, PASSWORD)["code"]
    tokens = exchange(house, code)
    refusal = oauth_failure(exchange, house, code)
    assert refusal.error == "invalid_grant" and refusal.status_code == 400
    # A code that comes twice was stolen by somebody: what it gave is no longer trusted.
    assert failure(house.sdk.grants.find, "me", overrides={"api_key": tokens.access_token}).status_code == 401
    for change in (
        {"redirect_uri": CALLBACK + "/other"},
        {"client_secret": "wrong"},
        {"client_id": other, "client_secret": key.key},
        {"code": "nonsense"},
    ):
        wishes = {**house.wishes, "code": house.browser.sign_in(url, house.email, PASSWORD)["code"], **change}
        refusal = oauth_failure(house.sdk.auth.exchange_code_for_token, wishes)
        assert refusal.status_code in (400, 401) and refusal.error in ("invalid_grant", "invalid_client", "unauthorized"), change
    refusal = oauth_failure(house.sdk.auth.refresh_access_token, {**house.wishes, "refresh_token": "nonsense"})
    assert refusal.error == "invalid_grant"
    status, _, answer = house.key("").call("POST", "/v3/connect/token", {**house.wishes, "grant_type": "password"})
    assert status == 400 and answer["error"] == "unsupported_grant_type"


def test_where_a_page_leads_is_decided_by_the_application(house):
    """A wrong client or a foreign redirect URI shows an error and sends the browser nowhere."""
    for change in (
        {"redirect_uri": "https://evil.test/"},
        {"redirect_uri": CALLBACK + ".evil.test"},
        {"redirect_uri": CALLBACK + "/deeper"},
        {"redirect_uri": "http://app.example.test/callback"},
        {"client_id": "00000000-0000-0000-0000-000000000000"},
        {"client_id": "nonsense"},
    ):
        url = house.sdk.auth.url_for_oauth2({**house.wishes, "provider": "nylas", **change})
        status, headers, text = house.browser.request("GET", url)
        assert status in (400, 401, 404) and "Location" not in headers, (change, status, text[:300])
    # What the browser sends with the form is judged as well.
    form = house.browser.open(url_of(house))
    for name in form.fields:
        if "redirect" in name:
            form.fields[name] = "https://evil.test/"
    status, headers, _ = house.browser.submit(form, house.email, PASSWORD)
    assert "evil.test" not in headers.get("Location", "")


def test_the_page_shows_what_it_is_told_as_text(house):
    house.api.patch("/v3/applications", {"branding": {"name": "<script>alert(1)</script>"}})
    form = house.browser.open(url_of(house, login_hint='"><script>alert(2)</script>', state="<b>"))
    assert "<script>alert(" not in form.text
    policy = form.headers.get("Content-Security-Policy", "")
    assert "frame-ancestors 'none'" in policy or form.headers.get("X-Frame-Options") == "DENY"
    assert "no-store" in form.headers.get("Cache-Control", "")
    no_secret(form.text, PASSWORD, house.account["api_key"])


def test_a_wrong_password_tells_nothing(house):
    """Wrong password, unknown mailbox, mailbox without a password: the same answer."""
    bare = house.address()
    house.api.new_grant(bare)
    answers = set()
    for email, password in ((house.email, PASSWORD + "x"), ("nobody@agents.test", PASSWORD), (bare, PASSWORD), ("a@elsewhere.test", PASSWORD)):
        status, headers, text = house.browser.submit(house.browser.open(url_of(house)), email, password)
        assert status in (200, 400, 401, 403) and "Location" not in headers, (email, status)
        answers.add((status, text.replace(email, "EMAIL").replace(headers.get("X-Request-Id") or "-", "ID")))
    form_fields = {tuple(sorted(Form(text).types)) for _, text in answers}
    assert len({status for status, _ in answers}) == 1 and len(form_fields) == 1


def login(house, email, password, **more):
    body = {"public_application_id": house.application, "email": email, "app_password": password, "redirect_uri": CALLBACK, "state": "s"}
    return house.key("").call("POST", "/v3/connect/login/nylas", {**body, **more}, headers={"Authorization": None})


def test_the_endpoint_of_the_hosted_page(house):
    status, _, answer = login(house, house.email, PASSWORD)
    assert status == 200, answer
    assert (answer["Success"], answer["GrantID"], answer["State"], answer["Provider"]) == (True, house.grant, "s", "nylas")
    assert answer["Email"] == house.email and answer["IsOauthV2"] in (True, False) and "BaseURL" in answer
    assert exchange(house, answer["UASCode"]).grant_id == house.grant
    refusals = [login(house, house.email, "wrong"), login(house, "nobody@agents.test", PASSWORD)]
    assert {status for status, _, _ in refusals} <= {400, 401, 403}
    shown = {json.dumps({name: value for name, value in answer.items() if name != "request_id"}) for _, _, answer in refusals}
    assert len(shown) == 1, "a failed sign-in tells whether the mailbox exists"
    assert login(house, house.email, PASSWORD, redirect_uri="https://evil.test/")[0] in (400, 401, 403)


def test_guessing_is_slowed_down(house):
    """Five wrong passwords for one mailbox, and it is closed for a while, even to the right one."""
    other = house.address()
    house.api.new_grant(other, settings={"app_password": PASSWORD})
    statuses = [login(house, house.email, f"wrong {number}")[0] for number in range(6)]
    assert 429 not in statuses[:5] and statuses[5] == 429, statuses
    status, headers, _ = login(house, house.email, PASSWORD)
    assert status == 429 and 1 <= int(headers["Retry-After"]) <= 900
    status, headers, _ = house.browser.submit(house.browser.open(url_of(house)), house.email, PASSWORD)
    assert status == 429 and "Location" not in headers, "the page must not be a way around it"
    # Somebody else is not held up by that.
    assert login(house, other, PASSWORD)[0] == 200
    # Nor does guessing at many mailboxes help: one address gets twenty.
    statuses = [login(house, f"guess-{number}@agents.test", "wrong")[0] for number in range(20)]
    assert 429 in statuses, statuses


def test_the_error_of_every_refusal_can_be_read(house):
    """The SDK reads errors of these endpoints in another form than all others."""
    sdk = house.sdk
    assert nylas()
    for call in (
        lambda: sdk.auth.revoke("nonsense"),
        lambda: exchange(house, "nonsense"),
        lambda: sdk.auth.refresh_access_token({**house.wishes, "refresh_token": "x"}),
    ):
        try:
            assert call() is True, "only a revocation of nothing may be taken"
        except nylas().models.errors.NylasOAuthError as error:
            assert error.error and isinstance(error.error_code, int)
    # Those of tokeninfo, too: its path begins with that of the token endpoint, and so the SDKs take it for that.
    for call in (sdk.auth.validate_access_token, sdk.auth.id_token_info):
        assert oauth_failure(call, "nonsense").status_code in (400, 401)
