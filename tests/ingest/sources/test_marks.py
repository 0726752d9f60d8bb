"""A mark changes whenever what it stands for may have changed, and is empty where that cannot be told."""

from __future__ import annotations

import io
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sources import SourceItem, marks, open_source
from ingest.sources.base import Place, checked
from ingest.sources.marks import RACY_NS, file_mark
from ingest.sources.rows import row_items

ROWS = st.lists(
    st.fixed_dictionaries(
        {"id": st.text(max_size=3) | st.integers(), "text": st.text(max_size=5)},
        optional={"title": st.text(max_size=3), "metadata": st.dictionaries(st.text(max_size=2), st.integers())},
    ),
    max_size=5,
)


def settled_mark(path: Path) -> str:
    """The file's mark once the clock has ticked on."""
    return file_mark(path.stat(), time.time_ns() + 2 * RACY_NS)


def lines(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def listed(data: bytes, place: Place = Place("r.jsonl", "file:///r.jsonl", alone=True)) -> list[SourceItem]:  # noqa: B008
    return list(checked(row_items(io.BytesIO(data), place)))


def content(item: SourceItem) -> tuple[object, ...]:
    return item.read(), item.title, json.dumps(item.metadata, sort_keys=True), item.uri


def test_a_file_written_just_now_has_no_mark_and_gets_one_when_the_clock_has_ticked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.md").write_text("x")
    (item,) = open_source(tmp_path).items()
    assert item.mark == "", "a second write within the same tick would leave time and size as they are"
    monkeypatch.setattr(marks, "RACY_NS", -RACY_NS * 10)  # as if the listing came long after
    (item,) = open_source(tmp_path).items()
    assert item.mark


def test_the_mark_of_an_untouched_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("x")
    before = settled_mark(path)
    path.read_bytes()
    assert settled_mark(path) == before != ""


def test_another_content_of_the_same_size_and_time_has_another_mark(tmp_path: Path) -> None:
    """Copying tools set times back; only the inode's own time of change tells."""
    path = tmp_path / "a.md"
    path.write_text("old")
    status, before = path.stat(), settled_mark(path)
    time.sleep(0.05)
    path.write_text("new")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    assert settled_mark(path) != before


def test_another_file_moved_to_the_place_has_another_mark(tmp_path: Path) -> None:
    path, other = tmp_path / "a.md", tmp_path / "b.md"
    path.write_text("old")
    other.write_text("new")
    os.utime(other, ns=(0, path.stat().st_mtime_ns))
    before = settled_mark(path)
    other.replace(path)
    assert settled_mark(path) != before


def test_a_time_in_the_future_gives_no_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("x")
    os.utime(path, ns=(0, time.time_ns() + 10**12))
    assert file_mark(path.stat(), time.time_ns() + 10**11) == ""


@given(ROWS, ROWS)
def test_rows_have_equal_marks_if_and_only_if_they_are_equal(first: list[Any], second: list[Any]) -> None:
    contents: dict[str, tuple[object, ...]] = {}
    for item in [*listed(lines(first)), *listed(lines(second))]:
        if item.mark:
            assert contents.setdefault(item.mark, content(item)) == content(item)
    by_line = {
        line.strip(): item.mark for line, item in zip(lines(first).splitlines(), listed(lines(first)), strict=True)
    }
    for line, item in zip(lines(second).splitlines(), listed(lines(second)), strict=True):
        if item.mark and by_line.get(line.strip()):
            assert by_line[line.strip()] == item.mark


@given(ROWS)
def test_a_row_changed_in_any_part_has_another_mark(rows: list[Any]) -> None:
    for before, row in zip(listed(lines(rows)), rows, strict=True):
        for changed in (
            row | {"text": row["text"] + "!"},
            row | {"title": "new title"},
            row | {"metadata": {"new": 1}},
        ):
            (after,) = listed(lines([changed]))
            assert not before.mark or after.mark != before.mark


@given(st.binary(max_size=200) | ROWS.map(lines), st.booleans())
def test_whatever_a_row_file_holds_its_ids_are_unique_and_its_order_is_stable(data: bytes, alone: bool) -> None:
    place = Place("a/r.jsonl", "file:///a/r.jsonl", alone=alone)
    names = [item.document_id for item in listed(data, place)]
    assert len(set(names)) == len(names)
    assert names == [item.document_id for item in listed(data, place)]
    assert all(name.strip() and len(name) <= 4096 and name.encode("utf-8") for name in names)


def test_marks_of_rows_do_not_depend_on_where_the_line_stands() -> None:
    row = {"id": 1, "text": "x"}
    assert (
        listed(lines([row]))[0].mark == listed(b"\n" + lines([{"id": 0, "text": "y"}]) + lines([row]).strip())[1].mark
    )
