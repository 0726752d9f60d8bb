"""Receipts hold what they were sealed with, give nothing away, and their fingerprints find what is still there."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.errors import ConfigFileError, ReceiptNotFound
from rag.fingerprints import Fingerprinter
from rag.lore.items import Receipt
from rag.receipts import KEY_FILE, fingerprints_of, from_json, issue, load, save, seal_holds, to_json

AT = datetime(2026, 11, 22, 9, tzinfo=UTC)


def receipt(home: Path, **changes: Any) -> Receipt:
    given = {"tenant": "t", "by": "operator", "about": "document a", "counts": {"documents": 1}, "at": AT}
    return issue(home, **(given | changes))


@pytest.mark.parametrize(
    "change",
    [
        {"by": "user:eve"}, {"about": "document b"}, {"counts": {"documents": 2}}, {"digests": ()}, {"tenant": "u"},
        {"notes": ("a log is kept",)}, {"salt": "00"}, {"id": "0"}, {"at": AT.replace(hour=10)}, {"seal": ""}, {"seal": "é"},
    ],
)  # fmt: skip
def test_a_receipt_with_any_field_changed_does_not_hold(tmp_path: Path, change: dict[str, Any]) -> None:
    issued = receipt(tmp_path, strings=["a sentence of more than thirty-two bytes"])
    assert seal_holds(tmp_path, issued)
    assert not seal_holds(tmp_path, replace(issued, **change))


def test_a_receipt_does_not_hold_in_another_home(tmp_path: Path) -> None:
    issued = receipt(tmp_path / "one")
    assert not seal_holds(tmp_path / "two", issued)
    receipt(tmp_path / "two")
    assert not seal_holds(tmp_path / "two", issued)


def test_it_survives_its_file_and_holds_no_text(tmp_path: Path) -> None:
    issued = receipt(tmp_path, strings=["Saltmarsh bailiff 90417 drank the quinine"])
    path = save(tmp_path, issued)
    assert load(path) == issued
    assert seal_holds(tmp_path, load(path))
    assert "altmarsh" not in path.read_text()
    assert {path.stat().st_mode & 0o777, (tmp_path / KEY_FILE).stat().st_mode & 0o777} == {0o600}


def test_what_stays_where_it_cannot_be_reached_is_under_the_seal_too(tmp_path: Path) -> None:
    issued = receipt(tmp_path, notes=["the server's log is kept"])
    assert load(save(tmp_path, issued)) == issued
    assert seal_holds(tmp_path, issued)
    assert not seal_holds(tmp_path, replace(issued, notes=()))


def test_a_receipt_without_notes_is_written_as_before_there_were_any(tmp_path: Path) -> None:
    assert to_json(receipt(tmp_path)).keys() == {
        "id", "at", "tenant", "by", "about", "counts", "digests", "salt", "seal",
    }  # fmt: skip


def test_the_same_string_looks_different_in_every_receipt(tmp_path: Path) -> None:
    one, two = (receipt(tmp_path, strings=["Saltmarsh bailiff 90417"]) for _ in range(2))
    assert one.digests
    assert not {*one.digests} & {*two.digests}


def test_what_stays_elsewhere_has_no_fingerprint(tmp_path: Path) -> None:
    shared = "For internal use by the staff of Halden only."
    issued = receipt(tmp_path, strings=[shared, "Saltmarsh bailiff 90417 drank"], kept=[f"Intro. {shared} End."])
    finder = fingerprints_of(tmp_path, issued.salt).finder(issued.digests)
    assert not finder.found([shared.encode()])
    assert finder.found([b"xx Saltmarsh bailiff 90417 drank"])


@pytest.mark.parametrize("wrong", ["", "[]", "{}", '{"id": 1}', "not json", "null", "[" * 100_000])
def test_a_file_that_is_no_receipt_is_named(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "r.json").write_text(wrong)
    with pytest.raises(ConfigFileError, match=r"r\.json.*receipt"):
        load(tmp_path / "r.json")


def test_a_missing_receipt_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReceiptNotFound, match=r"none\.json"):
        load(tmp_path / "none.json")


def test_a_receipt_with_more_in_it_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="note"):
        from_json(to_json(receipt(tmp_path)) | {"note": "x"})


def test_a_damaged_key_is_told_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_bytes(b"short")
    with pytest.raises(ConfigFileError, match="5 bytes"):
        receipt(tmp_path)
    assert (tmp_path / KEY_FILE).read_bytes() == b"short"


WORDS = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=8, max_size=120)


@given(WORDS, st.binary(max_size=200), st.binary(max_size=200), st.lists(st.integers(0, 700), max_size=4))
def test_a_copy_is_found_wherever_it_lies_and_however_it_is_read(
    text: str, before: bytes, after: bytes, cuts: list[int]
) -> None:
    """As UTF-8 and as ASCII JSON, in pieces of any size."""
    fingerprinter = Fingerprinter(b"key")
    prints = fingerprinter.of([text])
    for copy in (text.encode(), json.dumps(text)[1:-1].encode(), json.dumps(text, ensure_ascii=False)[1:-1].encode()):
        data = before + copy + after
        ends = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
        pieces = [data[start:end] for start, end in pairwise(ends)]
        if prints:
            assert fingerprinter.finder(prints).found(pieces)


@given(WORDS, st.data())
def test_any_part_of_63_bytes_is_found_at_its_place(text: str, data: st.DataObject) -> None:
    whole = (text * 12).encode()
    prints = Fingerprinter(b"key").of([whole])
    at = data.draw(st.integers(0, len(whole) - 63))
    noise = b"\0" * 40
    found = Fingerprinter(b"key").finder(prints).found([noise + whole[at : at + 63]])
    assert found
    assert min(found.values()) >= 40 - 31


@given(st.binary(max_size=5000))
def test_bytes_that_hold_no_copy_are_silent(data: bytes) -> None:
    prints = Fingerprinter(b"key").of(["the quick brown fox jumps over 13 lazy dogs", "Übermut tut selten gut"])
    assert not Fingerprinter(b"key").finder(prints).found([data])
