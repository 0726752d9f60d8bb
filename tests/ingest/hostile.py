"""Files that are made to hang, to crash, to fill the memory or to lead out of their place; built in memory.

Each entry of HOSTILE builds one: name -> function that returns its bytes. Nothing here is larger than needed to hurt a
reader that is not on its guard.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from email.message import EmailMessage

MEGABYTE = 1_000_000


def zipped(members: dict[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def pdf_of(objects: list[str]) -> bytes:
    body = "".join(f"{number} 0 obj\n{content}\nendobj\n" for number, content in enumerate(objects, start=1))
    return f"%PDF-1.4\n{body}trailer << /Root 1 0 R >>\n%%EOF\n".encode()


def _billion_laughs(root: str = "lolz") -> bytes:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    return f'<?xml version="1.0"?><!DOCTYPE {root} [<!ENTITY l0 "lol">{entities}]><{root}>before &l11; after</{root}>'.encode()


def _external_entity() -> bytes:
    return b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>before &x; after</a>'


def _docx(body: bytes) -> bytes:
    import docx

    file = io.BytesIO()
    docx.Document().save(file)
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["word/document.xml"] = body
    return zipped(members)


def _xlsx(sheet: bytes) -> bytes:
    import openpyxl

    file = io.BytesIO()
    openpyxl.Workbook().save(file)
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["xl/worksheets/sheet1.xml"] = sheet
    return zipped(members)


_SHEET = (
    b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><dimension ref="A1:XFD1048576"/>'
)


def _nested_zip(depth: int = 30) -> bytes:
    data = b"at the bottom"
    for level in range(depth):
        data = zipped({f"level{level}.zip" if level else "deep.txt": data})
    return data


def _lying_zip() -> bytes:
    """The directory says 10 bytes, the data unpack to 50 MB."""
    data = zipped({"a.txt": b"\0" * (50 * MEGABYTE)})
    return data.replace(struct.pack("<I", 50 * MEGABYTE), struct.pack("<I", 10))


def _claiming_zip(names: list[str], size: int) -> bytes:
    """Members that share one stretch of data and claim `size` bytes each (Fifield, A better zip bomb, 2019)."""
    kernel = zlib.compress(b"a" * MEGABYTE, 9)[2:-4]
    crc = zlib.crc32(b"a" * MEGABYTE)
    local = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 8, 0, 0, crc, len(kernel), size, 1, 0) + b"0"
    entry = "<IHHHHHHIIIHHHHHII"
    directory = b"".join(
        struct.pack(entry, 0x02014B50, 20, 20, 0, 8, 0, 0, crc, len(kernel), size, len(name), 0, 0, 0, 0, 0, 0)
        + name.encode()
        for name in names
    )
    start = len(local) + len(kernel)
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, len(names), len(names), len(directory), start, 0)
    return local + kernel + directory + end


def _names_zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("../../etc/passwd", "/etc/shadow", "C:\\windows\\a.txt", "a\nb\x1b[31m.txt", "..", "x" * 60_000):
            archive.writestr(name, b"text")
        link = zipfile.ZipInfo("link.txt")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "../../etc/passwd")
        archive.writestr("same.txt", b"one")
        archive.writestr("same.txt ", b"two")
    return file.getvalue()


def _nested_mail(depth: int) -> bytes:
    head = b"From: a@x.org\nSubject: level\nMIME-Version: 1.0\n"
    parts = [
        head
        + f'Content-Type: multipart/mixed; boundary="b{level}"\n\n--b{level}\nContent-Type: message/rfc822\n\n'.encode()
        for level in range(depth)
    ]
    return b"".join(parts) + head + b"\nThe innermost text.\n"


def _mail_of_parts(count: int) -> bytes:
    head = b'From: a@x.org\nSubject: s\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n\n'
    part = b'--b\nContent-Type: application/octet-stream\nContent-Disposition: attachment; filename="../../x\x1b.bin"\n\nx\n'
    return head + part * count + b"--b--\n"


def _huge_headers() -> bytes:
    mail = EmailMessage()
    mail["Subject"] = "s"
    mail.set_content("The text.")
    to = b"To: " + b", ".join(b'"name (((((" <a%d@x.org>' % n for n in range(20_000)) + b"\n"
    return b"From: " + b"(" * 50_000 + b"\n" + to + mail.as_bytes()


def _looping_pdf() -> bytes:
    return pdf_of(["<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Count 1000000 /Kids [2 0 R 2 0 R] >>"])


def _empty_pages(count: int = 100_000) -> bytes:
    kids = " ".join(["3 0 R"] * count)
    return pdf_of(
        [
            "<< /Type /Catalog /Pages 2 0 R >>",
            f"<< /Type /Pages /Count {count} /Kids [{kids}] >>",
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>",
        ]
    )


def _pdf_stream_bomb() -> bytes:
    """A page whose content unpacks, through two filters, to 1 GB of blanks."""
    packed = zlib.compress(zlib.compress(b" " * (200 * MEGABYTE), 9), 9)
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents [4 0 R 4 0 R 4 0 R 4 0 R 4 0 R] >>"
    stream = b"<< /Length %d /Filter [/FlateDecode /FlateDecode] >>\nstream\n%s\nendstream" % (len(packed), packed)
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Count 1 /Kids [3 0 R] >>", page, stream]
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % pair for pair in enumerate(objects, start=1))
    return b"%PDF-1.4\n" + body + b"trailer << /Root 1 0 R >>\n%%EOF\n"


def _png_bomb() -> bytes:
    """A picture of 40,000 x 40,000 black pixels in a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(b"\0" * (5_001 * 4_000), 9)
    head = struct.pack(">IIBBBBB", 40_000, 40_000, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _looping_ole() -> bytes:
    """An OLE container whose sectors follow one another in a circle."""
    head = bytearray(512)
    head[:8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    struct.pack_into("<HHHHH", head, 24, 0x3E, 3, 0xFFFE, 9, 6)
    struct.pack_into("<IIIIIIIII", head, 40, 0, 1, 1, 0, 4096, 0, 1, 0xFFFFFFFE, 0)
    struct.pack_into("<109I", head, 76, 0, *[0xFFFFFFFF] * 108)
    name = "WordDocument".encode("utf-16-le").ljust(64, b"\0")
    return bytes(head) + struct.pack("<128I", *[1] * 128) + (name + struct.pack("<H", 26) + b"\1" * 62) * 4


def _yaml_bomb() -> bytes:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 12))
    return f"---\nl0: &l0 [lol, lol]\n{levels}---\nThe text.\n".encode()


HOSTILE: dict[str, Callable[[], bytes]] = {
    "laughs.xml": _billion_laughs,
    "laughs.html": lambda: _billion_laughs("html"),
    "laughs.docx": lambda: _docx(_billion_laughs("document")),
    "laughs.xlsx": lambda: _xlsx(_billion_laughs("worksheet")),
    "external.xml": _external_entity,
    "external.docx": lambda: _docx(_external_entity()),
    "yaml-bomb.md": _yaml_bomb,
    "nested.html": lambda: b"<div>" * 100_000 + b"text",
    "nested-inline.html": lambda: b"<p>" + b"<b><i>" * 900 + b"text",
    "nested-tables.html": lambda: b"<table><tr><td>" * 500 + b"text",
    "nested-lists.html": lambda: b"<ul><li>text" * 2_000,
    "wide-table.html": lambda: b"<table>" + b"<tr><td rowspan=100 colspan=100>x</td></tr>" * 5_000,
    "braces.html": lambda: b"<style>" + b"{" * 500_000 + b"/*" * 500_000 + b"</style><p>text",
    "nested.xml": lambda: b"<a>" * 100_000 + b"text" + b"</a>" * 100_000,
    "nested.json": lambda: b"[" * 200_000 + b"]" * 200_000,
    "nested-objects.json": lambda: b'{"a":' * 900 + b"1" + b"}" * 900,
    "digits.json": lambda: b'{"n": ' + b"9" * 100_000 + b"}",
    "floats.json": lambda: b'{"n": [NaN, Infinity, -Infinity, 1e400]}',
    "nested.md": lambda: b"> " * 50_000 + b"text\n" + b"[" * 50_000 + b"](" * 50_000,
    "fences.md": lambda: b"```\n" * 100_000 + b"text",
    "heading.md": lambda: b"# a" + b" #" * 200_000 + b"b\n\ntext",
    "blanks.md": lambda: b"# a" + b" " * 400_000 + b"b\n\ntext",
    "comments.md": lambda: b"text " + b"<!--" * 200_000 + b"<script" * 100_000,
    "nested.rst": lambda: b"".join(b" " * n + b"* text\n\n" for n in range(0, 400, 2)),
    "nested.org": lambda: b"".join(b"*" * n + b" text\n" for n in range(1, 500)),
    "bomb.rtf": lambda: b"{\\rtf1 " + b"{\\b " * 100_000 + b"text",
    "tables.rtf": lambda: b"{\\rtf1 " + b"\\trowd\\cellx100\\intbl a\\cell\\row" * 20_000 + b"}",
    "one-line.txt": lambda: b"word " * (10 * MEGABYTE),
    "newlines.txt": lambda: b"\n" * (20 * MEGABYTE) + b"text",
    "utf16-without-mark.txt": lambda: ("The text without a byte order mark. " * 200).encode("utf-16-le"),
    "combining.txt": lambda: ("a" + "\u0301\u0323" * 200_000 + " text").encode(),
    "columns.csv": lambda: b",".join(b"c%d" % n for n in range(1_000_000)),
    "ragged.csv": lambda: b"a,b\n" * 50_000 + b"," * 500_000 + b"end\n",
    "quote.csv": lambda: b'a,b\n"' + b"never closed, " * 500_000,
    "dimensions.xlsx": lambda: _xlsx(
        _SHEET + b'<sheetData><row r="1048576"><c r="XFD1048576"><v>7</v></c></row></sheetData></worksheet>'
    ),
    "wide.xlsx": lambda: _xlsx(
        _SHEET
        + b"<sheetData>"
        + b"".join(b'<row r="%d"><c r="XFD%d"><v>7</v></c></row>' % (n, n) for n in range(1, 3_000))
        + b"</sheetData></worksheet>"
    ),
    "nested.docx": lambda: _docx(
        b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
        + b"<w:sdt><w:sdtContent>" * 20_000
        + b"<w:p/>"
        + b"</w:sdtContent></w:sdt>" * 20_000
        + b"</w:body></w:document>"
    ),
    "bomb.docx": lambda: _claiming_zip(["[Content_Types].xml", "word/document.xml"], 600 * MEGABYTE),
    "large.docx": lambda: _docx(b"<a>" + b" " * (100 * MEGABYTE)),
    "bomb.zip": lambda: _claiming_zip([f"{n}.txt" for n in range(10)], 60 * MEGABYTE),
    "nested.zip": _nested_zip,
    "lying.zip": _lying_zip,
    "overlapping.zip": lambda: _claiming_zip([f"{n}.txt" for n in range(900)], MEGABYTE),
    "names.zip": _names_zip,
    "many.zip": lambda: zipped({f"{n}.txt": b"x" for n in range(2_000)}),
    "bomb.epub": lambda: zipped({"mimetype": b"application/epub+zip", "a.xhtml": b" " * (100 * MEGABYTE)}),
    "nested.eml": lambda: _nested_mail(500),
    "parts.eml": lambda: _mail_of_parts(5_000),
    "headers.eml": _huge_headers,
    "boundary.eml": lambda: b'From: a@x.org\nContent-Type: multipart/mixed; boundary=""\n\n' + b"--\n" * 200_000,
    "loop.pdf": _looping_pdf,
    "empty-pages.pdf": _empty_pages,
    "stream-bomb.pdf": _pdf_stream_bomb,
    "bomb.png": _png_bomb,
    "loop.doc": _looping_ole,
    "loop.msg": lambda: _looping_ole().replace(*(n.encode("utf-16-le") for n in ("WordDocument", "__properties_"))),
    "loop.xls": lambda: _looping_ole().replace(*(n.encode("utf-16-le") for n in ("WordDocument", "Workbook\0\0\0\0"))),
    "records.ppt": lambda: _looping_ole() + b"\x0f\x00\xf0\x0f\xff\xff\xff\xff" * 10_000,
    "page.doc": lambda: b"<html><body><h1>A web page</h1>saved as a Word file</body></html>",
    "workbook.csv": lambda: _xlsx(
        _SHEET + b'<sheetData><row r="1"><c r="A1"><v>7</v></c></row></sheetData></worksheet>'
    ),
    "program.txt": lambda: b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 100,
    "rows.ndjson": lambda: b"".join(json.dumps({"a": n, "b": "x"}).encode() + b"\n" for n in range(20_000)),
}
