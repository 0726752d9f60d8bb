"""From bytes to Markdown: which parser, within which limits, and what its failures are called.

`parse` runs in this process. `parse_isolated` runs parsers of binary formats in a worker process with a time and a
memory limit, because a C library that meets a crafted file may hang, crash or swallow the machine.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import PurePosixPath

from indexes.errors import EmptyDocument, EncryptedDocument, IngestError, ParseError, TooLarge
from ingest.clean import normalise
from ingest.parsers import Parsed

__all__ = ["FORMATS", "Parsed", "format_of", "parse"]

MAX_BYTES = 100_000_000
MAX_EXPANDED_BYTES = 1_000_000_000
OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ZIP_MAGIC = b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class Format:
    """How one format is recognised and read.

    Args:
        parser: `module.function` below ingest.parsers.
        magic: what the file begins with, where that is certain.
        in_process: no C library sees the bytes, so that no worker process is needed.
    """

    name: str
    parser: str
    extensions: tuple[str, ...]
    magic: bytes = b""
    in_process: bool = False


FORMATS: dict[str, Format] = {
    entry.name: entry
    for entry in (
        Format("md", "markdown.parse_markdown", (".md", ".markdown", ".mdx"), in_process=True),
        Format(
            "txt",
            "plain.parse_text",
            (".txt", ".text", ".log", ".json", ".yaml", ".yml", ".toml", ".ini"),
            in_process=True,
        ),
        Format("row", "plain.parse_row", (), in_process=True),
        Format("csv", "table.parse_csv", (".csv", ".tsv", ".tab"), in_process=True),
        Format("html", "html.parse_html", (".html", ".htm", ".xhtml")),
        Format("eml", "mail.parse_eml", (".eml", ".p7s")),
        Format("pdf", "pdf.parse_pdf", (".pdf",), b"%PDF-"),
        Format("docx", "word.parse_docx", (".docx", ".docm"), ZIP_MAGIC),
        Format("pptx", "slides.parse_pptx", (".pptx", ".pptm"), ZIP_MAGIC),
        Format("xlsx", "table.parse_xlsx", (".xlsx", ".xlsm"), ZIP_MAGIC),
        Format("xls", "table.parse_xls", (".xls",), OLE_MAGIC),
        Format("odt", "pandoc.parse_odt", (".odt",), ZIP_MAGIC),
        Format("epub", "pandoc.parse_epub", (".epub",), ZIP_MAGIC),
        Format("rtf", "pandoc.parse_rtf", (".rtf",), b"{\\rtf"),
        Format("rst", "pandoc.parse_rst", (".rst",)),
        Format("org", "pandoc.parse_org", (".org",)),
        Format("xml", "elements.parse_xml", (".xml",)),
        Format("msg", "elements.parse_msg", (".msg",), OLE_MAGIC),
        Format("doc", "elements.parse_doc", (".doc",), OLE_MAGIC),
        Format("ppt", "elements.parse_ppt", (".ppt",), OLE_MAGIC),
    )
}
_BY_EXTENSION = {extension: entry.name for entry in FORMATS.values() for extension in entry.extensions}
_FOREIGN = (  # what a file with a text format's extension must not begin with
    (ZIP_MAGIC, "a zip archive"),
    (OLE_MAGIC, "an OLE container (old Office or encrypted)"),
    (b"%PDF-", "a PDF"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x7fELF", "a program"),
)


def format_of(name: str) -> str:
    """Return the format that the file name's extension promises, or an empty string."""
    return _BY_EXTENSION.get(PurePosixPath(name).suffix.lower(), "")


def parse(
    data: bytes,
    *,
    uri: str,
    format: str = "",
    max_bytes: int = MAX_BYTES,
    max_expanded_bytes: int = MAX_EXPANDED_BYTES,
) -> Parsed:
    """Return the document's title, text and metadata.

    Args:
        data: the file as it lies in the source.
        uri: where it lies; gives the format where none is stated, and a title to a document that has none.
        format: a key of FORMATS; `htm`, `markdown` and other extensions do as well.
        max_bytes: larger data are refused.
        max_expanded_bytes: an archive that says it unpacks to more is refused.
    Returns:
        text is Markdown after `ingest.clean.normalise`; never empty.
    Raises:
        ParseError: the format is unknown, or the bytes are not what it promises.
        EncryptedDocument: it needs a password.
        EmptyDocument: it holds no text.
        TooLarge: it passes a limit.
    """
    name = format or format_of(uri)
    name = name if name in FORMATS else format_of(f"x.{name}")
    if name not in FORMATS:
        suffix = PurePosixPath(uri).suffix or "without an extension"
        raise ParseError(
            f"{_short(uri)}: files {suffix} are not supported; supported are {', '.join(sorted(_BY_EXTENSION))}"
        )
    if len(data) > max_bytes:
        raise TooLarge(f"{_short(uri)}: {len(data):,} bytes, more than the limit of {max_bytes:,}")
    if not data.strip():
        raise EmptyDocument(f"{_short(uri)}: the file is empty")
    try:
        _check_container(data, FORMATS[name], max_expanded_bytes)
        parsed = load_parser(name)(data)
    except IngestError as error:
        raise type(error)(f"{_short(uri)}: {error}") from error
    except ImportError:
        raise
    except MemoryError as error:
        raise TooLarge(f"{_short(uri)}: parsing it needs more memory than is allowed") from error
    except Exception as error:  # a parser library may raise anything on broken bytes
        raise ParseError(f"{_short(uri)}: not a readable {name} document ({type(error).__name__}: {error})") from error
    text = normalise(parsed.text)
    if not text.strip():
        raise EmptyDocument(f"{_short(uri)}: the document has no text")
    title = " ".join(normalise(parsed.title).split())[:300]
    return replace(parsed, title=title or ("" if name == "row" else readable_name(uri)), text=text)


def load_parser(format: str) -> Callable[[bytes], Parsed]:
    """Return the parser of a key of FORMATS."""
    module, _, function = FORMATS[format].parser.partition(".")
    parser: Callable[[bytes], Parsed] = getattr(import_module(f"ingest.parsers.{module}"), function)
    return parser


def readable_name(uri: str) -> str:
    """Return a title made from a file's name: `travel-policy_2024.md` gives `travel policy 2024`."""
    stem = PurePosixPath(uri.rsplit("/", 1)[-1]).stem
    if "%" in stem:
        from urllib.parse import unquote

        stem = unquote(stem)
    return re.sub(r"[\s_-]+", " ", stem).strip() or stem


def _check_container(data: bytes, format: Format, max_expanded_bytes: int) -> None:
    """Refuse bytes that are plainly of another format, encrypted containers and archives that would fill the memory."""
    if format.magic == ZIP_MAGIC:
        if data.startswith(OLE_MAGIC):
            raise EncryptedDocument("the document is encrypted, or an old Office file under a new name")
        if not zipfile.is_zipfile(io.BytesIO(data)):
            raise ParseError(f"a {format.name} file is a zip archive; this is none, or it is cut off")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_archive(archive, max_expanded_bytes)
    elif format.name == "pdf":
        if b"%PDF-" not in data[:1024]:  # readers allow some bytes before it
            raise ParseError("a PDF begins with %PDF-; this does not")
    elif format.magic:
        if not data.startswith(format.magic):
            raise ParseError(f"these bytes are no {format.name} file")
    elif format.name != "row":
        for magic, what in _FOREIGN:
            if data.startswith(magic):
                raise ParseError(f"by its name a {format.name} file, by its first bytes {what}")


def _check_archive(archive: zipfile.ZipFile, limit: int) -> None:
    entries = archive.infolist()
    if any(entry.flag_bits & 1 for entry in entries):
        raise EncryptedDocument("the archive is encrypted")
    declared = sum(entry.file_size for entry in entries)
    if declared > limit:
        raise TooLarge(f"it unpacks to {declared:,} bytes, more than the limit of {limit:,}")


def _short(uri: str) -> str:
    return uri.rsplit("/", 1)[-1]
