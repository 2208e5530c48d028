"""Forms put together octet by octet, so that no library stands between the test and the wire."""

import json

EDGE = b"edge-of-a-part"
KIND = {"Content-Type": f"multipart/form-data; boundary={EDGE.decode()}"}


def part(header, content):
    """A part with this header, text or octets without the last line end."""
    header = header if isinstance(header, bytes) else header.encode("utf-8", "surrogatepass")
    return b"--" + EDGE + b"\r\n" + header + b"\r\n\r\n" + content + b"\r\n"


def form(*parts):
    return b"".join(parts) + b"--" + EDGE + b"--\r\n"


def message(fields):
    header = 'Content-Disposition: form-data; name="message"\r\nContent-Type: application/json'
    return part(header, json.dumps(fields).encode())


def file(name, filename, kind, octets):
    header = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"\r\nContent-Type: {kind}'
    return part(header, octets)
