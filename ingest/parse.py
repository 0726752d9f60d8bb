"""From bytes to Markdown: which parser, within which limits, and what its failures are called.

`parse` runs in this process; `ingest.isolate.parse_isolated` runs it in a worker with a time and a memory limit,
because a library that meets a crafted file may hang, crash or swallow the machine.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import PurePosixPath
from typing import Any

from indexes.errors import DependencyMissing, EmptyDocument, EncryptedDocument, IngestError, ParseError, TooLarge
from ingest.clean import normalise, tag_text
from ingest.formats import FORMATS, OLE_MAGIC, format_of, parser_version, sniff
from ingest.parsers import Attachment, Parsed

__all__ = ["FORMATS", "Attachment", "Limits", "Parsed", "format_of", "parse", "parser_version"]

MAX_BYTES = 100_000_000
MAX_EXPANDED_BYTES = 1_000_000_000
MAX_OCR_PAGES = 20
OCR_SECONDS = 40.0
_MAX_HIDDEN = 50_000
_LIBXML2_NO_MEMORY = 2
_ZIPPED = frozenset(["docx", "pptx", "xlsx", "odt", "ods", "odp", "epub"])
_OLE = frozenset(["doc", "xls", "ppt", "msg"])
_FOREIGN = (  # what is plainly no document, with the name people know it by
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"GIF8", "a GIF image, which is not read"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"ID3", "an MP3 recording"),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may cost.

    Args:
        max_bytes: larger data are refused, as is a text of more characters.
        max_expanded_bytes: an archive that says it unpacks to more is refused.
        max_ocr_pages: pages of one document that are read by OCR; the rest is named in the metadata.
        ocr_seconds: no page is begun by OCR after so long.
    """

    max_bytes: int = MAX_BYTES
    max_expanded_bytes: int = MAX_EXPANDED_BYTES
    max_ocr_pages: int = MAX_OCR_PAGES
    ocr_seconds: float = OCR_SECONDS


def parse(
    data: bytes,
    *,
    uri: str,
    format: str = "",
    max_bytes: int = MAX_BYTES,
    max_expanded_bytes: int = MAX_EXPANDED_BYTES,
    max_ocr_pages: int = MAX_OCR_PAGES,
    ocr_seconds: float = OCR_SECONDS,
) -> Parsed:
    """Return the document's title, text, metadata and attachments.

    Args:
        data: the file as it lies in the source.
        uri: where it lies; gives the format where none is stated, and a title to a document that has none.
        format: a key of FORMATS; `htm`, `markdown` and other extensions do as well. Bytes that are plainly of another
            format are read as that; without any promise, text is read as text.
        max_bytes, max_expanded_bytes, max_ocr_pages, ocr_seconds: as in `Limits`.
    Returns:
        text is Markdown after `ingest.clean.normalise`; empty only where there are attachments, as in an archive: the
        document then has no chunks.
    Raises:
        ParseError: the format is unknown, or the bytes are not what it promises.
        EncryptedDocument: it needs a password.
        EmptyDocument: it holds neither text nor attachments.
        TooLarge: it passes a limit.
    """
    limits = Limits(max_bytes, max_expanded_bytes, max_ocr_pages, ocr_seconds)
    short = short_name(uri)
    if len(data) > max_bytes:
        raise TooLarge(f"{short}: {len(data):,} bytes, more than the limit of {max_bytes:,}")
    if not data.strip():
        raise EmptyDocument(f"{short}: the file is empty")
    name = format if format in FORMATS else format_of(f"x.{format}") or format_of(uri)
    try:
        name = _actual_format(data, name, PurePosixPath(short).suffix)
        _check_container(data, name, max_expanded_bytes)
        parsed = load_parser(name, limits)(data)
    except IngestError as error:
        raise type(error)(f"{short}: {error}") from error
    except ImportError as error:
        if isinstance(error, DependencyMissing):
            raise
        raise DependencyMissing(str(error.name), extra="parse") from error
    except MemoryError as error:
        raise TooLarge(f"{short}: parsing it needs more memory than is allowed") from error
    except RecursionError as error:
        raise ParseError(f"{short}: it is nested too deeply") from error
    except Exception as error:  # a parser library may raise anything on broken bytes
        if getattr(error, "code", None) == _LIBXML2_NO_MEMORY:  # lxml calls it a syntax error
            raise TooLarge(f"{short}: parsing it needs more memory than is allowed") from error
        raise ParseError(f"{short}: not a readable {name} document ({_said(error)})") from error
    return _finished(parsed, name, short, limits)


def load_parser(format: str, limits: Limits | None = None) -> Callable[[bytes], Parsed]:
    """Return the parser of a key of FORMATS, bound to the limits that concern it."""
    entry = FORMATS[format]
    module, _, function = entry.parser.partition(".")
    parser: Callable[..., Parsed] = getattr(import_module(f"ingest.parsers.{module}"), function)
    bound = {name: getattr(limits or Limits(), name) for name in entry.limits}
    return lambda data: parser(data, **bound)


def readable_name(uri: str) -> str:
    """Return a title made from a file's name: `travel-policy_2024.md` gives `travel policy 2024`."""
    stem = PurePosixPath(uri.rsplit("/", 1)[-1]).stem
    if "%" in stem:
        from urllib.parse import unquote

        stem = unquote(stem)
    return re.sub(r"[\s_-]+", " ", stem).strip() or stem


def _finished(parsed: Parsed, name: str, short: str, limits: Limits) -> Parsed:
    """Clean what a parser returned, and hold it to the limits."""
    try:
        text = normalise(parsed.text)
    except MemoryError as error:
        raise TooLarge(f"{short}: its text needs more memory than is allowed") from error
    if len(text) > limits.max_bytes:
        raise TooLarge(f"{short}: {len(text):,} characters of text, more than the limit of {limits.max_bytes:,}")
    if not text.strip() and not parsed.attachments:
        raise EmptyDocument(f"{short}: the document has no text")
    title = " ".join(normalise(parsed.title[:1000]).split())[:300]
    title = title or ("" if name == "row" else readable_name(short))
    hidden = normalise(f"{tag_text(parsed.text)}\n\n{parsed.hidden}"[:_MAX_HIDDEN])
    return replace(parsed, title=title, text=text, metadata=_clean(parsed.metadata), format=name, hidden=hidden)


def _clean(value: Any) -> Any:
    """Metadata are for filters and for people: nothing invisible, and of a header line of a megabyte its beginning."""
    if isinstance(value, str):
        return normalise(value[:4000])
    if isinstance(value, dict):
        return {normalise(str(key)[:200]): _clean(entry) for key, entry in value.items()}
    return [_clean(entry) for entry in value[:1000]] if isinstance(value, list) else value


def _actual_format(data: bytes, promised: str, suffix: str) -> str:
    """What the bytes are: what the name promises, unless they are plainly something else."""
    if promised == "row":
        return promised
    found = sniff(data)
    if found == "encrypted":
        raise EncryptedDocument("the document is encrypted")
    if found == "opendocument":
        raise ParseError("of the OpenDocument formats only .odt, .ods and .odp are read; save it as .pdf")
    if found == "ole":
        if promised in _OLE:
            return promised
        raise ParseError("an OLE container that holds no document of a known kind")
    if found in {"", promised}:
        return _plain_format(data, promised, suffix)
    if promised and not FORMATS[promised].binary and not FORMATS[found].binary:
        return found if found == "rtf" else promised  # a page under a text's name may well be meant as text
    return promised if found == "zip" and promised in _ZIPPED else found


def _plain_format(data: bytes, promised: str, suffix: str) -> str:
    """The bytes show no structure of their own: text, or something that nobody here can read."""
    if promised and FORMATS[promised].binary:
        return promised
    for magic, what in _FOREIGN:
        if data.startswith(magic) and b"\0" in data[:512]:
            raise ParseError(f"by its first bytes {what}")
    if promised:
        return promised
    try:
        from ingest.parsers.plain import decode

        decode(data[:100_000])
    except ParseError:
        kind = f"{suffix} files" if suffix else "a file without an extension"
        extensions = sorted(extension for entry in FORMATS.values() for extension in entry.extensions)
        raise ParseError(f"{kind} of binary data: not supported; supported are {', '.join(extensions)}") from None
    return "txt"


def _check_container(data: bytes, name: str, max_expanded_bytes: int) -> None:
    """Refuse broken or encrypted containers, and archives that would fill the memory."""
    if name in _ZIPPED or name == "zip":
        if not zipfile.is_zipfile(io.BytesIO(data)):
            raise ParseError(f"a {name} file is a zip archive; this is none, or it is cut off")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_archive(archive, max_expanded_bytes)
    elif name in _OLE and not data.startswith(OLE_MAGIC):
        if name != "xls" or data[:1] != b"\x09":  # before OLE, a workbook was a bare stream of records
            raise ParseError(f"these bytes are no {name} file")
    elif name == "pdf" and b"%PDF-" not in data[:1024]:
        raise ParseError("a PDF begins with %PDF-; this does not")


def _check_archive(archive: zipfile.ZipFile, limit: int) -> None:
    entries = archive.infolist()
    locked = next((entry.filename for entry in entries if entry.flag_bits & 1), None)
    if locked is not None:
        raise EncryptedDocument(f"the archive's member {locked[:200]!r} is encrypted")
    declared = sum(entry.file_size for entry in entries)
    if declared > limit:
        raise TooLarge(f"it unpacks to {declared:,} bytes, more than the limit of {limit:,}")


def short_name(uri: str) -> str:
    """The file's name, on one line: names are the attacker's choice too."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", uri.rsplit("/", 1)[-1])[:300]


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:300]}"
