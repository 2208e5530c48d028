"""Attachments with the official SDKs for Python and Node: described, downloaded in every way, in parts, and with little memory."""

import base64
import email.message
import http.client
import json
import subprocess
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sdk import failure

HERE = Path(__file__).resolve().parent
PDF = b"%PDF-1.4\n" + bytes(range(256)) * 40
TEXT = "Zeile – 1\r\nZeile – 2\r\n".encode()
# Of several pieces, and nothing that could be packed.
BIG_OCTETS = 12 << 20


def letter(recipient, *files):
    message = email.message.EmailMessage()
    message["From"], message["To"], message["Subject"] = "ada@people.test", recipient, "Files"
    message.set_content("See there")
    for name, kind, octets in files:
        main, sub = kind.split("/")
        message.add_attachment(octets, maintype=main, subtype=sub, filename=name)
    return message.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def filed(fleet, sdk, *files):
    """A mailbox with one message that has these files: its id, that of the message, and the attachments."""
    address = fleet.address()
    grant = fleet.api.new_grant(address)["id"]
    assert fleet.receive_raw(address, letter(address, *files))[0] == 250
    (message,) = sdk.messages.list(grant).data
    return grant, message.id, message.attachments


def noise(octets):
    """Octets that are the same each time, and that no compression makes fewer."""
    state, out = 1, bytearray()
    while len(out) < octets:
        state = zlib.crc32(state.to_bytes(4, "big")) or 1
        out += state.to_bytes(4, "big")
    return bytes(out[:octets])


def test_each_way_of_reading_with_the_python_sdk(fleet, sdk):
    grant, message, files = filed(
        fleet, sdk, ("Rechnung Ä.pdf", "application/pdf", PDF), ("note.txt", "text/plain", TEXT),
        ("page.html", "text/html", b"<script>alert(1)</script>"), ("fake.png", "image/png", b"<svg onload=x>"),
    )
    assert [file.filename for file in files] == ["Rechnung Ä.pdf", "note.txt", "page.html", "fake.png"]
    shown = ["application/pdf", "text/plain", "application/octet-stream", "application/octet-stream"]
    for file, octets, kind in zip(files, (PDF, TEXT, b"<script>alert(1)</script>", b"<svg onload=x>"), shown):
        found = sdk.attachments.find(grant, file.id, {"message_id": message}).data
        assert found == file and found.size == len(octets) and found.grant_id == grant, file
        assert sdk.attachments.download_bytes(grant, file.id, {"message_id": message}) == octets
        with sdk.attachments.download(grant, file.id, {"message_id": message}) as answer:
            assert b"".join(answer.iter_content(1_000)) == octets
            assert answer.headers["Content-Type"] == kind, file.filename
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "sandbox" in answer.headers["Content-Security-Policy"]
            assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
        # The other family of paths.
        status, headers, same = fleet.api.call("GET", f"/v3/grants/{grant}/messages/{message}/attachments/{file.id}/download")
        assert (status, same) == (200, octets) and headers["Content-Type"] == kind
    other = fleet.mailbox()
    assert failure(sdk.attachments.find, other, files[0].id, {"message_id": message}).status_code == 404
    assert failure(sdk.attachments.find, grant, files[0].id, {"message_id": grant}).status_code == 404


def test_upload_sessions_are_for_others(fleet, sdk):
    grant = fleet.mailbox()
    wish = {"filename": "a.pdf", "content_type": "application/pdf", "size": 4 << 20}
    assert failure(sdk.attachments.create_upload_session, grant, wish).status_code == 401
    assert failure(sdk.attachments.complete_upload_session, grant, "1").status_code == 401


def test_parts_of_a_file(fleet, sdk):
    big = noise(BIG_OCTETS)
    grant, _, (file,) = filed(fleet, sdk, ("big.bin", "application/octet-stream", big))
    path = f"/v3/grants/{grant}/attachments/{file.id}/download"

    def ask(method="GET", **fields):
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        return fleet.api.call(method, path, headers=headers)

    status, headers, octets = ask()
    assert status == 200 and octets == big and int(headers["Content-Length"]) == BIG_OCTETS
    tag = headers["ETag"]
    assert headers["Accept-Ranges"] == "bytes"
    for wish, first, last in (
        ("0-0", 0, 0), ("0-99", 0, 99), ("65535-65536", 65_535, 65_536), ("-5", BIG_OCTETS - 5, BIG_OCTETS - 1),
        (f"{BIG_OCTETS - 1}-", BIG_OCTETS - 1, BIG_OCTETS - 1), ("1000000-99999999999", 1_000_000, BIG_OCTETS - 1),
    ):
        status, headers, octets = ask(Range=f"bytes={wish}", If_Range=tag)
        assert status == 206 and octets == big[first:last + 1], wish
        assert headers["Content-Range"] == f"bytes {first}-{last}/{BIG_OCTETS}"
    for fields in ({"Range": "bytes=5-1"}, {"Range": "bytes=0-0,4-4"}, {"Range": "bytes=0-0", "If_Range": '"other"'}):
        status, _, octets = ask(**fields)
        assert status == 200 and len(octets) == BIG_OCTETS, fields
    status, headers, answer = ask(Range=f"bytes={BIG_OCTETS}-")
    assert status == 416 and headers["Content-Range"] == f"bytes */{BIG_OCTETS}"
    assert answer["error"]["code"] == "range_not_satisfiable"
    status, headers, octets = ask(If_None_Match=tag)
    assert (status, octets, headers["ETag"]) == (304, b"", tag)
    status, headers, octets = ask("HEAD")
    assert (status, octets, int(headers["Content-Length"]), headers["ETag"]) == (200, b"", BIG_OCTETS, tag)


def peak(server):
    """Octets that the server has had in memory at once since it was asked to count anew."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) << 10


def test_downloads_take_little_memory(fleet, sdk):
    """Eight of a large file at once, each read slowly. Were it in memory whole, encoded and decoded, each would take some 28 MiB."""
    big = noise(BIG_OCTETS)
    grant, _, (file,) = filed(fleet, sdk, ("big.bin", "application/octet-stream", big))
    path = f"/v3/grants/{grant}/attachments/{file.id}/download"

    def read(_):
        connection = http.client.HTTPConnection("127.0.0.1", fleet.server.http_port, timeout=60)
        connection.request("GET", path, headers={"Authorization": f"Bearer {fleet.account['api_key']}"})
        answer, got = connection.getresponse(), 0
        while octets := answer.read(1 << 20):
            got += len(octets)
            time.sleep(0.02)
        connection.close()
        return got

    # What is allocated once is there after the first.
    assert read(0) == BIG_OCTETS
    Path(f"/proc/{fleet.server.process.pid}/clear_refs").write_text("5")
    before = peak(fleet.server)
    with ThreadPoolExecutor(8) as readers:
        assert list(readers.map(read, range(8))) == [BIG_OCTETS] * 8
    grown = (peak(fleet.server) - before) / 8 / (1 << 20)
    print(f"{grown:.2f} MiB for each download of {BIG_OCTETS >> 20} MiB")
    assert grown < 2.5


def test_each_way_of_reading_with_the_node_sdk(fleet, sdk, modules):
    grant, message, (file,) = filed(fleet, sdk, ("a.pdf", "application/pdf", PDF))
    command = ["node", HERE / "node_mailbox_attachments.mjs", modules, fleet.server.api, fleet.account["api_key"], grant, message, file.id]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert (seen["found"]["filename"], seen["found"]["contentType"], seen["found"]["size"]) == ("a.pdf", "application/pdf", len(PDF))
    for way in ("download", "downloadBytes", "downloadNodeStream"):
        assert base64.b64decode(seen[way]) == PDF, way
    assert seen["uploads"] == [401, 401] and seen["elsewhere"] == 404
