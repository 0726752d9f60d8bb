"""The audit log is written by anyone at once, read by conditions, pruned by age, and goes on after a crash."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from indexes.audit import AuditKind, AuditLog, SeenChunk
from indexes.errors import ConfigError, IndexBackendError
from indexes.settings import load_settings

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
BUDGET = SeenChunk("c1", "finance/budget.md", 2, ("group:finance",))
LEAVE = SeenChunk("c2", "handbook/leave.md", 1, ("everyone",))


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "audit"


@pytest.fixture
def log(folder: Path, clock: Clock) -> AuditLog:
    return AuditLog(folder, key="secret", segment_records=5, clock=clock)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_record_says_who_saw_which_chunk_by_which_rule(log: AuditLog) -> None:
    seq = log.append(
        AuditKind.SEARCH, subject="user:alice", actor="user:root", via="key:12", collection="company", build="b3",
        chunks=[BUDGET], detail={"top_k": 10},
    )  # fmt: skip
    (record,) = log.read()
    assert (record.pop("hash"), record.pop("prev")) == (log.verify().head, "0" * 64)
    assert record == {
        "seq": seq, "time": "2026-05-01T12:00:00.000000+00:00", "kind": "search", "subject": "user:alice",
        "actor": "user:root", "via": "key:12", "collection": "company", "build": "b3", "release": None,
        "chunks": [{"chunk_id": "c1", "document_id": "finance/budget.md", "class": 2, "by": ["group:finance"]}],
        "detail": {"top_k": 10},
    }  # fmt: skip


def test_what_was_asked_is_written_down_only_where_that_is_wanted(folder: Path, tmp_path: Path) -> None:
    for keep, where in ((False, folder), (True, tmp_path / "open")):
        log = AuditLog(where, keep_queries=keep)
        log.append("ask", subject="user:alice", query="who is pregnant?")
        (record,) = log.read()
        assert record["detail"] == ({"query": "who is pregnant?"} if keep else {})
        assert b"pregnant" not in (where / "000001.jsonl").read_bytes()
        assert [path.name for path in where.iterdir() if b"pregnant" in path.read_bytes()] == ["000001.texts"] * keep


def test_nobody_else_on_the_machine_reads_the_files(log: AuditLog, folder: Path) -> None:
    log.append("search", subject="user:alice")
    assert [oct(path.stat().st_mode & 0o777) for path in (folder, *folder.iterdir())] == ["0o700", "0o600", "0o600"]


def test_records_are_found_by_document_subject_kind_time_and_number(log: AuditLog, clock: Clock) -> None:
    log.append("search", subject="user:alice", chunks=[BUDGET, LEAVE])
    clock.now += timedelta(hours=1)
    log.append("ask", subject="user:bob", chunks=[LEAVE])
    clock.now += timedelta(days=1)
    log.append("search", subject="user:bob", actor="user:alice", chunks=[LEAVE])
    log.append("document.put", subject="user:bob", detail={"document_id": "finance/budget.md"})

    def found(**conditions: object) -> list[int]:
        return [record["seq"] for record in log.read(**conditions)]  # type: ignore[arg-type]

    assert found() == [1, 2, 3, 4]
    assert found(document="finance/budget.md") == [1, 4]
    assert found(document="group:finance") == []
    assert found(subject="user:alice") == [1, 3]
    assert found(kind="search") == [1, 3]
    assert found(kind="search", subject="user:bob") == [3]
    assert found(since=START + timedelta(hours=1)) == [2, 3, 4]
    assert found(until=START + timedelta(hours=1)) == [1]
    assert found(since=datetime(2026, 5, 2)) == [3, 4]
    assert found(after_seq=2) == [3, 4]
    assert found(after_seq=1, limit=2) == [2, 3]


def test_names_that_json_escapes_are_found_too(log: AuditLog) -> None:
    name = 'räum/"a"\n\ud800.md'
    log.append("search", subject="user:žofie", chunks=[SeenChunk("c", name, 1, ("everyone",))])
    assert len(list(log.read(document=name, subject="user:žofie"))) == 1
    assert log.verify().ok


def test_an_unknown_kind_is_refused_before_anything_is_written(log: AuditLog, folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"'serach'.*search"):
        log.append("serach", subject="user:alice")
    with pytest.raises(ConfigError, match="serach"):
        log.read(kind="serach")
    assert not folder.exists()


def test_a_detail_that_is_no_json_leaves_the_log_as_it_was(log: AuditLog) -> None:
    log.append("search", subject="user:alice")
    with pytest.raises(TypeError):
        log.append("search", subject="user:alice", detail={"what": object()})
    assert log.append("search", subject="user:alice") == 2
    assert log.verify().ok


def test_a_changed_record_is_not_handed_out(log: AuditLog, folder: Path) -> None:
    log.append("search", subject="user:alice")
    path = folder / "000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b"library", b"cli"))
    with pytest.raises(IndexBackendError, match=r"000001\.jsonl:1.*audit verify"):
        list(log.read(subject="user:alice"))


def test_segments_end_when_they_are_full_and_when_the_day_does(log: AuditLog, folder: Path, clock: Clock) -> None:
    for _ in range(6):
        log.append("search", subject="user:alice")
    assert files(folder) == ["000001.jsonl", "000002.jsonl", "head.json"]
    clock.now += timedelta(days=1)
    log.append("search", subject="user:alice")
    clock.now -= timedelta(days=3)  # set back: the record keeps its place, at the time of the one before
    log.append("search", subject="user:alice")
    assert files(folder) == ["000001.jsonl", "000002.jsonl", "000003.jsonl", "head.json"]
    assert [record["time"][:10] for record in log.read(after_seq=5)] == ["2026-05-01", "2026-05-02", "2026-05-02"]
    assert log.verify().ok


def test_another_key_is_refused_and_says_so(log: AuditLog, folder: Path) -> None:
    log.append("search", subject="user:alice")
    for key in ("", "other"):
        with pytest.raises(ConfigError, match="another audit_key"):
            AuditLog(folder, key=key).append("search", subject="user:bob")
        assert "another audit_key" in str(AuditLog(folder, key=key).verify().faults[0])
    assert [record["subject"] for record in log.read()] == ["user:alice"]


def test_settings_make_the_log(tmp_path: Path) -> None:
    settings = load_settings(audit_key="secret", audit_queries=True, audit_fsync=True)
    AuditLog.of(tmp_path, settings).append("search", subject="user:alice", query="budget")
    (record,) = AuditLog(tmp_path / "audit", key="secret").read()
    assert record["detail"] == {"query": "budget"}
    assert "secret" not in repr(settings)


# -- several writers ------------------------------------------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
from indexes.audit import AuditLog
log = AuditLog(Path(sys.argv[1]), key="secret", segment_records=5)
for number in range(40):
    log.append("search", subject=f"user:{sys.argv[2]}", detail={"number": number})
"""


def test_threads_and_processes_write_one_chain(folder: Path) -> None:
    logs = [AuditLog(folder, key="secret", segment_records=5) for _ in range(2)]

    def write(name: str, log: AuditLog) -> None:
        for number in range(40):
            log.append("search", subject=f"user:{name}", detail={"number": number})

    others = [subprocess.Popen([sys.executable, "-c", WRITER, folder, f"p{one}"], cwd=Path.cwd()) for one in range(3)]
    threads = [threading.Thread(target=write, args=(f"t{one}", logs[one % 2])) for one in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [other.wait() for other in others] == [0, 0, 0]
    verdict = logs[0].verify()
    assert verdict.ok, verdict.faults
    assert verdict.records == 7 * 40
    for name in ("p0", "p1", "p2", "t0", "t1", "t2", "t3"):
        numbers = [record["detail"]["number"] for record in logs[0].read(subject=f"user:{name}")]
        assert numbers == list(range(40))


# -- crashes --------------------------------------------------------------------------------------------------------------


def test_a_torn_last_line_is_cut_off_and_put_on_record(log: AuditLog, folder: Path) -> None:
    log.append("search", subject="user:alice")
    segment, head = folder / "000001.jsonl", (folder / "head.json").read_bytes()
    whole = len(segment.read_bytes())
    log.append("ask", subject="user:bob")
    written = segment.read_bytes()
    for end in (*range(whole + 1, len(written), 23), len(written) - 1):
        segment.write_bytes(written[:end])
        (folder / "head.json").write_bytes(head)
        assert log.verify().ok  # its append never returned
        assert log.append("search", subject="user:carol") == 3
        assert [record["kind"] for record in log.read()] == ["search", "recovered", "search"]
        assert next(log.read(kind="recovered"))["detail"] == {"reason": "torn", "bytes": end - whole}
        assert log.verify().ok


@pytest.mark.parametrize("days", [0, 1])
def test_a_torn_line_is_cut_off_where_it_is_though_the_next_record_begins_a_segment(
    log: AuditLog, folder: Path, clock: Clock, days: int
) -> None:
    for _ in range(4 if days else 5):
        log.append("search", subject="user:alice")
    written = log.verify().seq
    with (folder / "000001.jsonl").open("ab") as file:
        file.write(b'{"seq":%d,"ti' % (written + 1))
    clock.now += timedelta(days=days)
    log.append("search", subject="user:bob")
    assert files(folder) == ["000001.jsonl", "000002.jsonl", "head.json"]
    assert [record["kind"] for record in log.read(after_seq=written)] == ["recovered", "search"]
    assert log.verify().ok


@pytest.mark.parametrize("before", range(1, 8))
def test_a_head_one_record_behind_catches_up(log: AuditLog, folder: Path, before: int) -> None:
    for _ in range(before):
        log.append("search", subject="user:alice")
    head = (folder / "head.json").read_bytes()
    log.append("search", subject="user:bob")
    if before != 5:  # there the head was moved to the new segment before the record was written
        (folder / "head.json").write_bytes(head)
    assert log.verify().ok
    assert log.append("search", subject="user:carol") == before + 2
    assert log.verify().ok
    assert not list(log.read(kind="recovered"))


KILLED_AT_HEAD = """
import os, sys
from pathlib import Path
from indexes.audit import AuditLog
real, left = os.pwrite, int(sys.argv[2])
def pwrite(*given):
    global left
    if left == 0:
        os._exit(9)
    left -= 1
    return real(*given)
os.pwrite = pwrite
log = AuditLog(Path(sys.argv[1]), key="secret", segment_records=2)
for number in range(5):
    print(log.append("search", subject="user:alice"), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("heads", range(8))
def test_a_writer_killed_before_any_head_loses_nothing_that_it_was_promised(folder: Path, heads: int) -> None:
    ran = subprocess.run([sys.executable, "-c", KILLED_AT_HEAD, folder, str(heads)], capture_output=True, check=False)
    promised = len(ran.stdout.split())
    log = AuditLog(folder, key="secret", segment_records=2)
    verdict = log.verify()
    assert ran.returncode == 9
    assert promised <= verdict.seq <= promised + 1
    assert verdict.ok or (heads == 0 and verdict.records == 0)
    log.append("search", subject="user:bob")
    assert log.verify().ok


def test_a_full_disk_leaves_no_half_record(log: AuditLog, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log.append("search", subject="user:alice")
    before = (folder / "000001.jsonl").read_bytes()
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[: len(data) // 2]))
    with pytest.raises(IndexBackendError, match="No space left"):
        log.append("search", subject="user:bob")
    monkeypatch.undo()
    assert (folder / "000001.jsonl").read_bytes() == before
    assert log.append("search", subject="user:bob") == 2
    assert log.verify().ok


# -- what is found amiss stays to be seen ---------------------------------------------------------------------------------


def drop_last_record(folder: Path) -> None:
    path = folder / "000001.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def cut_last_record(folder: Path) -> None:
    os.truncate(folder / "000001.jsonl", (folder / "000001.jsonl").stat().st_size - 9)


def remove_segment(folder: Path) -> None:
    (folder / "000001.jsonl").unlink()


def remove_head(folder: Path) -> None:
    drop_last_record(folder)
    (folder / "head.json").unlink()


def empty_head(folder: Path) -> None:
    drop_last_record(folder)
    (folder / "head.json").write_bytes(b"")


def longer_head(folder: Path) -> None:
    (folder / "head.json").write_bytes((folder / "head.json").read_bytes() + b" \n")


def add_spaces(folder: Path) -> None:
    with (folder / "000001.jsonl").open("ab") as file:
        file.write(b"  ")


def repeat_line(folder: Path) -> None:
    path = folder / "000001.jsonl"
    path.write_bytes(path.read_bytes() + path.read_bytes().splitlines(keepends=True)[-1])


HANDS = (
    drop_last_record,
    cut_last_record,
    remove_segment,
    remove_head,
    empty_head,
    longer_head,
    add_spaces,
    repeat_line,
)


@pytest.mark.parametrize("tamper", HANDS, ids=lambda hand: hand.__name__)
def test_a_later_record_does_not_cover_up_what_was_done(
    log: AuditLog, folder: Path, tamper: Callable[[Path], None]
) -> None:
    for _ in range(4):
        log.append("search", subject="user:alice")
    tamper(folder)
    assert not log.verify().ok
    for _ in range(3):
        log.append("search", subject="user:bob")
    assert not log.verify().ok
    assert len(list(log.read(kind="recovered"))) == 1
    assert len(list(log.read(kind="search", subject="user:bob"))) == 3


# -- retention ------------------------------------------------------------------------------------------------------------


def test_pruning_removes_days_that_are_over_and_the_rest_still_verifies(
    log: AuditLog, folder: Path, clock: Clock
) -> None:
    heads = []
    for day in range(4):
        clock.now = START + timedelta(days=day)
        log.append("search", subject=f"user:day{day}")
        heads.append(log.verify().head)
    assert log.prune(START + timedelta(days=1, hours=1)) == 2
    assert files(folder) == ["000003.jsonl", "000004.jsonl", "head.json"]
    verdict = log.verify()
    assert (verdict.ok, verdict.records, verdict.seq) == (True, 3, 5)
    assert [record["kind"] for record in log.read()] == ["search", "search", "retention"]
    (event,) = log.read(kind="retention")
    assert (event["detail"]["records"], event["detail"]["hash"]) == (2, heads[1])
    assert log.prune(START + timedelta(days=1, hours=1)) == 0
    assert [log.verify(expected_head=head).ok for head in heads] == [False, True, True, True]
    (folder / "000003.jsonl").unlink()
    assert not log.verify().ok


def test_a_log_that_was_idle_since_is_pruned_whole(log: AuditLog, clock: Clock) -> None:
    for _ in range(7):
        log.append("search", subject="user:alice")
    clock.now += timedelta(days=30)
    assert log.prune(clock.now - timedelta(days=7)) == 7
    assert [record["kind"] for record in log.read()] == ["retention"]
    assert log.append("search", subject="user:alice") == 9
    assert log.verify().ok


def test_a_log_told_so_prunes_itself_when_a_day_begins(folder: Path, clock: Clock) -> None:
    log = AuditLog(folder, keep_days=2, clock=clock)
    for day in range(6):
        clock.now = START + timedelta(days=day)
        log.append("search", subject=f"user:day{day}")
    assert [record["subject"] for record in log.read(kind="search")] == ["user:day3", "user:day4", "user:day5"]
    assert log.verify().ok


def test_a_damaged_segment_is_evidence_and_stays(log: AuditLog, folder: Path, clock: Clock) -> None:
    for day in range(3):
        clock.now = START + timedelta(days=day)
        log.append("search", subject="user:alice")
    (folder / "000001.jsonl").write_bytes(b"nothing to see here\n")
    assert log.prune(clock.now) == 0
    assert files(folder) == ["000001.jsonl", "000002.jsonl", "000003.jsonl", "head.json"]


def test_a_removal_that_was_interrupted_is_named_and_ends_with_the_next(
    log: AuditLog, folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append("search", subject="user:alice")
    clock.now += timedelta(days=1)
    log.append("search", subject="user:alice")

    def stop(_path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "unlink", stop)
    with pytest.raises(KeyboardInterrupt):
        log.prune(clock.now)
    monkeypatch.undo()
    assert [str(fault) for fault in log.verify().faults] == [
        "000001.jsonl: left over by a removal that was interrupted; prune again"
    ]
    log.prune(clock.now)
    assert log.verify().ok
