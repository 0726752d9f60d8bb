"""Which formats there are, and how a document's own bytes tell its format.

A name promises a format, the bytes keep the promise or not: a web page saved as `.doc`, a workbook renamed to `.csv`
and a text without any extension are read as what they are.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePosixPath

from indexes.errors import ParseError

__all__ = ["FORMATS", "Format", "format_of", "parser_version", "sniff"]

OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ZIP_MAGIC = b"PK\x03\x04"
EMPTY_ZIP_MAGIC = b"PK\x05\x06"


@dataclass(frozen=True, slots=True)
class Format:
    """How one format is recognised and read.

    Args:
        parser: `module.function` below ingest.parsers.
        extensions: those that promise it, with the dot, in lower case.
        version: raised when the parser's output changes, so that lineage can tell old texts from new ones.
        packages: the distributions that read it, for lineage.
        limits: fields of `ingest.parse.Limits` that the parser takes as keyword arguments.
        binary: it has no text that a person could read in an editor; bytes of another format are never taken for it.
    """

    name: str
    parser: str
    extensions: tuple[str, ...]
    version: int = 1
    packages: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    binary: bool = False


_TEXTS = """.txt .text .log .yaml .yml .toml .ini .cfg .conf .properties .env .tex .bib .adoc .asciidoc .textile .srt .vtt
    .ics .vcf .sql .sh .py .js .ts .java .c .h .cpp .go .rs .rb .php .css .diff .patch .dtd .proto"""
FORMATS: dict[str, Format] = {
    entry.name: entry
    for entry in (
        Format("md", "markdown.parse_markdown", (".md", ".markdown", ".mdx"), 2, ("PyYAML",)),
        Format("txt", "plain.parse_text", tuple(_TEXTS.split()), 2, ("charset-normalizer",)),
        Format("row", "plain.parse_row", ()),
        Format("csv", "table.parse_csv", (".csv", ".tsv", ".tab"), 2),
        Format("json", "data.parse_json", (".json", ".ndjson", ".jsonl", ".geojson", ".webmanifest")),
        Format(
            "xml", "data.parse_xml", (".xml", ".xsl", ".xslt", ".xsd", ".rss", ".atom", ".rdf", ".opml"), 3, ("lxml",)
        ),
        Format("html", "html.parse_html", (".html", ".htm", ".xhtml", ".shtml"), 3, ("lxml",)),
        Format("eml", "mail.parse_eml", (".eml", ".p7s", ".mht", ".mhtml"), 3, ("lxml",)),
        Format("msg", "outlook.parse_msg", (".msg",), 3, ("python-oxmsg", "lxml"), binary=True),
        Format(
            "pdf",
            "pdf.parse_pdf",
            (".pdf",),
            3,
            ("pypdfium2", "rapidocr"),
            ("max_ocr_pages", "ocr_seconds"),
            binary=True,
        ),
        Format(
            "docx", "word.parse_docx", (".docx", ".docm", ".dotx", ".dotm"), 3, ("python-docx", "lxml"), binary=True
        ),
        Format("pptx", "slides.parse_pptx", (".pptx", ".pptm", ".ppsx", ".potx"), 3, ("python-pptx",), binary=True),
        Format("xlsx", "table.parse_xlsx", (".xlsx", ".xlsm", ".xltx"), 3, ("openpyxl",), binary=True),
        Format("xls", "table.parse_xls", (".xls", ".xlt"), 3, ("xlrd",), binary=True),
        Format("doc", "word97.parse_doc", (".doc", ".dot"), 3, ("olefile",), binary=True),
        Format("ppt", "slides97.parse_ppt", (".ppt", ".pps"), 3, ("olefile",), binary=True),
        Format("odt", "pandoc.parse_odt", (".odt", ".ott"), 3, ("pypandoc_binary", "lxml"), binary=True),
        Format("ods", "opendocument.parse_ods", (".ods", ".ots"), 1, ("lxml",), binary=True),
        Format("odp", "opendocument.parse_odp", (".odp", ".otp"), 1, ("lxml",), binary=True),
        Format("epub", "pandoc.parse_epub", (".epub",), 3, ("pypandoc_binary", "lxml"), binary=True),
        Format("rtf", "pandoc.parse_rtf", (".rtf",), 3, ("pypandoc_binary", "lxml")),
        Format("rst", "pandoc.parse_rst", (".rst",), 3, ("pypandoc_binary", "lxml")),
        Format("org", "pandoc.parse_org", (".org",), 3, ("pypandoc_binary", "lxml")),
        Format("zip", "archive.parse_zip", (".zip",), 1, (), ("max_bytes", "max_expanded_bytes"), binary=True),
        Format(
            "image",
            "ocr.parse_image",
            (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"),
            1,
            ("rapidocr", "pillow"),
            ("max_ocr_pages", "ocr_seconds"),
            binary=True,
        ),
    )
}
_BY_EXTENSION = {extension: entry.name for entry in FORMATS.values() for extension in entry.extensions}
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"II*\x00", "image"),
    (b"MM\x00*", "image"),
    (b"{\\rtf", "rtf"),
)
_OPEN_XML = (("word/", "docx"), ("ppt/", "pptx"), ("xl/", "xlsx"))
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
_MIMETYPES = {
    f"{_OPEN_DOCUMENT}text": "odt",
    f"{_OPEN_DOCUMENT}spreadsheet": "ods",
    f"{_OPEN_DOCUMENT}presentation": "odp",
    "application/epub+zip": "epub",
}
_OLE_STREAMS = (
    ("EncryptedPackage", "encrypted"),
    ("WordDocument", "doc"),
    ("PowerPoint Document", "ppt"),
    ("Workbook", "xls"),
    ("Book", "xls"),
    ("__properties_version1.0", "msg"),
)
_MAIL_HEADER = re.compile(r"(?i)(from|to|cc|date|subject|received|return-path|message-id|mime-version|delivered-to): ")


def format_of(name: str) -> str:
    """Return the format that the file name's extension promises, or an empty string."""
    return _BY_EXTENSION.get(PurePosixPath(name).suffix.lower(), "")


def parser_version(format: str) -> str:
    """Return what reads a format, for lineage: `pdf/3 pypdfium2 5.15.2 rapidocr -`; `-` marks a missing package.

    No library is imported.
    """
    entry = FORMATS[format]
    return " ".join([f"{entry.name}/{entry.version}", *(f"{name} {_installed(name)}" for name in entry.packages)])


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"


def sniff(data: bytes) -> str:
    """Return the format that the bytes themselves show, or an empty string.

    It is a key of FORMATS; `encrypted`, `ole` and `opendocument` stand for containers that hold none of them.
    Text that shows no structure of its own gives an empty string, as unknown binary data do.
    """
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    if b"%PDF-" in data[:1024]:  # readers allow some bytes before it
        return "pdf"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image"
    if data.startswith(b"BM") and len(data) > 26 and int.from_bytes(data[2:6], "little") == len(data):
        return "image"
    if data.startswith((ZIP_MAGIC, EMPTY_ZIP_MAGIC)):
        return _zip_format(data)
    if data.startswith(OLE_MAGIC):
        return _ole_format(data)
    return _text_format(data)


def _zip_format(data: bytes) -> str:
    import io
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            if "mimetype" in names and archive.getinfo("mimetype").file_size < 200:
                kind = archive.read("mimetype").decode("ascii", "replace").strip()
                return _MIMETYPES.get(kind, "opendocument" if kind.startswith(_OPEN_DOCUMENT) else "zip")
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return "zip"
    if "[Content_Types].xml" in names:
        return next((name for folder, name in _OPEN_XML if any(entry.startswith(folder) for entry in names)), "zip")
    return "zip"


def _ole_format(data: bytes) -> str:
    # The directory spells its names in UTF-16; looking for them needs no library that could trip over a crafted file.
    for stream, name in _OLE_STREAMS:
        if f"{stream}\0".encode("utf-16-le") in data:
            return name
    return "ole"


def _text_format(data: bytes) -> str:
    from ingest.parsers.plain import decode

    try:
        head = decode(data[:4096]).lstrip()
    except ParseError:
        return ""
    lowered = head[:1000].lower()
    if lowered.startswith(("<!doctype html", "<html")) or (lowered.startswith("<?xml") and "<html" in lowered):
        return "html"
    if lowered.startswith("<?xml"):
        return "xml"
    lines = head.splitlines()
    if sum(bool(_MAIL_HEADER.match(line)) for line in lines[:30]) >= 3 and _MAIL_HEADER.match(lines[0]):
        return "eml"
    if head.startswith(("{", "[")) and _is_json(data):
        return "json"
    return ""


def _is_json(data: bytes) -> bool:
    if len(data) > 10_000_000:
        return False
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True
