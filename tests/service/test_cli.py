"""The command line: exit codes, one JSON object, and what people read."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag.loremill import Loremill
from service import cli

ROOT = Path(__file__).parents[2]
Run = Callable[..., Any]


def process(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, **more)


def test_search_prints_the_contract(run: Run) -> None:
    ran = run("search", "parental leave", "--collection", "company", "--as", "alice", "--top-k", "2", "--json")
    assert ran.code == 0
    assert set(ran.json) == {"query", "collection", "principal", "build", "hits", "timings_ms", "plan"}
    assert set(ran.json["hits"][0]) == {
        "rank", "score", "document_id", "chunk_id", "uri", "title", "text", "start", "end", "metadata",
    }  # fmt: skip
    assert ran.json["principal"] == "user:alice"
    assert set(ran.json["timings_ms"]) == {"embed", "search", "total"}
    assert ran.json["plan"] == {"name": "exact", "readable": 3, "scanned": 3}


def test_search_for_people_shows_title_place_and_snippet(run: Run) -> None:
    ran = run("search", "parental leave", "--collection", "company", "--as", "halden/user:zed")
    assert ran.code == 0
    assert "Parental leave" in ran.out
    assert "leave.md" in ran.out
    assert "20 weeks" in ran.out
    assert "budget" not in ran.out


def test_where_narrows_a_search_and_must_be_a_pair(run: Run) -> None:
    query = ("search", "leave", "--collection", "company", "--as", "bob")
    assert run(*query, "--where", "title=Parental leave", "--where", "no_such_key=1", "--json").json["hits"] == []
    for where in ("title>=Q", "title in Travel policy,x", '{"not": {"title": {"lt": "Q"}}}'):
        [hit] = run(*query, "--where", where, "--json").json["hits"]
        assert hit["title"] == "Travel policy"
    ran = run(*query, "--where", "title", "--json")
    assert ran.code == 64
    assert "key=value" in ran.json["error"]["detail"]
    ran = run(*query, "--where", '{"title": {"like": "x"}}', "--json")
    assert ran.code == 64
    assert "title.like: unknown operator" in ran.json["error"]["detail"]


def test_ask_prints_the_contract(run: Run) -> None:
    ran = run("ask", "How long is parental leave?", "--collection", "company", "--as", "bob", "--json")
    assert ran.code == 0
    contract = {"question", "answer", "abstained", "release", "sentences", "citations", "usage", "timings_ms"}
    assert contract <= set(ran.json)
    assert "20 weeks" in ran.json["answer"]


def test_ask_for_people_shows_answer_and_sources(run: Run) -> None:
    ran = run("ask", "How long is parental leave?", "--collection", "company", "--as", "bob")
    assert "[1]" in ran.out
    assert "Sources" in ran.out
    assert "leave.md" in ran.out


def test_an_abstention_is_a_result_with_exit_code_0(run: Run) -> None:
    ran = run("ask", "How large is the marketing budget?", "--collection", "company", "--as", "bob", "--json")
    assert (ran.code, ran.json["abstained"]) == (0, True)
    assert "340,000" not in ran.out


def test_ingest_prints_the_contract_and_is_idempotent(run: Run, tmp_path: Path) -> None:
    (tmp_path / "note.md").write_text("# Note\n\nThe door code changes in June.\n")
    arguments = (
        "ingest",
        str(tmp_path),
        "--collection",
        "cli-notes",
        "--allow",
        "user:nobody",
        "--tenant",
        "cli",
        "--json",
    )
    first, second = run(*arguments), run(*arguments)
    assert {"collection", "build", "seconds", "documents", "chunks", "unreadable_by_anyone", "quarantine"} <= set(
        first.json
    )
    assert first.json["documents"] == {"added": 1, "updated": 0, "unchanged": 0, "deleted": 0, "quarantined": 0}
    assert second.json["documents"]["unchanged"] == 1
    assert second.json["build"] == first.json["build"]


def test_several_sources_give_one_report(run: Run, tmp_path: Path) -> None:
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text(f"# {name}\n\nText of {name}.\n")
    sources = [str(tmp_path / name) for name in ("a.md", "b.md")]
    ran = run("ingest", *sources, "--collection", "two", "--allow", "everyone", "--tenant", "cli", "--json")
    assert ran.json["documents"]["added"] == 2
    found = run("search", "text", "--collection", "two", "--as", "cli/user:x", "--json")
    assert len(found.json["hits"]) == 2


def test_documents_that_nobody_may_read_are_announced_loudly(run: Run, tmp_path: Path) -> None:
    (tmp_path / "orphan.md").write_text("# Orphan\n\nNobody said who may read this.\n")
    ran = run("ingest", str(tmp_path), "--collection", "orphans", "--tenant", "cli")
    assert ran.code == 0
    assert "NOBODY MAY READ 1" in ran.out
    assert run("search", "orphan", "--collection", "orphans", "--as", "cli/user:x", "--json").json["hits"] == []


def test_verify_says_yes_with_0_and_no_with_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("verify", "--collection", "company", "--json").json["ok"] is True

    class Faulty:
        ok = False

        @staticmethod
        def to_json() -> dict[str, Any]:
            return {"ok": False, "faults": ["1 chunk has no vector"]}

    monkeypatch.setattr(Loremill, "verify", lambda *_, **__: Faulty())
    ran = run("verify", "--collection", "company")
    assert ran.code == 1
    assert "1 chunk has no vector" in ran.out


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (["search", "x"], 64, "UsageError"),
        (["no-such-command"], 64, "UsageError"),
        (["search", "x", "--collection", "company", "--as", "bob", "--top-k", "0"], 64, "UsageError"),
        (["search", "x", "--collection", "company", "--as", "mallory"], 64, "ConfigError"),
        (["search", "x", "--collection", "nowhere", "--as", "bob"], 65, "CollectionNotFound"),
        (["search", "x", "--collection", "plans", "--as", "bob"], 65, "CollectionNotFound"),
        (["search", "x", "--collection", "company", "--as", "bob", "--mode", "psychic"], 64, "ConfigError"),
        (["search", "a" * 100_000, "--collection", "company", "--as", "bob"], None, None),
        (["search", "caf\udce9", "--collection", "company", "--as", "bob"], 64, "UsageError"),
        (["ingest", "no/such/folder", "--collection", "x", "--allow", "everyone"], 65, "IngestError"),
        (["verify", "--collection", "nowhere"], 65, "CollectionNotFound"),
        (["keys", "revoke", "none"], 64, "ConfigError"),
        (["release", "show", "none"], 65, "ReleaseNotFound"),
        (["principals", "import", "no/such/file"], 65, "ConfigFileError"),
    ],
)  # fmt: skip
def test_bad_input_gives_one_json_error_and_its_exit_code(
    run: Run, arguments: list[str], code: int | None, kind: str | None
) -> None:
    ran = run(*arguments, "--json")
    error = ran.json["error"]
    assert ran.code == (code or ran.code)
    assert ran.code in {64, 65}
    assert error["type"] == (kind or error["type"])
    assert set(error) == {"type", "title", "detail"}
    assert error["detail"]
    assert "Traceback" not in ran.err


def test_json_after_two_dashes_is_text_not_an_option(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["search", "--collection", "company", "--as", "bob", "--", "--json"]) in {64, 65}
    assert capsys.readouterr().out == ""


def test_a_defect_is_one_line_unless_debugging(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(Loremill, "releases", broken)
    monkeypatch.delenv("LOREMILL_DEBUG", raising=False)
    ran = run("release", "list", "--json")
    assert ran.code == 70
    assert ran.json["error"]["type"] == "InternalError"
    assert ran.err.count("\n") == 1
    monkeypatch.setenv("LOREMILL_DEBUG", "1")
    with pytest.raises(RuntimeError, match="boom"):
        run("release", "list")


def test_the_process_exits_as_documented(place: Any) -> None:
    """Through a real process: usage errors exit 64, never click's 2, and stdout has the JSON alone."""
    ran = process("search", "--json")
    assert ran.returncode == 64
    assert json.loads(ran.stdout)["error"]["type"] == "UsageError"
    found = process("search", "leave", "--collection", "company", "--as", "bob", "--home", str(place.home), "--json")
    assert (found.returncode, found.stderr) == (0, "")
    assert json.loads(found.stdout)["hits"]


def test_a_reader_that_leaves_is_no_traceback(place: Any) -> None:
    command = f"'{sys.executable}' -m service.cli principals list --home '{place.home}'; echo code $? >&2"
    ran = subprocess.run(
        ["bash", "-c", f"( {command} ) | true"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stderr in {"code 141\n", "code 0\n"}  # 0 where the pipe took the text before it was closed


def test_interrupting_a_command_ends_it_quietly(place: Any) -> None:
    command = [sys.executable, "-m", "service.cli", "serve", "--port", "0", "--home", str(place.home), "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        json.loads(running.stdout.readline())
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)
    assert running.returncode in {0, 130}
    assert "Traceback" not in err


def test_the_command_line_imports_nothing_heavy_before_it_knows_the_command() -> None:
    heavy = {"torch", "fastapi", "uvicorn", "sqlalchemy", "faiss", "onnxruntime", "pydantic", "rag", "eval"}
    code = "import sys, service.cli; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not heavy & set(ran.stdout.split())


def test_serving_without_the_service_packages_names_the_extra(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "service.server", raising=False)
    ran = run("serve", "--json")
    assert (ran.code, ran.json["error"]["type"]) == (64, "DependencyMissing")
    assert "loremill[service]" in ran.json["error"]["detail"]
