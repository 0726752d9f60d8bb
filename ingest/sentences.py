"""Sentences of Markdown text as offsets, so that a citation can point at exactly what it rests on.

Blocks come first (headings, fences, tables, list items, paragraphs), then sentences inside each block; a sentence
never crosses a block. Rules instead of a model: no import, the same result everywhere, a megabyte in well under a
second.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple


def _word_set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_HEADING = re.compile(r" {0,3}#{1,6}(?:\s|$)")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-{2,})\s*$")
_RULE = re.compile(r" {0,3}([-*_=])(?:[ \t]*\1){2,}\s*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})([^`]*)$")
DELIMITER = re.compile(r"^[ \t]*(?=[^\n]*\|)\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$", re.MULTILINE)
QUOTE = re.compile(r"(?:[ \t]{0,3}>[ \t]?)+")
ITEM = re.compile(r"[ \t]*(?:[-*+•]|\d{1,9}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?")
_LABEL = re.compile(r"(?:\*\*|__)?[^\W\d_][\w /&'-]{0,30}:(?:\*\*|__)?[ \t]+\S")

# A stop with what closes it: quotes, brackets, emphasis, and citation markers set behind the full stop.
_STOP = re.compile(
    r"""[.!?…]+["'”’»)\]*_`]*(?:[ ]?(?:\[\d+(?:\s*[,;]\s*\d+)*\](?!\()|【\d+】))*(?=\s|$)|[。！？]+["”’」』）]*"""
)
_BEFORE = re.compile(r"[^\s(\[\"“'*_/]+$")
_AFTER = re.compile(r"""[\s>"'“‘«(\[*_`]*([\w-]*)""")
_NEVER_LAST = _word_set(
    "mr mrs ms dr prof st rev hon gen sgt capt messrs vs cf e.g i.e eg ie viz resp incl excl approx ca dept tel ext"
)
_BEFORE_NUMBER = _word_set(
    "no nos nr p pp fig figs sec secs art arts vol ch eq tab app para paras par ref rev ver v item"
)
_MAYBE_LAST = _word_set("inc ltd co corp llc plc gmbh bros jr sr etc al a.m p.m am pm est min max")
_STARTERS = _word_set(
    "the a an it its this that these those there here he she they we you i in on at as if when while for from to "
    "by with however but and or so all any each every no not our your their his her after before since please see "
    "what who how"
)
_MONTHS = _word_set(
    "january february march april may june july august september october november december januar februar märz "
    "mai juni juli oktober dezember jan feb mar apr jun jul aug sep sept oct nov dec"
)
_SHORT_LINE = 0.6  # of the paragraph's widest line: a wrapped line this short would have taken the next word too


class _Line(NamedTuple):
    start: int  # of the content, behind quote marks
    end: int
    text: str


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return the offsets of the sentences of Markdown `text`, in order, trimmed, never overlapping.

    List items and table rows stand alone (a long item may hold several sentences); headings, fenced code, rules and a
    table's header and delimiter rows are left out; the lines of a hard-wrapped paragraph join, so a span may cover a
    newline. Every span holds at least one letter or digit.
    Cost: O(len(text)).
    """
    return [
        span
        for start, end, row in _blocks(text)
        for span in ([(start, end)] if row else _split(text, start, end))
        if any(char.isalnum() for char in text[slice(*span)])
    ]


def _blocks(text: str) -> Iterator[tuple[int, int, bool]]:
    """Yield (start, end, is a table row) for every block that holds sentences."""
    lines, table, skip_to = list(_lines(text)), False, 0
    paragraph: list[_Line] = []
    closings = _closing_fences(lines)
    for number, line in enumerate(lines):
        if number < skip_to:
            continue
        following = lines[number + 1].text if number + 1 < len(lines) else ""
        header = "|" in line.text and DELIMITER.fullmatch(following) is not None
        row = not header and "|" in line.text and (table or line.text.lstrip().startswith("|"))
        fence = _FENCE.match(line.text)
        heading = _HEADING.match(line.text) or (
            _UNDERLINE.match(following) and not paragraph and not row and line.text.strip()
        )
        if paragraph and (
            header
            or row
            or fence
            or heading
            or not line.text.strip()
            or _RULE.match(line.text)
            or ITEM.match(line.text)
        ):
            yield from _units(paragraph)
            paragraph = []
        if fence:
            # An unclosed fence hides only its own line: a chunk may begin inside a block, and prose after it must not
            # be lost.
            skip_to = closings.get(number, number) + 1
        elif header:
            table, skip_to = True, number + 2
        elif row:
            if not DELIMITER.fullmatch(line.text):
                yield (*_trim(text, line.start, line.end), True)
        elif heading and not _HEADING.match(line.text) and not ITEM.match(line.text):
            skip_to = number + 2  # an underlined heading
        elif line.text.strip() and not heading and not _RULE.match(line.text):
            paragraph.append(line)
        table = header or (table and "|" in line.text)
    yield from _units(paragraph)


def _lines(text: str) -> Iterator[_Line]:
    start = 0
    for raw in text.split("\n"):
        quote = QUOTE.match(raw)
        indent = quote.end() if quote else 0
        yield _Line(start + indent, start + len(raw), raw[indent:].rstrip())
        start += len(raw) + 1


def _closing_fences(lines: list[_Line]) -> dict[int, int]:
    """Map the number of each opening fence line to that of its closing one."""
    pairs: dict[int, int] = {}
    opened, mark = -1, ""
    for number, line in enumerate(lines):
        if not (fence := _FENCE.match(line.text)):
            continue
        if opened < 0:
            opened, mark = number, fence[1]
        elif fence[1].startswith(mark) and not fence[2].strip():
            pairs[opened], opened = number, -1
    return pairs


def _units(paragraph: list[_Line]) -> Iterator[tuple[int, int, bool]]:
    """Split a paragraph where its author meant the line break: `Label: value` lines, short lines before a capital."""
    if not paragraph:
        return
    width = max(len(line.text) for line in paragraph)
    labels = [bool(_LABEL.match(line.text)) for line in paragraph] + [False]
    first = paragraph[0]
    marker = ITEM.match(first.text)
    start = first.start + (marker.end() if marker else 0)
    for number, (line, following) in enumerate(pairwise(paragraph)):
        labelled = labels[number + 1] and (labels[number] or labels[number + 2])
        short = (
            len(line.text) < _SHORT_LINE * width and line.text[-1:].isalnum() and following.text.lstrip()[:1].isupper()
        )
        if labelled or (short and line.text.split()[-1].lower() not in _STARTERS):
            yield start, line.end, False
            start = following.start
    yield start, paragraph[-1].end, False


def _split(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for stop in _STOP.finditer(text, start, end):
        if stop.end() < end and _ends_sentence(text, start, stop, end):
            yield _trim(text, start, stop.end())
            start = stop.end()
    yield _trim(text, start, end)


def _ends_sentence(text: str, start: int, stop: re.Match[str], end: int) -> bool:
    following = _AFTER.match(text, stop.end(), end)
    word = following[1] if following else ""
    if word[:1].islower():
        return text[stop.start()] in "。！？"
    if text[stop.start()] != "." or stop[0].startswith(".."):
        return True
    before = _BEFORE.search(text, max(start, stop.start() - 40), stop.start())
    last, starter = (before[0] if before else ""), word.lower() in _STARTERS
    name = last.lower()
    if name in _NEVER_LAST:
        return False
    if name in _BEFORE_NUMBER and word[:1].isdigit():
        return False
    if (
        last.isdigit()
        and len(last) <= 2
        and (word.lower() in _MONTHS or not text[start : stop.start() - len(last)].strip())
    ):
        return False
    if name in _MAYBE_LAST or (len(last) == 1 and last.isalpha()) or re.fullmatch(r"(?:\w{1,2}\.)+\w{1,2}", last):
        return starter or not word
    return True


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and (text[start].isspace() or text[start] == ">"):
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
