"""Text leaves an audit log for good, the log still verifies, and nothing else can make text go without a word."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from indexes import audit_redact, audit_write
from indexes.audit import AuditLog
from indexes.audit_chain import Sealer
from indexes.audit_texts import texts_path
from indexes.audit_write import AuditWriter, new_event
from indexes.errors import IndexBackendError

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SECRET = 'what does Alice Éowyn\'s "salary" come to'


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture(params=["secret", ""], ids=["key", "no key"])
def key(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def open_log(folder: Path, key: str) -> AuditLog:
    return AuditLog(folder, key=key, keep_queries=True, segment_records=4, clock=lambda: NOON)


def beside(folder: Path, key: str) -> AuditLog:
    """A log of nine questions, three of them Alice's."""
    log = open_log(folder, key)
    for number in range(9):
        subject = "user:alice" if number % 3 == 0 else "user:bob"
        log.append("search", subject=subject, query=SECRET if number % 3 == 0 else f"question {number}")
    return log


def inside(folder: Path, key: str) -> AuditLog:
    """The same as an earlier version wrote it, text in the lines."""
    writer = AuditWriter(folder, Sealer(key), False, 4, lambda: NOON)
    for number in range(9):
        subject = "user:alice" if number % 3 == 0 else "user:bob"
        detail = {"query": SECRET if number % 3 == 0 else f"question {number}", "top_k": 3}
        writer.append(new_event("search", subject=subject, detail=detail))
    return open_log(folder, key)


MAKERS = [beside, inside]


def of_alice(record: Any, _text: str) -> bool:
    return bool(record["subject"] == "user:alice")


def raw(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


@pytest.mark.parametrize("make", MAKERS)
def test_only_the_wanted_texts_go_and_the_log_verifies(make: Callable[..., AuditLog], tmp_path: Path, key: str) -> None:
    log = make(tmp_path / "audit", key)
    before = list(log.read())
    assert log.redact(of_alice, subject="operator", detail={"receipt": "r"}) == 3
    after = list(log.read())
    assert log.verify().ok
    assert b"salary" not in raw(tmp_path / "audit")
    assert [one["detail"]["query"] for one in after[:9]] == [
        None if number % 3 == 0 else f"question {number}" for number in range(9)
    ]
    unchanged = {"seq", "time", "kind", "subject", "chunks", "via"}
    assert [{name: one[name] for name in unchanged} for one in before] == [
        {name: one[name] for name in unchanged} for one in after[:9]
    ]
    assert (after[9]["kind"], after[9]["subject"]) == ("erasure", "operator")
    assert after[9]["detail"].items() >= {"receipt": "r", "redacted": [[1, 1], [4, 4], [7, 7]]}.items()


@pytest.mark.parametrize("make", MAKERS)
def test_again_nothing_is_left_to_erase_and_nothing_is_written(
    make: Callable[..., AuditLog], tmp_path: Path, key: str
) -> None:
    log = make(tmp_path / "audit", key)
    log.redact(of_alice, subject="operator")
    before = raw(tmp_path / "audit")
    assert log.redact(of_alice, subject="operator") == 0
    assert raw(tmp_path / "audit") == before


@pytest.mark.parametrize("make", MAKERS)
def test_the_log_goes_on_and_prunes_as_ever(make: Callable[..., AuditLog], tmp_path: Path, key: str) -> None:
    log = make(tmp_path / "audit", key)
    log.redact(of_alice, subject="operator")
    for _ in range(6):
        log.append("ask", subject="user:alice", query=SECRET)
    assert log.verify().ok
    assert log.redact(of_alice, subject="operator") == 6
    assert log.verify().ok
    log.prune(NOON.replace(day=2))
    assert log.verify().ok
    assert [path.suffix for path in (tmp_path / "audit").iterdir() if path.suffix == ".texts"] == []


def test_the_last_head_noted_before_a_log_was_written_anew_is_recognised(tmp_path: Path, key: str) -> None:
    log = inside(tmp_path / "audit", key)
    noted = log.verify().head
    log.redact(of_alice, subject="operator")
    assert log.verify(expected_head=noted).ok
    assert not log.verify(expected_head="0" * 63 + "1").ok


@pytest.mark.parametrize("harm", ["drop", "change", "swap"])
def test_a_text_that_goes_or_changes_without_an_erasure_is_a_fault(tmp_path: Path, key: str, harm: str) -> None:
    log = beside(tmp_path / "audit", key)
    path = texts_path(tmp_path / "audit", 1)
    lines = path.read_bytes().splitlines(keepends=True)
    changed = {
        "drop": lines[1:],
        "change": [lines[0].replace(b"salary", b"holidays"), *lines[1:]],
        "swap": [lines[0].replace(b'"text":"', b'"text":"x'), *lines[1:]],
    }[harm]
    path.write_bytes(b"".join(changed))
    (fault,) = log.verify().faults
    assert (fault.segment, fault.line) == ("000001.jsonl", 1)
    assert "no erasure" in fault.what


def test_a_changed_log_is_evidence_and_stays_as_it_is(tmp_path: Path, key: str) -> None:
    log = beside(tmp_path / "audit", key)
    segment = tmp_path / "audit" / "000002.jsonl"
    segment.write_bytes(segment.read_bytes().replace(b"user:bob", b"user:eve", 1))
    before = raw(tmp_path / "audit")
    with pytest.raises(IndexBackendError, match="audit verify"):
        log.redact(of_alice, subject="operator")
    assert raw(tmp_path / "audit") == before


def test_no_log_needs_no_erasing(tmp_path: Path) -> None:
    assert open_log(tmp_path / "audit", "").redact(of_alice, subject="operator") == 0
    assert not (tmp_path / "audit").exists()


def test_the_texts_are_told_with_their_records(tmp_path: Path, key: str) -> None:
    for make in MAKERS:
        log = make(tmp_path / make.__name__, key)
        found = [(record["seq"], text) for record, text in log.texts()]
        assert found[:2] == [(1, SECRET), (2, "question 1")]
        assert len(found) == 9


def dying(calls: Iterator[int], at: int, function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == at:
            raise Killed
        return function(*args, **kwargs)

    return wrapped


@pytest.mark.parametrize("make", MAKERS)
def test_killed_at_any_step_the_log_is_whole_and_the_next_try_finishes(
    make: Callable[..., AuditLog], tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps are the writes, renames and removals; the next writer is an append in one half of the cases, the erasure itself in the other."""
    finished = False
    for at in range(60):
        folder = tmp_path / f"{at}" / "audit"
        log = make(folder, key)
        calls = count()
        with monkeypatch.context() as patch:
            for module, name in (
                (os, "replace"), (os, "pwrite"), (os, "write"), (Path, "unlink"),
                (audit_redact, "write_synced"), (audit_redact, "write_texts"), (audit_write, "texts_path"),
            ):  # fmt: skip
                patch.setattr(module, name, dying(calls, at, getattr(module, name)))
            try:
                log.redact(of_alice, subject="operator")
                finished = True
            except Killed:
                pass
        again = open_log(folder, key)
        if at % 2:
            again.append("search", subject="user:bob", query="another")
            assert again.verify().faults == () or all("left over" in str(one) for one in again.verify().faults)
        again.redact(of_alice, subject="operator")
        assert again.verify().ok
        assert b"salary" not in raw(folder)
        questions = {one["detail"].get("query") for one in again.read(subject="user:bob")}
        assert questions - {"another"} == {f"question {number}" for number in range(9) if number % 3}
        if finished:
            return
    pytest.fail("it never came to its end")
