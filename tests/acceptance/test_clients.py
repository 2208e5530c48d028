"""Mail from foreign programs, read and answered with the official Python SDK, and taken by a foreign server."""

import collections
import email
import email.policy
import io
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import corpus
from corpus import File, Sample
from harness import Api, Missing, Postfix, Postfleet, program, wait_until

BOX = "ada@agents.test"
BY_SMTPLIB, BY_SWAKS, BY_SMTP_SOURCE, BY_SMTP_SOURCE_FILE = 600, 100, 200, 25
# One message file each is sent 25 times.
FILE_KINDS = ["nested", "words as names", "koi8-r", "raw utf-8 header"]
TOTAL = BY_SMTPLIB + BY_SWAKS + BY_SMTP_SOURCE + BY_SMTP_SOURCE_FILE * len(FILE_KINDS)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def engine(request):
    return request.param


@pytest.fixture(scope="module")
def postfix(folder):
    postfix = Postfix(folder / "postfix", ["grace", "linus"]).start()
    yield postfix
    postfix.stop()


@pytest.fixture(scope="module")
def server(folder, postfix, storage):
    server = Postfleet(folder / "postfleet", relay=postfix.address, storage=storage)
    server.account = server.init()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def client(server):
    try:
        import nylas
    except ImportError:
        raise Missing("the Python SDK is not installed (pip package nylas)") from None
    return nylas.Client(api_key=server.account["api_key"], api_uri=server.api)


@pytest.fixture(scope="module")
def grant(client):
    """The mailbox, made through the SDK."""
    request = {"provider": "nylas", "settings": {"email": BOX}}
    made = client.auth.custom_authentication(request).data
    assert made.email == BOX and made.grant_status == "valid"
    return made.id


@pytest.fixture(scope="module")
def hook(client, server, receiver, grant):
    """Two webhooks: one made through the SDK, one for events that its list of triggers does not know."""
    path = "/created"
    made = client.webhooks.create({"trigger_types": ["message.created"], "webhook_url": receiver.url + path}).data
    receiver.secrets = {path: made.webhook_secret}
    triggers = ["message.delivered", "message.bounced"]
    status, _, answer = Api(server, server.account["api_key"]).call(
        "POST", "/v3/webhooks", {"trigger_types": triggers, "webhook_url": receiver.url + "/settled"}
    )
    assert status in (200, 201), answer
    receiver.secrets["/settled"] = answer["data"]["webhook_secret"]
    return receiver


@pytest.fixture(scope="module")
def delivered(server, grant, hook, folder):
    """Delivers everything; answers the samples by tag, and how often each was sent."""
    began = time.monotonic()
    sent = collections.Counter()
    samples = {}
    for sample, times in [*by_smtplib(server), *by_swaks(server, folder), *by_smtp_source(server, folder)]:
        samples[sample.tag] = sample
        sent[sample.tag] += times
    print(f"delivered {sent.total()} messages in {time.monotonic() - began:.1f} s")
    return samples, sent


def by_smtplib(server):
    samples = corpus.samples(BY_SMTPLIB, "k")
    connection = server.smtp()
    for sample in samples:
        refused = connection.sendmail("someone@people.test", [BOX], sample.raw, mail_options=["BODY=8BITMIME"])
        assert not refused
        yield sample, 1
    connection.quit()


def by_swaks(server, folder):
    swaks = program("swaks", "swaks")

    def send(index):
        tag = f"w{index:04}"
        file = File(f"file-{index}.bin", "application/zip", corpus.octets(index, 1_000 + index))
        path = folder / f"{tag}.bin"
        path.write_bytes(file.octets)
        command = [swaks, "--server", f"127.0.0.1:{server.smtp_port}", "--helo", "client.test", "--silent", "3"]
        command += ["--from", "someone@people.test", "--to", BOX, "--body", f"Sent by swaks, {tag}"]
        command += ["--header", f"Subject: [{tag}] {corpus.word('Grüße', 'utf-8')}"]
        files = []
        if index % 2:
            command += ["--attach-type", file.kind, "--attach-name", file.name, "--attach", f"@{path}"]
            files = [file]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return Sample(tag, b"", f"[{tag}] Grüße", f"Sent by swaks, {tag}", files), 1

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(send, range(BY_SWAKS)))


def by_smtp_source(server, folder):
    source = program("smtp-source", "postfix")

    def send(count, *more):
        command = [source, "-m", str(count), "-s", "5", "-f", "someone@people.test", "-t", BOX, "-M", "client.test"]
        done = subprocess.run(
            [*command, *more, f"127.0.0.1:{server.smtp_port}"], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0 and not done.stderr, done.stderr

    send(BY_SMTP_SOURCE, "-l", "4000", "-S", "[source] Generated")
    yield Sample("source", b"", "[source] Generated", None), BY_SMTP_SOURCE
    for number, kind in enumerate(FILE_KINDS):
        sample = corpus.KINDS[kind](f"f{number:04}", 10_000 + number)
        path = folder / f"{sample.tag}.eml"
        path.write_bytes(sample.raw.replace(b"\r\n", b"\n"))
        send(BY_SMTP_SOURCE_FILE, "-F", str(path))
        yield sample, BY_SMTP_SOURCE_FILE


def list_all(client, grant, **query):
    """All messages, page by page, as the SDK shows them."""
    found, token, pages = [], None, 0
    while True:
        page = client.messages.list(grant, query_params={"limit": 100, **({"page_token": token} if token else {}), **query})
        found += page.data
        pages += 1
        token = page.next_cursor
        if not token:
            return found, pages


@pytest.fixture(scope="module")
def listed(client, grant, delivered):
    return list_all(client, grant, **{"in": "inbox"})


def tag_of(text):
    return re.match(r"\[(\w+)\]", text).group(1)


def lines(text):
    """Line ends and the empty line at the end are the transport's; everything else is compared."""
    return text.replace("\r\n", "\n").rstrip("\n")


def test_every_message_is_listed_once_as_it_was_sent(delivered, listed):
    samples, sent = delivered
    messages, pages = listed
    assert sent.total() == TOTAL == 1_000
    assert len(messages) == TOTAL and pages >= TOTAL // 100
    assert len({message.id for message in messages}) == TOTAL, "an id occurs twice"
    assert collections.Counter(tag_of(message.subject) for message in messages) == sent
    wrong = []
    for message in messages:
        sample = samples[tag_of(message.subject)]
        if message.subject != sample.subject:
            wrong.append((sample.tag, "subject", message.subject, sample.subject))
        if sample.body is not None and lines(message.body) != lines(sample.body):
            wrong.append((sample.tag, "body", message.body, sample.body))
        if sample.body is None and set(message.body) - set("X0123456789\r\n"):
            wrong.append((sample.tag, "body", message.body, "digits and X"))
        if sample.author is not None and message.from_[0].get("name", "").strip() != sample.author:
            wrong.append((sample.tag, "author", message.from_, sample.author))
        files = [(file.filename, file.content_type, file.size, file.is_inline) for file in message.attachments]
        expected = [(file.name, file.kind, len(file.octets), file.inline) for file in sample.files]
        if sorted(files) != sorted(expected):
            wrong.append((sample.tag, "attachments", files, expected))
        if message.folders != ["inbox"] or message.unread is not True or not message.thread_id:
            wrong.append((sample.tag, "state", (message.folders, message.unread, message.thread_id), "unread in inbox"))
    assert not wrong, "\n".join([f"{len(wrong)} differences, such as", *map(str, wrong[:10])])


def test_every_attachment_downloads_as_it_was_attached(client, grant, delivered, listed):
    samples, _ = delivered
    count = 0
    for message in listed[0]:
        expected = {file.name: file for file in samples[tag_of(message.subject)].files}
        for attachment in message.attachments:
            # For a file without octets the SDK answers None.
            octets = client.attachments.download_bytes(grant, attachment.id, {"message_id": message.id}) or b""
            assert octets == expected[attachment.filename].octets, (message.subject, attachment.filename)
            assert expected[attachment.filename].content_id in (None, attachment.content_id)
            count += 1
    one = next(message for message in listed[0] if message.attachments)
    found = client.attachments.find(grant, one.attachments[0].id, {"message_id": one.id}).data
    assert found.size == one.attachments[0].size
    print(f"downloaded {count} attachments")
    assert count == sum(len(samples[tag_of(message.subject)].files) for message in listed[0])


def test_the_source_is_kept_octet_by_octet(client, grant, delivered, listed):
    import base64

    for message in [message for message in listed[0] if message.subject.startswith("[k")][:60]:
        raw = client.messages.find(grant, message.id, {"fields": "raw_mime"}).data.raw_mime
        sent = delivered[0][tag_of(message.subject)].raw.removesuffix(b"\r\n") + b"\r\n"
        assert base64.urlsafe_b64decode(raw).endswith(sent), message.subject
        headers = client.messages.find(grant, message.id, {"fields": "include_headers"}).data.headers
        assert f"<{tag_of(message.subject)}@people.test>" in [one.value for one in headers if one.name == "Message-ID"]


def test_folders_count_what_is_in_them(client, grant, delivered):
    inbox = client.folders.find(grant, "inbox").data
    assert (inbox.total_count, inbox.unread_count) == (TOTAL, TOTAL)
    names = {folder.id for folder in client.folders.list(grant).data}
    assert names == {"inbox", "sent", "drafts", "trash", "junk", "archive"}


def test_threads_hold_every_message_once(client, grant, delivered, listed):
    threads, token = [], None
    while True:
        page = client.threads.list(grant, query_params={"limit": 50, **({"page_token": token} if token else {})})
        threads += page.data
        token = page.next_cursor
        if not token:
            break
    assert len({thread.id for thread in threads}) == len(threads)
    of_message = {id: thread.id for thread in threads for id in thread.message_ids}
    for message in listed[0]:
        assert of_message[message.id] == message.thread_id, message.subject


def test_a_conversation_is_one_thread(server, client, hook):
    grant = client.auth.custom_authentication({"provider": "nylas", "settings": {"email": "talk@agents.test"}}).data.id
    talk = [("first", "Plan", ""), ("second", "Re: Plan", "first"), ("third", "Plan again", "first> <second"), ("other", "Other", "")]
    with server.smtp() as connection:
        for id, subject, references in talk:
            raw = f"From: g@people.test\r\nTo: talk@agents.test\r\nSubject: {subject}\r\nMessage-ID: <{id}>\r\n"
            raw += f"References: <{references}>\r\n" if references else ""
            connection.sendmail("g@people.test", ["talk@agents.test"], (raw + "\r\ntext\r\n").encode())
    messages, _ = list_all(client, grant)
    of_subject = {message.subject: message.thread_id for message in messages}
    assert of_subject["Plan"] == of_subject["Re: Plan"] == of_subject["Plan again"] != of_subject["Other"]
    thread = client.threads.find(grant, of_subject["Plan"]).data
    assert len(thread.message_ids) == 3 and thread.latest_draft_or_message.subject == "Plan again"


def test_every_message_is_announced_once_and_signed(grant, hook, delivered, listed):
    def announced():
        return [one for one in hook.of_type("message.created") if one["data"]["object"]["grant_id"] == grant]

    wait_until("all notifications", lambda: len(announced()) >= TOTAL, seconds=120, every=0.5)
    time.sleep(1)  # one too many would come now
    events = [one for one in announced() if one["data"]["object"]["direction"] == "inbound"]
    twice = [one for one in events if [other["id"] for other in events].count(one["id"]) > 1] if len(events) > TOTAL else []
    assert len(events) == len({one["id"] for one in events}) == TOTAL, f"announced twice: {twice}"
    assert {one["data"]["object"]["id"] for one in events} == {message.id for message in listed[0]}
    assert [one["data"]["grant_sequence"] for one in events] == sorted(one["data"]["grant_sequence"] for one in events)
    for notification in list(hook.received):
        assert notification.is_signed_with(hook.secrets[notification.path])
        assert not notification.is_signed_with("another secret")


def wait_for_mail(postfix, person, subject):
    def found():
        parsed = [(raw, email.message_from_bytes(raw, policy=email.policy.default)) for raw in postfix.mail_of(person)]
        return next(((raw, message) for raw, message in parsed if message["Subject"] == subject), None)

    try:
        return wait_until(f"mail {subject!r} for {person}", found)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{postfix.log()[-3000:]}") from None


def verify_dkim(raw, account):
    """Checks every signature with a foreign verifier, by the records that `init` printed; answers the algorithms."""
    try:
        import dkim
    except ImportError:
        raise Missing("no foreign verifier (pip packages dkimpy and pynacl)") from None
    records = {record["name"]: record["value"] for domain in account["domains"] for record in domain["dkim"]}

    def dns(name, timeout=5):
        return records.get(name.decode().rstrip("."), "").encode() or None

    count = len(email.message_from_bytes(raw).get_all("DKIM-Signature", []))
    algorithms = []
    for index in range(count):
        verifier = dkim.DKIM(raw)
        assert verifier.verify(idx=index, dnsfunc=dns), f"signature {index} does not verify"
        assert verifier.domain == b"agents.test"
        signed = {name.lower() for name, _ in verifier.signed_headers}
        assert {b"from", b"to", b"subject", b"date", b"message-id"} <= signed
        algorithms.append(verifier.signature_fields[b"a"].decode())
    # The verifier does tell good from bad.
    assert count and not dkim.verify(raw.replace(b"\n\n", b"\n\nForged ", 1), dnsfunc=dns)
    return algorithms


def test_a_reply_reaches_a_foreign_server_signed(server, client, grant, hook, postfix, delivered, listed):
    answered = next(message for message in listed[0] if message.subject.startswith("[k0000]"))
    content = corpus.octets(7, 30_000)
    sent = client.messages.send(grant, {
        "to": [{"name": "Grace Höpper", "email": "grace@people.test"}],
        "cc": [{"email": "linus@people.test"}],
        "subject": f"Re: {answered.subject} – naïve 日本",
        "body": "<p>Grüße &amp; <b>Dank</b>\n.\n.dot</p>",
        "reply_to_message_id": answered.id,
        "custom_headers": [{"name": "X-Ticket", "value": "42 – größer"}],
        "attachments": [{
            "filename": "Überblick – 見積書.pdf", "content_type": "application/pdf", "size": len(content),
            "content": io.BytesIO(content),
        }],
    }).data
    assert sent.folders == ["sent"] and sent.thread_id == answered.thread_id and sent.unread is False
    for person in ("grace", "linus"):
        raw, message = wait_for_mail(postfix, person, f"Re: {answered.subject} – naïve 日本")
        assert sorted(verify_dkim(raw, server.account)) == ["ed25519-sha256", "rsa-sha256"]
        assert message["In-Reply-To"] == "<k0000@people.test>" and "<k0000@people.test>" in message["References"]
        assert message["To"].addresses[0].display_name == "Grace Höpper" and message["X-Ticket"] == "42 – größer"
        assert message["From"].addresses[0].addr_spec == BOX
        # Failures come back to an address of the message's own, at the sender's domain.
        assert re.fullmatch(r"<b-[a-z2-7]{48}@agents\.test>", message["Return-Path"])
        assert message["X-Feedback-Token"] == message["Return-Path"].strip("<>")
        assert lines(message.get_body(("html",)).get_content()) == "<p>Grüße &amp; <b>Dank</b>\n.\n.dot</p>"
        assert "Grüße & Dank" in message.get_body(("plain",)).get_content()
        (file,) = message.iter_attachments()
        assert file.get_filename() == "Überblick – 見積書.pdf" and file.get_content() == content
    for person in ("grace@people.test", "linus@people.test"):
        told = hook.wait_for(
            "message.delivered", lambda one: one["id"] == sent.id and one["delivered"]["recipients"] == [person]
        )
        assert told["data"]["grant_id"] == grant
    thread = client.threads.find(grant, sent.thread_id).data
    assert set(thread.message_ids) == {answered.id, sent.id}


def test_a_refused_recipient_is_reported_and_bounces_into_the_inbox(server, client, hook, postfix):
    box = client.auth.custom_authentication({"provider": "nylas", "settings": {"email": "bounced@agents.test"}}).data.id
    sent = client.messages.send(box, {
        "to": [{"email": "nobody@people.test"}, {"email": "grace@people.test"}], "subject": "To nobody", "body": "hello",
    }).data
    told = hook.wait_for("message.bounced", lambda one: one["id"] == sent.id)
    (failed,) = told["data"]["object"]["bounce"]["recipients"]
    assert failed["email"] == "nobody@people.test" and "550" in failed["diagnostic_code"]
    assert hook.wait_for("message.delivered", lambda one: one["id"] == sent.id)
    wait_for_mail(postfix, "grace", "To nobody")
    notice = wait_until("the notice", lambda: client.messages.list(box, {"in": "inbox"}).data)[0]
    assert notice.from_[0]["email"].startswith("mailer-daemon@") and "nobody@people.test" in notice.body
    import base64

    raw = base64.urlsafe_b64decode(client.messages.find(box, notice.id, {"fields": "raw_mime"}).data.raw_mime)
    message = email.message_from_bytes(raw)
    assert message.get_content_type() == "multipart/report" and message.get_param("report-type") == "delivery-status"
    status = message.get_payload()[1].get_payload()[-1]
    assert status["Action"] == "failed" and status["Status"] == "5.1.1"
    assert status["Final-Recipient"].replace(" ", "") == "rfc822;nobody@people.test"
    assert len([one for one in hook.of_type("message.bounced") if one["data"]["object"]["id"] == sent.id]) == 1


def test_mail_between_two_mailboxes_here(client, server, hook):
    make = lambda name: client.auth.custom_authentication({"provider": "nylas", "settings": {"email": name}}).data.id  # noqa: E731
    one, other = make("one@agents.test"), make("other@agents.test")
    client.messages.send(one, {"to": [{"email": "other@agents.test"}], "subject": "Inside", "body": "x"})
    (got,) = wait_until("the mail", lambda: client.messages.list(other).data)
    assert got.subject == "Inside" and got.from_[0]["email"] == "one@agents.test"


def test_the_server_ends_well_and_keeps_everything(server, client, grant, delivered):
    before = client.folders.find(grant, "inbox").data.total_count
    server.stop()
    server.start()
    messages, _ = list_all(client, grant, **{"in": "inbox"})
    assert len(messages) == before == TOTAL
