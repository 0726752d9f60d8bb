"""Text that an audit log's records speak of, kept beside the chain so that it can be erased and the chain still holds.

A record has a commitment in the text's place: `{"hmac": HEX}`, the HMAC-SHA256 of the text under a key drawn for it alone. Text and key lie
in `000001.texts`, one JSON line each, beside the segment of the record. Once they are gone the commitment tells nothing of the text,
not even to whoever guesses it; while they are there, a changed text is told from the one that was written.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from indexes.audit_chain import json_bytes

FIELD = "query"
"""The member of a record's `detail` that is text."""


def texts_path(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.texts"


def committed(text: str) -> tuple[dict[str, str], bytes]:
    """Return what a record says in place of the text, and the line that keeps the text beside it."""
    key = secrets.token_hex(16)
    digest = _commitment(key, text)
    return {"hmac": digest}, _line(digest, key, text)


def commitment_of(record: Mapping[str, Any]) -> str | None:
    """Return the commitment that a record has in its text's place, None where it has none, as one of before 2026-11-22 may have text itself."""
    said = record["detail"].get(FIELD)
    found = said.get("hmac") if isinstance(said, dict) else None
    return found if isinstance(found, str) else None


def inline_text(record: Mapping[str, Any]) -> str | None:
    """Return the text that stands in the record itself, as it did in logs of earlier versions."""
    said = record["detail"].get(FIELD)
    return said if isinstance(said, str) else None


def read_lines_of_texts(folder: Path, number: int) -> dict[str, tuple[str, bytes]]:
    """Return by commitment the texts beside a segment, each with its line. A line that is not as it was written is passed over."""
    try:
        lines = texts_path(folder, number).read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return {}
    found = {}
    for line in lines:
        try:
            said = json.loads(line)
            digest, key, text = said["hmac"], said["key"], said["text"]
            if line == _line(digest, key, text) and _commitment(key, text) == digest:
                found[digest] = (text, line)
        except (ValueError, KeyError, TypeError):
            continue
    return found


def text_of(record: Mapping[str, Any], texts: Mapping[str, tuple[str, bytes]]) -> str | None:
    """Return the text that a record speaks of, None where it speaks of none or the text was erased."""
    if (inline := inline_text(record)) is not None:
        return inline
    digest = commitment_of(record)
    return texts[digest][0] if digest is not None and digest in texts else None


def write_texts(path: Path, lines: Iterable[bytes]) -> None:
    """Put these lines in the file's place at once; no file where there are none."""
    data = b"".join(lines)
    if not data:
        path.unlink(missing_ok=True)
        return
    aside = path.with_name(path.name + ".tmp")
    write_synced(aside, data)
    os.replace(aside, path)


def write_synced(path: Path, data: bytes) -> None:
    """Write a file that lasts before this returns, readable by its owner alone."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def ranges(numbers: Iterable[int]) -> list[list[int]]:
    """Write whole numbers as [first, last] of each run, ascending."""
    found: list[list[int]] = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def outside(numbers: Iterable[int], found: Iterable[tuple[int, int]]) -> list[int]:
    """Return the numbers that are in none of the ranges, ascending."""
    left = sorted(set(numbers))
    for first, last in found:
        del left[bisect_left(left, first) : bisect_right(left, last)]
    return left


def redacted_ranges(record: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Return which records' texts a record says were erased; what it says wrongly counts for nothing."""
    said = record["detail"].get("redacted")
    pairs = said if isinstance(said, list) else []
    return [(pair[0], pair[1]) for pair in pairs if isinstance(pair, list) and [type(end) for end in pair] == [int] * 2]


def _line(digest: str, key: str, text: str) -> bytes:
    return json_bytes({"hmac": digest, "key": key, "text": text}) + b"\n"


def _commitment(key: str, text: str) -> str:
    return hmac.digest(bytes.fromhex(key), json_bytes(text), "sha256").hex()
