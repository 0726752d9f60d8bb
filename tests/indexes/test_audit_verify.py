"""Whatever is done to the files of an audit log, verification finds it; what a verdict notes finds a log written anew."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from indexes.audit import AuditLog, SeenChunk
from indexes.audit_chain import Sealer
from indexes.audit_verify import MOST_FAULTS

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SEGMENTS = (1, 2, 3)
RECORDS = 14
"""Five in a segment, four in the last."""


def open_log(folder: Path, key: str = "secret") -> AuditLog:
    return AuditLog(folder, key=key, segment_records=5, clock=lambda: NOON)


@pytest.fixture(scope="module", params=["secret", ""], ids=["key", "no key"])
def key(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def whole(key: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log in which two neighbouring records may differ by nothing but their place."""
    folder = tmp_path_factory.mktemp("whole") / "audit"
    for number in range(RECORDS):
        chunks = [SeenChunk(f"c{number}", "a.md", 1, ("everyone",))] * (number % 3)
        open_log(folder, key).append("search", subject="user:alice", chunks=chunks)
    return folder


@contextmanager
def copy_of(whole: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield Path(shutil.copytree(whole, Path(place) / "audit"))


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


@given(data=st.data())
def test_any_changed_byte_is_found(whole: Path, key: str, data: st.DataObject) -> None:
    with copy_of(whole) as folder:
        path = data.draw(st.sampled_from(sorted(folder.iterdir())))
        content = bytearray(path.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        assert not open_log(folder, key).verify().ok


@given(data=st.data())
def test_any_truncation_is_found(whole: Path, key: str, data: st.DataObject) -> None:
    with copy_of(whole) as folder:
        path = data.draw(st.sampled_from(sorted(folder.iterdir())))
        path.write_bytes(path.read_bytes()[: data.draw(st.integers(0, path.stat().st_size - 1))])
        assert not open_log(folder, key).verify().ok


@given(data=st.data())
def test_any_bytes_put_in_anywhere_are_found(whole: Path, key: str, data: st.DataObject) -> None:
    with copy_of(whole) as folder:
        path = data.draw(st.sampled_from(sorted(folder.iterdir())))
        content = path.read_bytes()
        place = data.draw(st.integers(0, len(content)))
        added = data.draw(st.sampled_from([b" ", b"\n", b"\r\n", b"  \n", b"\0", b"{}\n"]) | st.binary(min_size=1))
        # The beginning of the next record, at the end, is what a writer leaves that a crash has stopped.
        assume(place < len(content) or not b'{"seq":15,"time":"'.startswith(added[:18]))
        path.write_bytes(content[:place] + added + content[place:])
        assert not open_log(folder, key).verify().ok


@given(data=st.data())
def test_any_line_dropped_repeated_or_moved_is_found(whole: Path, key: str, data: st.DataObject) -> None:
    with copy_of(whole) as folder:
        lines = {number: lines_of(folder / f"{number:06d}.jsonl") for number in SEGMENTS}
        places = [(number, place) for number in SEGMENTS for place in range(len(lines[number]))]
        (number, place), (other, target) = data.draw(
            st.lists(st.sampled_from(places), min_size=2, max_size=2, unique=True)
        )
        what = data.draw(st.sampled_from(["drop", "repeat", "swap", "overwrite"]))
        if what == "drop":
            del lines[number][place]
        elif what == "repeat":
            lines[other].insert(target, lines[number][place])
        else:
            first, second = lines[number][place], lines[other][target]
            lines[other][target] = first
            if what == "swap":
                lines[number][place] = second
        for each, content in lines.items():
            (folder / f"{each:06d}.jsonl").write_bytes(b"".join(content))
        assert not open_log(folder, key).verify().ok


@pytest.mark.parametrize("number", SEGMENTS)
def test_a_missing_segment_is_named(whole: Path, key: str, number: int) -> None:
    with copy_of(whole) as folder:
        (folder / f"{number:06d}.jsonl").unlink()
        faults = [str(fault) for fault in open_log(folder, key).verify().faults]
    expected = (
        "head.json: records 11 to 14 are missing at the end"
        if number == 3
        else f"00000{number}.jsonl: the segment is missing"
    )
    assert expected in faults


def test_segments_renamed_or_added_are_found(whole: Path, key: str) -> None:
    with copy_of(whole) as folder:
        shutil.copy(folder / "000001.jsonl", folder / "000004.jsonl")
        assert not open_log(folder, key).verify().ok
        (folder / "000004.jsonl").rename(folder / "000000.jsonl")
        assert not open_log(folder, key).verify().ok
    with copy_of(whole) as folder:
        for number in reversed(SEGMENTS):
            (folder / f"{number:06d}.jsonl").rename(folder / f"{number + 1:06d}.jsonl")
        assert not open_log(folder, key).verify().ok


def test_a_fault_names_segment_line_and_what(whole: Path, key: str) -> None:
    with copy_of(whole) as folder:
        path = folder / "000002.jsonl"
        path.write_bytes(path.read_bytes().replace(b"user:alice", b"user:carol", 1))
        verdict = open_log(folder, key).verify()
    assert [fault.to_json() for fault in verdict.faults] == [
        {"segment": "000002.jsonl", "line": 1, "what": "changed: the line is not as it was written"}
    ]
    assert verdict.to_json()["ok"] is False


def test_a_log_that_is_gone_is_not_whole(tmp_path: Path) -> None:
    verdict = open_log(tmp_path / "audit").verify()
    assert [str(fault) for fault in verdict.faults] == [
        "head.json: missing: nothing was logged yet, or all of it is gone"
    ]


def test_without_a_key_only_a_noted_hash_tells_a_log_written_anew(tmp_path: Path) -> None:
    log = open_log(tmp_path / "audit", key="")
    for _ in range(3):
        log.append("search", subject="user:alice")
    noted = log.verify().head
    log.append("search", subject="user:alice")
    assert log.verify(expected_head=noted).ok
    assert log.verify(expected_head=noted.upper() + "\n").ok
    shutil.rmtree(tmp_path / "audit")
    for _ in range(4):
        log.append("search", subject="user:bob")
    assert log.verify().ok
    assert "no record has the expected hash" in str(log.verify(expected_head=noted).faults[0])


def test_with_a_key_nobody_else_can_go_on_with_the_log(whole: Path, key: str) -> None:
    if not key:
        pytest.skip("anybody can, without a key")
    with copy_of(whole) as folder:
        last = open_log(folder, key).verify()
        forged, _ = Sealer("guess").seal(
            {"seq": last.seq + 1, "time": NOON.isoformat(), "kind": "search", "prev": last.head}
        )
        with (folder / "000003.jsonl").open("ab") as file:
            file.write(forged)
        assert not open_log(folder, key).verify().ok


@pytest.mark.parametrize(
    "fields", [{}, {"seq": "1"}, {"seq": 15, "detail": []}, {"seq": 15, "detail": {}, "time": ""}], ids=str
)
def test_a_sealed_line_that_is_no_record_is_a_fault_and_no_crash(tmp_path: Path, fields: dict[str, object]) -> None:
    log = open_log(tmp_path / "audit", key="")
    log.append("search", subject="user:alice")
    line, _ = Sealer("").seal({"x": 1, **fields})
    with (tmp_path / "audit" / "000001.jsonl").open("ab") as file:
        file.write(line)
    assert str(log.verify().faults[0]).startswith("000001.jsonl:2: changed")
    log.append("search", subject="user:alice")
    assert not log.verify().ok


def test_a_log_with_everything_wrong_is_not_reported_line_by_line(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit", segment_records=500)
    for _ in range(MOST_FAULTS + 50):
        log.append("search", subject="user:alice")
    path = tmp_path / "audit" / "000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b"alice", b"carol"))
    assert len(log.verify().faults) == MOST_FAULTS


def test_a_copy_that_cannot_be_written_is_verified_too(whole: Path, key: str) -> None:
    with copy_of(whole) as folder:
        for path in (*folder.iterdir(), folder):
            path.chmod(0o500 if path.is_dir() else 0o400)
        assert open_log(folder, key).verify().records == RECORDS
        folder.chmod(0o700)


def test_verification_while_retention_removes_segments_reports_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "audit"
    log = AuditLog(folder, segment_records=2)
    for _ in range(9):
        log.append("search", subject="user:alice")
    from indexes import audit_verify

    take = audit_verify.take_snapshot

    def take_and_prune(place: Path) -> object:
        seen = take(place)
        monkeypatch.undo()
        assert log.prune(datetime(2100, 1, 1)) == 9
        return seen

    monkeypatch.setattr(audit_verify, "take_snapshot", take_and_prune)
    verdict = log.verify()
    assert (verdict.ok, verdict.records) == (True, 1), verdict.faults


@pytest.mark.slow
def test_ten_thousand_events_verify(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit", key="secret", segment_records=3000)
    chunks = [SeenChunk(f"{number:032x}", f"doc-{number}", number, ("group:finance",)) for number in range(10)]
    for _ in range(10_000):
        log.append("search", subject="user:alice", collection="company", chunks=chunks)
    verdict = log.verify()
    assert (verdict.ok, verdict.records, verdict.seq) == (True, 10_000, 10_000)
