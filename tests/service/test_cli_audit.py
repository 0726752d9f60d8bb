"""loremill audit: verify, access and prune."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from indexes.audit import AuditLog, SeenChunk

Run = Callable[..., Any]
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def folder(place: Any) -> Iterator[Path]:
    """The log of halden, with two events of one day; what it held is put back."""
    folder: Path = place.home / "tenants" / "halden" / "audit"
    aside = folder.with_name("audit-aside")
    if folder.exists():
        folder.rename(aside)
    log = AuditLog(folder, clock=lambda: NOON)
    chunks = [
        SeenChunk("c1" * 16, "finance/budget.md", 2, ("group:finance",)),
        SeenChunk("c2", "leave.md", 1, ("everyone",)),
    ]
    log.append("search", subject="user:alice", actor="user:root", via="key:12", collection="company", chunks=chunks)
    log.append("document.put", subject="user:bob\x1b[31m", detail={"document_id": "plans.md"})
    yield folder
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    if aside.exists():
        aside.rename(folder)


def test_a_whole_log_verifies_and_a_changed_one_does_not(run: Run, folder: Path) -> None:
    ran = run("audit", "verify", "--tenant", "halden", "--json")
    assert (ran.code, ran.json["ok"], ran.json["records"]) == (0, True, 2)
    head = ran.json["head"]
    assert run("audit", "verify", "--tenant", "halden", "--head", head).code == 0
    assert run("audit", "verify", "--tenant", "halden", "--head", "0" * 63 + "1").code == 1
    segment = folder / "000001.jsonl"
    segment.write_bytes(segment.read_bytes().replace(b"alice", b"carol"))
    ran = run("audit", "verify", "--tenant", "halden", "--json")
    assert (ran.code, ran.json["ok"]) == (1, False)
    assert ran.json["faults"] == [
        {"segment": "000001.jsonl", "line": 1, "what": "changed: the line is not as it was written"}
    ]
    shown = run("audit", "verify", "--tenant", "halden")
    assert (shown.code, "000001.jsonl:1: changed" in shown.out) == (1, True)


def test_access_lists_who_saw_what(run: Run, folder: Path) -> None:
    options = ("audit", "access", "--tenant", "halden")
    events = run(*options, "--json").json["events"]
    assert [event["seq"] for event in events] == [1, 2]
    assert events[0]["chunks"][0]["by"] == ["group:finance"]
    for condition, expected in {
        ("--document", "finance/budget.md"): [1], ("--document", "plans.md"): [2], ("--subject", "user:root"): [1],
        ("--kind", "search"): [1], ("--since", "2026-05-02"): [], ("--until", "2026-05-01"): [],
        ("--since", "2026-05-01T14:00:00+02:00"): [1, 2], ("--limit", "1"): [1],
    }.items():  # fmt: skip
        assert [event["seq"] for event in run(*options, *condition, "--json").json["events"]] == expected, condition


def test_access_for_people_has_a_row_for_each_chunk(run: Run, folder: Path) -> None:
    out = run("audit", "access", "--tenant", "halden").out
    rows = [line for line in out.splitlines() if "2026-05-01" in line]
    assert len(rows) == 3
    assert "group:finance" in out
    assert "\x1b" not in out
    assert "No such events" in run("audit", "access", "--tenant", "halden", "--subject", "user:nobody").out


def test_what_is_older_is_pruned_and_the_rest_verifies(run: Run, folder: Path) -> None:
    assert run("audit", "prune", "--before", "2026-05-01", "--tenant", "halden", "--json").json == {"removed": 0}
    assert run("audit", "prune", "--before", "2026-05-02", "--tenant", "halden", "--json").json == {"removed": 2}
    assert run("audit", "verify", "--tenant", "halden").code == 0
    (event,) = run("audit", "access", "--tenant", "halden", "--json").json["events"]
    assert (event["kind"], event["detail"]["records"]) == ("retention", 2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("verify",), "halden, rival"),
        (("verify", "--tenant", "../halden"), "no such tenant"),
        (("access", "--tenant", "halden", "--kind", "serach"), "serach"),
        (("access", "--tenant", "halden", "--since", "yesterday"), "--since 'yesterday'"),
        (("prune", "--tenant", "halden", "--before", "soon"), "--before 'soon'"),
        (("prune", "--tenant", "halden", "--before", "0001-01-01T00:00:00+10:00"), "too far away"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_cannot_be_meant_is_a_usage_error_that_says_why(run: Run, arguments: tuple[str, ...], says: str) -> None:
    ran = run("audit", *arguments, "--json")
    assert (ran.code, ran.json["error"]["type"]) == (64, "ConfigError")
    assert says in ran.json["error"]["detail"]


def test_the_only_tenant_need_not_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from indexes.catalog import Catalog
    from service.cli import main

    Catalog.open(tmp_path / "tenants" / "alone" / "catalog.db", tenant="alone").close()
    AuditLog(tmp_path / "tenants" / "alone" / "audit").append("search", subject="user:alice")
    assert main(["audit", "verify", "--home", str(tmp_path)]) == 0
    assert main(["audit", "verify", "--home", str(tmp_path / "empty")]) == 64
    assert "ingest something first" in capsys.readouterr().err
