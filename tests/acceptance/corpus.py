"""Messages as mail programs of all times and countries write them, each with what a reader must see.

They are put together octet by octet, so that no library stands between the test and the wire.
"""

import base64
import quopri
import random
from dataclasses import dataclass, field
from urllib.parse import quote_from_bytes

JAPANESE = "ご注文ありがとうございます。一覧表示の能力をご確認ください。"
RUSSIAN = "Здравствуйте! Счёт № 42 во вложении, ждём ответа."
WESTERN = "Prix : 25 € – « déjà vu », naïve café, ‘quoted’ … fin"
CHINESE = "您好，附件是合同，请查收。"
TRADITIONAL = "您好，附件是合約，請查收。"
KOREAN = "안녕하세요 첨부 파일을 확인해 주세요"
GREEK = "Καλημέρα κόσμε, τα λέμε αύριο"


@dataclass
class File:
    name: str
    kind: str
    octets: bytes
    inline: bool = False
    content_id: str | None = None


@dataclass
class Sample:
    """A message, and what it says."""

    tag: str
    raw: bytes
    subject: str
    body: str
    files: list = field(default_factory=list)
    author: str | None = None


def octets(index, count):
    return random.Random(index).randbytes(count)


def b64(data):
    return base64.encodebytes(data).replace(b"\n", b"\r\n")


def qp(data):
    return quopri.encodestring(data).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def word(text, charset, encoding="B"):
    data = text.encode(charset)
    if encoding == "B":
        coded = base64.b64encode(data).decode()
    else:
        coded = "".join(chr(o) if chr(o).isalnum() and o < 128 else f"={o:02X}" for o in data)
    return f"=?{charset}?{encoding}?{coded}?="


def header(tag, subject, *more, author="Someone <someone@people.test>"):
    """A header block up to, and without, its empty line. Fields are text or octets."""
    fields = [
        f"From: {author}",
        "To: Ada <ada@agents.test>",
        b"Subject: " + (subject if isinstance(subject, bytes) else subject.encode()),
        f"Message-ID: <{tag}@people.test>",
        "Date: Fri, 20 Nov 2026 10:00:00 +0100",
        "MIME-Version: 1.0",
        *more,
    ]
    return b"".join((one if isinstance(one, bytes) else one.encode()) + b"\r\n" for one in fields)


def part(*fields, content):
    """A part: its header fields and content, without the line end that belongs to the boundary."""
    return header_of(fields) + b"\r\n" + content


def header_of(fields):
    return b"".join((one if isinstance(one, bytes) else one.encode()) + b"\r\n" for one in fields)


def multipart(boundary, *parts):
    mark = b"--" + boundary.encode()
    return b"".join(mark + b"\r\n" + one + b"\r\n" for one in parts) + mark + b"--\r\n"


def text_part(text, subtype="plain"):
    return part(f"Content-Type: text/{subtype}; charset=utf-8", "Content-Transfer-Encoding: 8bit", content=text.encode())


def file_part(file, disposition="attachment", name=None, kind=None):
    """A part in base64. `name` is the whole parameter, if the name is not written the plain way."""
    name = name or f'filename="{file.name}"'
    fields = [f"Content-Type: {kind or file.kind}", "Content-Transfer-Encoding: base64"]
    fields += [(f"Content-Disposition: {disposition}; ".encode() + name.encode()) if isinstance(name, str) else name]
    fields += [f"Content-ID: <{file.content_id}>"] if file.content_id else []
    return part(*fields, content=b64(file.octets).removesuffix(b"\r\n"))


# The kinds ----------------------------------------------------------------------------------------------------------


def in_charset(charset, text, transfer, encoding="B"):
    def make(tag, _):
        packed = {"7bit": lambda data: data, "8bit": lambda data: data, "base64": b64, "quoted-printable": qp}[transfer]
        raw = header(
            tag,
            f"[{tag}] {word(text[:20], charset, encoding)}",
            f"Content-Type: text/plain; charset={charset}",
            f"Content-Transfer-Encoding: {transfer}",
            author=f"{word(text[:10], charset, encoding)} <someone@people.test>",
        )
        lines = f"{tag}\r\n{text}\r\n".encode(charset)
        return Sample(tag, raw + b"\r\n" + packed(lines), f"[{tag}] {text[:20]}", f"{tag}\n{text}", author=text[:10].strip())

    return make


def plain(tag, _):
    return Sample(tag, header(tag, f"[{tag}] Plain") + f"\r\nBody of {tag}.\r\n".encode(), f"[{tag}] Plain", f"Body of {tag}.")


def raw_utf8_header(tag, _):
    subject = f"[{tag}] Grüße aus Köln – 日本"
    raw = header(tag, subject, "Content-Type: text/plain; charset=utf-8", author="Jürgen Groß <someone@people.test>")
    return Sample(tag, raw + f"\r\n{RUSSIAN}\r\n".encode(), subject, RUSSIAN, author="Jürgen Groß")


def raw_latin_header(tag, _):
    subject = f"[{tag}] Café à Orléans"
    raw = header(tag, subject.encode("cp1252"), "Content-Type: text/plain; charset=iso-8859-1")
    return Sample(tag, raw + "\r\nDéjà vu à Orléans\r\n".encode("latin-1"), subject, "Déjà vu à Orléans")


def folded_words(tag, _):
    first, second = word("Ein sehr langer Betreff über ", "utf-8"), word("mehrere Wörter", "utf-8", "Q")
    raw = header(tag, f"[{tag}]\r\n {first}\r\n\t{second}") + b"\r\nfolded\r\n"
    return Sample(tag, raw, f"[{tag}] Ein sehr langer Betreff über mehrere Wörter", "folded")


def dots_and_long_lines(tag, _):
    body = "\r\n".join([".", "..", ".leading dot", "x" * 990, "", "end."])
    raw = header(tag, f"[{tag}] Dots") + b"\r\n" + body.encode() + b"\r\n"
    return Sample(tag, raw, f"[{tag}] Dots", body)


def alternative(tag, _):
    html = f"<html><body><p>Grüße, <b>{tag}</b> &amp; Co.</p></body></html>"
    raw = header(tag, f"[{tag}] Alternative", 'Content-Type: multipart/alternative; boundary="=_a"')
    raw += b"\r\npreamble\r\n" + multipart("=_a", text_part(f"plain {tag}"), text_part(html, "html")) + b"epilogue\r\n"
    return Sample(tag, raw, f"[{tag}] Alternative", html)


def html_only(tag, _):
    html = f"<p>{tag}: {WESTERN}</p>"
    raw = header(tag, f"[{tag}] HTML", "Content-Type: text/html; charset=windows-1252", "Content-Transfer-Encoding: quoted-printable")
    return Sample(tag, raw + b"\r\n" + qp(html.encode("cp1252")), f"[{tag}] HTML", html)


def with_files(tag, index):
    files = [
        File("report.pdf", "application/pdf", octets(index, 3_000 + index)),
        File("empty.txt", "text/plain", b""),
        File("notes.txt", "text/plain", b"line one\r\nline two\r\n"),
    ]
    raw = header(tag, f"[{tag}] Files", "Content-Type: multipart/mixed; boundary=mixed")
    raw += b"\r\n" + multipart("mixed", text_part(f"See {tag}."), *map(file_part, files))
    return Sample(tag, raw, f"[{tag}] Files", f"See {tag}.", files)


def large_file(tag, index):
    files = [File("large.bin", "application/octet-stream", octets(index, 250_000 + 1_000 * (index % 50)))]
    raw = header(tag, f"[{tag}] Large", "Content-Type: multipart/mixed; boundary=mixed")
    raw += b"\r\n" + multipart("mixed", text_part("large"), *map(file_part, files))
    return Sample(tag, raw, f"[{tag}] Large", "large", files)


def named_after_rfc_2231(tag, index):
    long = File("Отчёт за ноябрь 2026 года – итоги.pdf", "application/pdf", octets(index, 500))
    latin = File("£ rates.txt", "application/octet-stream", octets(index + 1, 100))
    coded = quote_from_bytes(long.name.encode(), safe="")
    cut = coded.index("%", 60)
    pieces = f"filename*0*=utf-8''{coded[:cut]};\r\n filename*1*={coded[cut:]}"
    raw = header(tag, f"[{tag}] RFC 2231", "Content-Type: multipart/mixed; boundary=b2231")
    raw += b"\r\n" + multipart(
        "b2231", text_part("named"), file_part(long, name=pieces), file_part(latin, name="filename*=iso-8859-1'en'%A3%20rates.txt")
    )
    return Sample(tag, raw, f"[{tag}] RFC 2231", "named", [long, latin])


def named_in_words(tag, index):
    coded = File("Überblick.pdf", "application/pdf", octets(index, 700))
    japanese = File("見積書.xls", "application/vnd.ms-excel", octets(index + 1, 400))
    bare = File("Müller.doc", "application/msword", octets(index + 2, 300))
    raw = header(tag, f"[{tag}] Words as names", "Content-Type: multipart/mixed; boundary=words")
    by_type = part(
        f'Content-Type: application/vnd.ms-excel; name="{word(japanese.name, "iso-2022-jp")}"',
        "Content-Transfer-Encoding: base64",
        content=b64(japanese.octets).removesuffix(b"\r\n"),
    )
    raw += b"\r\n" + multipart(
        "words", text_part("words"), file_part(coded, name=f'filename="{word(coded.name, "utf-8")}"'), by_type, file_part(bare)
    )
    return Sample(tag, raw, f"[{tag}] Words as names", "words", [coded, japanese, bare])


def nested(tag, index):
    logo = File("logo.png", "image/png", b"\x89PNG\r\n\x1a\n" + octets(index, 900), inline=True, content_id=f"logo-{tag}")
    pdf = File("contract.pdf", "application/pdf", octets(index + 1, 2_000))
    inner = header(f"inner-{tag}", "Inner", author="Other <other@people.test>") + b"\r\ninner text\r\n.dot\r\n"
    forwarded = File("forwarded.eml", "message/rfc822", inner)
    html = f'<p>{tag} <img src="cid:logo-{tag}"></p>'
    related = part('Content-Type: multipart/related; boundary="rel"', content=multipart("rel", text_part(html, "html"), file_part(logo, "inline")))
    alternatives = part('Content-Type: multipart/alternative; boundary="alt"', content=multipart("alt", text_part("plain"), related))
    message = part("Content-Type: message/rfc822", 'Content-Disposition: attachment; filename="forwarded.eml"', content=inner)
    raw = header(tag, f"[{tag}] Nested", 'Content-Type: multipart/mixed; boundary="mix"')
    raw += b"\r\n" + multipart("mix", alternatives, file_part(pdf), message)
    return Sample(tag, raw, f"[{tag}] Nested", html, [logo, pdf, forwarded])


def deeply_nested(tag, index):
    files, inside = [], text_part(f"deep {tag}")
    for level in range(8):
        file = File(f"level-{level}.bin", "application/octet-stream", octets(index + level, 64))
        files.append(file)
        mark = f"level{level}"
        inside = part(f"Content-Type: multipart/mixed; boundary={mark}", content=multipart(mark, inside, file_part(file)))
    kind, content = inside.split(b"\r\n\r\n", 1)
    raw = header(tag, f"[{tag}] Deep", kind) + b"\r\n" + content
    return Sample(tag, raw, f"[{tag}] Deep", f"deep {tag}", files)


def file_alone(tag, index):
    file = File("alone.bin", "application/octet-stream", octets(index, 1_234))
    raw = header(tag, f"[{tag}] Alone", "Content-Type: application/octet-stream", "Content-Transfer-Encoding: base64",
                 'Content-Disposition: attachment; filename="alone.bin"')
    return Sample(tag, raw + b"\r\n" + b64(file.octets), f"[{tag}] Alone", "", [file])


def file_in_quoted_printable(tag, index):
    file = File("table.csv", "text/csv", "".join(f"{n};Größe {n};{n * index}\r\n" for n in range(40)).encode())
    coded = part("Content-Type: text/csv; charset=utf-8", "Content-Transfer-Encoding: quoted-printable",
                 'Content-Disposition: attachment; filename="table.csv"', content=qp(file.octets))
    raw = header(tag, f"[{tag}] Table", "Content-Type: multipart/mixed; boundary=qp")
    return Sample(tag, raw + b"\r\n" + multipart("qp", text_part("table"), coded), f"[{tag}] Table", "table", [file])


def empty_body(tag, _):
    return Sample(tag, header(tag, f"[{tag}]") + b"\r\n", f"[{tag}]", "")


KINDS = {
    "plain": plain,
    "iso-2022-jp": in_charset("iso-2022-jp", JAPANESE, "7bit"),
    "shift_jis": in_charset("shift_jis", JAPANESE, "base64"),
    "euc-jp": in_charset("euc-jp", JAPANESE, "8bit"),
    "koi8-r": in_charset("koi8-r", RUSSIAN.replace("№ ", ""), "8bit", "Q"),
    "windows-1251": in_charset("windows-1251", RUSSIAN, "quoted-printable"),
    "windows-1252": in_charset("windows-1252", WESTERN, "quoted-printable", "Q"),
    "gb18030": in_charset("gb18030", CHINESE, "base64"),
    "big5": in_charset("big5", TRADITIONAL, "8bit"),
    "euc-kr": in_charset("euc-kr", KOREAN, "8bit"),
    "iso-8859-7": in_charset("iso-8859-7", GREEK, "8bit", "Q"),
    "utf-8": in_charset("utf-8", JAPANESE + RUSSIAN, "8bit"),
    "utf-16 body": in_charset("utf-16", GREEK, "base64"),
    "raw utf-8 header": raw_utf8_header,
    "raw latin header": raw_latin_header,
    "folded words": folded_words,
    "dots and long lines": dots_and_long_lines,
    "alternative": alternative,
    "html only": html_only,
    "files": with_files,
    "large file": large_file,
    "rfc 2231 names": named_after_rfc_2231,
    "words as names": named_in_words,
    "nested": nested,
    "deeply nested": deeply_nested,
    "file alone": file_alone,
    "quoted-printable file": file_in_quoted_printable,
    "empty body": empty_body,
}


def samples(count, prefix):
    """`count` messages, all kinds in turn, with tags of their own."""
    kinds = list(KINDS.values())
    return [kinds[index % len(kinds)](f"{prefix}{index:04}", index) for index in range(count)]
