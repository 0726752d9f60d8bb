"""ODT, EPUB, RTF, reStructuredText and Org through pandoc, then as HTML.

pandoc runs with --sandbox: `.. include:: /etc/passwd` in a document must not read this machine's files, which
unstructured's own use of pandoc allows.
"""

from __future__ import annotations

import re
import subprocess

from indexes.errors import DependencyMissing, ParseError
from ingest.parsers import Parsed
from ingest.parsers.html import html_to_markdown
from ingest.parsers.plain import decode

_ROW_WITHOUT_DEFINITION = re.compile(rb"\\row(?![a-z])(?=\s*(?:\\pard\s*)?\\intbl\b)")


def _convert(data: bytes, reader: str) -> Parsed:
    try:
        from pypandoc import get_pandoc_path
    except ImportError as error:
        raise DependencyMissing("pypandoc_binary", extra="parse") from error
    command = [
        get_pandoc_path(),
        "--sandbox",
        "--standalone",
        "--from",
        reader,
        "--to",
        "html",
        "--syntax-highlighting",
        "none",
    ]
    done = subprocess.run([*command, "+RTS", "-M1g", "-RTS"], input=data, capture_output=True, check=False)
    if done.returncode:
        message = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ParseError(f"pandoc cannot read it: {message[0] if message else f'exit status {done.returncode}'}")
    parsed = html_to_markdown(_below_title(done.stdout.decode("utf-8", "replace")))
    # Without a title of its own, pandoc calls the page "-".
    return Parsed("" if parsed.title == "-" else parsed.title, parsed.text, parsed.metadata)


def _below_title(page: str) -> str:
    """Where pandoc shows the document's title as a heading of its own, the sections stand one level below it."""
    if '<h1 class="title">' not in page[:20_000]:
        return page
    return re.sub(r"<(/?)h([1-5])\b(?! class=\"title\")", lambda tag: f"<{tag[1]}h{int(tag[2]) + 1}", page)


def parse_odt(data: bytes) -> Parsed:
    """OpenDocument text."""
    return _convert(data, "odt")


def parse_epub(data: bytes) -> Parsed:
    """A book, chapter after chapter."""
    return _convert(data, "epub")


def parse_rtf(data: bytes) -> Parsed:
    """Rich Text Format.

    A row without a definition of its own takes over the one before; pandoc would read it as part of the same row.
    """
    return _convert(_ROW_WITHOUT_DEFINITION.sub(rb"\\row\\trowd ", data), "rtf")


def parse_rst(data: bytes) -> Parsed:
    """reStructuredText; includes are not followed."""
    return _convert(decode(data).encode(), "rst")


def parse_org(data: bytes) -> Parsed:
    """Org mode; includes are not followed."""
    return _convert(decode(data).encode(), "org")
