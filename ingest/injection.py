"""Text in a document that talks to the model instead of to the reader.

Rules for the wording such instructions share (`ingest.injection_rules`). A document is not hidden for them: its collection's contract
says what becomes of it, and answers neither quote such sentences nor take them as evidence. What the rules cannot tell is a task that says
nothing of a model or of its reply; retrieved text is data, and nothing here, or elsewhere, obeys it.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ingest.clean import strip_invisible
from ingest.injection_rules import AHEAD, DICTATING, OPENING, SLOT
from ingest.sentences import sentence_spans

RULES = "injection/1"
"""Raised when the rules change, so that unchanged documents are looked at again."""

_OF_A_REPLY = re.compile(r"repl|answer|respon|output|message", re.IGNORECASE)
_PARAGRAPH_END = re.compile(r"\n(?=[ \t]*(?:\n|\||#{1,6}\s|```|~~~))")
_LINE = re.compile(r"[^\n]+")
_EMPHASIS = re.compile(r"[*`~]|__")
_LOOKALIKES = str.maketrans("аеорсухіѕԁΑΒΕΗΙΚΜΝΟΡΤΧАВЕКМНОРСТХІЅ", "aeopcyxisdABEHIKMNOPTXABEKMHOPCTXIS")
_BLOB = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{24,20000}={0,2}(?![\w+/=-])")
_MOST_BLOBS = 200
"""Encoded stretches of one text that are looked into; the first ones."""


@dataclass(frozen=True, slots=True)
class Planted:
    """`text[start:end]` talks to a model.

    instruction: a sentence that does. exfiltration: an image whose address leaves a place open for data. encoded: base64 or
    hexadecimal digits of text that talks to a model.
    """

    start: int
    end: int
    kind: Literal["instruction", "exfiltration", "encoded"]


def planted(text: str) -> list[Planted]:
    """Return what in a document's text talks to a model, by ascending start.

    Headings and code are looked at too. Cost: linear; about 1.3 ms for 1,000 characters.
    """
    found = [Planted(start, end, "instruction") for start, end in _pieces(text) if addresses_model(text[start:end])]
    return sorted([*found, *_disguised(text)], key=lambda span: (span.start, span.end))


def addresses_model(sentence: str) -> bool:
    """Return whether the sentence, as it stands in the document, reads as an instruction to a model."""
    shown = _shown(sentence)
    return _opens(shown) or _dictates(shown)


def tainted_spans(text: str) -> list[tuple[int, int]]:
    """Return what of `text` no answer may rest on, in order, never overlapping.

    A sentence that talks to a model taints what follows to the end of its paragraph, for that may be what it wants said; one that only
    dictates the reply's form taints itself. So does whatever is encoded or an image open for data.
    """
    reached = [(span.start, span.end) for span in _disguised(text)]
    for start, end in _pieces(text):
        shown = _shown(text[start:end])
        if _opens(shown) or (_dictates(shown) and AHEAD.search(shown)):
            ahead = _PARAGRAPH_END.search(text, end)
            reached.append((start, ahead.start() if ahead else len(text)))
        elif _dictates(shown):
            reached.append((start, end))
    merged: list[tuple[int, int]] = []
    for start, end in sorted(reached):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Every sentence, and the lines that are none: headings, code, a table's header."""
    at = 0
    for start, end in [*sentence_spans(text), (len(text), len(text))]:
        for line in _LINE.finditer(text, at, start):
            if any(char.isalnum() for char in line[0]):
                yield line.span()
        if start < end:
            yield start, end
        at = end


def _shown(sentence: str) -> str:
    """The sentence as it looks: without markup for emphasis, in plain letters where others only look like them."""
    text = strip_invisible(sentence)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        if re.search("[a-zA-Z]", text):
            text = text.translate(_LOOKALIKES)
    return " ".join(_EMPHASIS.sub("", text).split())


def _opens(shown: str) -> bool:
    return any(rule.search(shown) for rule in OPENING)


def _dictates(shown: str) -> bool:
    return bool(_OF_A_REPLY.search(shown)) and any(rule.search(shown) for rule in DICTATING)


def _disguised(text: str) -> Iterator[Planted]:
    """What is no sentence: images open for data, and encoded instructions."""
    yield from (Planted(*match.span(), "exfiltration") for match in SLOT.finditer(text))
    yield from (Planted(start, end, "encoded") for start, end in _encoded(text))


def _encoded(text: str) -> Iterator[tuple[int, int]]:
    for number, blob in enumerate(_BLOB.finditer(text)):
        if number == _MOST_BLOBS:
            return
        if any(addresses_model(line) for decoded in _decoded(blob[0]) for line in decoded.splitlines()):
            yield blob.span()


def _decoded(blob: str) -> Iterator[str]:
    """What the digits say, if that is text."""
    bare = blob.rstrip("=")
    for decode in (bytes.fromhex, lambda digits: base64.b64decode(digits + "=" * (-len(digits) % 4), altchars=b"-_")):
        try:
            yield decode(bare).decode("utf-8")
        except (ValueError, binascii.Error):
            continue
