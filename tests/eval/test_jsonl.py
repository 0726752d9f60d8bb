"""The JSON Lines reader: line numbers, encodings, faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.jsonl import read_objects
from indexes.errors import DatasetError


def test_blank_lines_are_passed_over_but_counted(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n  \n{"a": "\xe2\x80\xa8"}')
    assert list(read_objects(file)) == [(1, {"a": 1}), (4, {"a": "\u2028"})]


@pytest.mark.parametrize(
    ("line", "says"),
    [(b"{", "not JSON"), (b"[1]", "got list"), (b'{"a": "\xff"}', "not UTF-8 at byte 7"), (b"NULL", "not JSON")],
)
def test_a_malformed_line_is_named_with_path_and_number(tmp_path: Path, line: bytes, says: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"{}\n" + line + b"\n")
    with pytest.raises(DatasetError, match=says) as caught:
        list(read_objects(file))
    assert (caught.value.path, caught.value.line) == (str(file), 2)
    assert str(caught.value).startswith(f"{file}:2: ")


def test_a_missing_file_is_a_dataset_error_without_a_line(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read") as caught:
        list(read_objects(tmp_path / "none.jsonl"))
    assert caught.value.line is None
