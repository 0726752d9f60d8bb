"""JSON Lines with line numbers: the reader that every evaluation file shares."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from indexes.errors import DatasetError


def read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield `(line, text)` for each line that is not blank; lines count from 1, a byte order mark is dropped.

    Raises:
        DatasetError: the file cannot be read, or a line is not UTF-8.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DatasetError(f"cannot be read: {error.strerror or error}", path=str(path)) from error
    for number, raw in enumerate(data.split(b"\n"), start=1):
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r")
        except UnicodeDecodeError as error:
            raise DatasetError(f"not UTF-8 at byte {error.start}", path=str(path), line=number) from error
        if text.strip():
            yield number, text


def read_objects(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield `(line, object)` for each line of a JSON Lines file.

    Raises:
        DatasetError: as `read_lines`; or a line is not one JSON object.
    """
    for number, text in read_lines(path):
        try:
            row = json.loads(text)
        except ValueError as error:
            raise DatasetError(f"not JSON: {error}", path=str(path), line=number) from error
        if not isinstance(row, dict):
            raise DatasetError(f"expected a JSON object, got {type(row).__name__}", path=str(path), line=number)
        yield number, row
