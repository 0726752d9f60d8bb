"""Text as it will be stored: one newline, one blank, one Unicode form, nothing invisible.

Invisible characters are dropped because they break matching, and because they are the usual carrier of text that a
person does not see and a model obeys (zero-width spaces, bidi overrides, Unicode tags, variation selectors).
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

_NEWLINES = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_BLANKS = re.compile("[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f"  # control characters but tab and newline
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # soft hyphen, joiners, fillers, Mongolian selectors
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f"  # zero width, bidi marks, overrides and isolates
    "\ufe00-\ufe0f\ufeff\ufff9-\ufffb\ufffe\uffff"  # variation selectors, byte order mark, annotations
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"  # musical controls, tags, more selectors
)
_TAGS = re.compile("[\U000e0020-\U000e007e]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_LIGATURE = re.compile("[\ufb00-\ufb06]")  # how typesetting draws some pairs; nobody searches for them
_LIGATURES = str.maketrans(dict(zip("ﬀﬁﬂﬃﬄﬅﬆ", ("ff", "fi", "fl", "ffi", "ffl", "st", "st"), strict=True)))
_MANY_NEWLINES = re.compile("\n{3,}")


def _few_marks(text: str) -> str:
    """Keep 30 combining marks in a row, as Unicode's stream-safe form does (UAX 15): ordering more takes quadratic time."""
    suspected, many = _many_marks()
    return many.sub(r"\1", text) if suspected.search(text) else text


@cache
def _many_marks() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """A quick pattern that finds every long run of marks and some others, and a slow one that finds no others."""
    marks = [chr(code) for code in range(0x300, 0x1F000) if unicodedata.combining(chr(code))]
    basic, every = "".join(mark for mark in marks if mark < "\U00010000"), "".join(marks)
    quick = re.compile(f"(?:[{basic}]|[\U00010000-\U0001efff]){{31}}")
    return quick, re.compile(f"([{every}]{{30}})[{every}]+")


def normalise(text: str) -> str:
    """Return `text` in NFC with `\\n` newlines, without control, zero-width and bidi characters or trailing blanks.

    At most one empty line stays between two lines, none at either end, and at most 30 accents on a letter. Every kind of
    blank but the tab becomes a space; ligatures become letters;
    a lone surrogate becomes U+FFFD. Idempotent.

    Cost: linear.
    """
    text = _NEWLINES.sub("\n", text)
    text = _BLANKS.sub(" ", text)
    text = _INVISIBLE.sub("", text)
    text = _SURROGATES.sub("\ufffd", text)
    # After the deletions, for they may bring a letter and its accent together.
    if not text.isascii():
        text = text.translate(_LIGATURES) if _LIGATURE.search(text) else text
        text = _few_marks(unicodedata.normalize("NFC", _few_marks(text)))
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    return _MANY_NEWLINES.sub("\n\n", text).strip("\n")


def tag_text(text: str) -> str:
    """Return what the Unicode tag characters of `text`, which nothing displays, spell in ASCII."""
    return "".join(chr(ord(char) - 0xE0000) for char in _TAGS.findall(text))


def strip_invisible(text: str) -> str:
    """Return `text` without control, format, bidi and tag characters, and surrogates; newline and tab stay."""
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    return "".join(char for char in text if char in "\n\t" or not _invisible(char))


def _invisible(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn"} or "\U000e0100" <= char <= "\U000e01ef"
