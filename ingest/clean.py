"""Text as it will be stored: one newline, one blank, one Unicode form, nothing invisible.

Invisible characters are dropped because they break matching, and because they are the usual carrier of text that a
person does not see and a model obeys (zero-width spaces, bidi overrides, Unicode tags, variation selectors).
"""

from __future__ import annotations

import re
import unicodedata

_NEWLINES = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_BLANKS = re.compile("[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f"  # control characters but tab and newline
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # soft hyphen, joiners, fillers, Mongolian selectors
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f"  # zero width, bidi marks, overrides and isolates
    "\ufe00-\ufe0f\ufeff\ufff9-\ufffb\ufffe\uffff"  # variation selectors, byte order mark, annotations
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"  # musical controls, tags, more selectors
)
_SURROGATES = re.compile("[\ud800-\udfff]")
_MANY_NEWLINES = re.compile("\n{3,}")


def normalise(text: str) -> str:
    """Return `text` in NFC with `\\n` newlines, without control, zero-width and bidi characters or trailing blanks.

    At most one empty line stays between two lines, none at either end. Every kind of blank but the tab becomes a space;
    a lone surrogate becomes U+FFFD. Idempotent.

    Cost: linear.
    """
    text = _NEWLINES.sub("\n", text)
    text = _BLANKS.sub(" ", text)
    text = _INVISIBLE.sub("", text)
    text = _SURROGATES.sub("\ufffd", text)
    # After the deletions, for they may bring a letter and its accent together.
    text = unicodedata.normalize("NFC", text)
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    return _MANY_NEWLINES.sub("\n\n", text).strip("\n")
