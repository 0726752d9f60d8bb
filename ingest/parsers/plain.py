"""Plain text and JSONL rows, and how bytes become text."""

from __future__ import annotations

import codecs

from indexes.errors import ParseError
from ingest.parsers import Parsed

_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_GUESSABLE = 64
"""From so many bytes on, statistics tell one old encoding from another."""
_SAMPLE = 100_000


def decode(data: bytes, *, declared: str | None = None) -> str:
    """Return the text in `data`: by its byte order mark, as UTF-8, as `declared`, as detected, else with replacements.

    Raises:
        ParseError: it is not text in any encoding.
    """
    for mark, marked in _BOMS:
        if data.startswith(mark):
            return data.decode(marked, "replace")
    wide = _wide_encoding(data)
    if wide:
        return data.decode(wide, "replace")
    _check_is_text(data)
    # Seven-bit encodings such as ISO-2022-JP are valid UTF-8 and give themselves away by their escapes.
    for encoding in (declared, "utf-8") if b"\x1b" in data else ("utf-8", declared):
        try:
            if encoding:
                return data.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    return data.decode(_detected(data), "replace")


def _wide_encoding(data: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark: every second byte, or three of four, of mostly Latin text are zero."""
    sample = data[:4000]
    if len(sample) < 4 or sample.count(0) < len(sample) // 4:
        return None
    zeros = "".join("0" if sample[offset::4].count(0) * 4 / len(sample) > 0.7 else "x" for offset in range(4))
    return {"x0x0": "utf-16-le", "0x0x": "utf-16-be", "x000": "utf-32-le", "000x": "utf-32-be"}.get(zeros)


def _check_is_text(data: bytes) -> None:
    sample = data[:_SAMPLE]
    controls = sum(sample.count(code) for code in [*range(1, 8), *range(14, 27), *range(28, 32)])
    if sample.count(0) > len(sample) // 100 or controls > len(sample) // 20:
        raise ParseError("this is binary data, not text")


def _detected(data: bytes) -> str:
    from charset_normalizer import from_bytes

    # One bad byte in an otherwise good UTF-8 file should not turn the whole of it into another encoding.
    broken = data.decode("utf-8", "replace").count("\ufffd")
    high = sum(byte >= 0x80 for byte in data[:_SAMPLE])
    if broken * 10 < high:
        return "utf-8"
    if len(data) < _GUESSABLE:
        return "cp1252"
    guess = from_bytes(data[:_SAMPLE]).best()
    return guess.encoding if guess is not None else "cp1252"


def parse_text(data: bytes) -> Parsed:
    """Plain text as it stands."""
    return Parsed("", decode(data))


def parse_row(data: bytes) -> Parsed:
    """The text of a JSONL row as it stands; its title and metadata come with the row."""
    return Parsed("", data.decode("utf-8", "replace"))
