"""Sentences of Markdown text as a person reads them: without markup, a table's row with the names of its columns."""

from __future__ import annotations

import html
import re
from itertools import zip_longest

from ingest.sentences import DELIMITER, ITEM, QUOTE, sentence_spans

__all__ = ["plain", "readable", "sentence_spans", "table_context"]

_CELL_BORDER = re.compile(r"(?<!\\)\|")


def table_context(text: str, start: int) -> str:
    """Return the header cells, joined by ` | `, of the table whose row is at offset `start`; "" if none."""
    return " | ".join(_header(text, start))


def readable(text: str, span: tuple[int, int], *, header: str = "") -> str:
    """Return the sentence at `span` as plain text without markup; a table row reads `header: cell; header: cell`.

    Args:
        header: the header row of the table that `text` begins in the middle of, if it does.
    """
    start, end = span
    raw = text[start:end]
    cut = raw.lstrip().startswith("|") and "\n\n" not in text[:start]
    header_cells = (_header(text, start) or (_cells(header) if cut and header else [])) if "|" in raw else []
    if not header_cells and not raw.lstrip().startswith("|"):
        return plain(raw)
    cells = [plain(cell) for cell in _cells(raw)]
    named = zip_longest([plain(name) for name in header_cells][: len(cells)], cells, fillvalue="")
    return "; ".join(f"{name}: {cell}" if name else cell for name, cell in named if cell)


_MARKUP = (
    (
        re.compile(
            r"!?\[((?:[^\[\]\\]|\\.)*)\](?:\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?:\s+\"[^\"]*\")?\)|\[[^\[\]]*\])"
        ),
        r"\1",
    ),
    (re.compile(r"<((?:https?|mailto):[^<>\s]+)>"), r"\1"),
    (re.compile(r"</?[a-zA-Z][^<>]*>|<!--.*?-->", re.DOTALL), " "),
    (re.compile(r"\*\*|~~|(?<!\w)__(?=\S)|(?<=\S)__(?!\w)|`+"), ""),
    (re.compile(r"(?<![\w\\*])\*(?=[^\s*])|(?<=[^\s*\\])\*(?![\w*])|(?<![\w\\])_(?=[^\s_])|(?<=[^\s_\\])_(?!\w)"), ""),
    (re.compile(r"\n[ \t]*>+"), " "),
    (re.compile(r"\\([!-/:-@\[-`{-~])"), r"\1"),
    (re.compile(r"\s+"), " "),
)


def plain(markdown: str) -> str:
    """Return inline Markdown as one line of plain text."""
    text = markdown[found.end() :] if (found := ITEM.match(markdown)) else markdown
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    return html.unescape(text).strip()


def _header(text: str, start: int) -> list[str]:
    """Cells of the header row above offset `start`, within the same run of lines without a blank one."""
    block = text.rfind("\n\n", 0, start) + 1
    delimiter = DELIMITER.search(text, block, start)
    if not delimiter:
        return []
    above = text[block : delimiter.start()].rstrip("\n").rpartition("\n")[2]
    return _cells(QUOTE.sub("", above)) if "|" in above else []


def _cells(row: str) -> list[str]:
    return [
        cell.strip().replace("\\|", "|") for cell in _CELL_BORDER.split(row.strip().removeprefix("|").removesuffix("|"))
    ]
