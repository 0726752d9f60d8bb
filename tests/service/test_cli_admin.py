"""principals, keys, release, eval and doctor on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indexes.vectors import BACKENDS
from rag.loremill import Loremill

Run = Callable[..., Any]


def test_principals_are_imported_and_listed(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "principals.yaml"
    file.write_text("nina: {tenant: admin-test, groups: [staff]}\n")
    assert run("principals", "import", str(file), "--json").json == {"imported": 1}
    row = {"name": "nina", "tenant": "admin-test", "subject": "user:nina", "groups": ["group:staff"], "active": True}
    assert row in run("principals", "list", "--json").json["principals"]
    assert "nina" in run("principals", "list").out


def listed(run: Run, name: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = run("principals", "list", "--json").json["principals"]
    return next(row for row in rows if row["name"] == name)


def test_scim_is_imported_for_the_tenant_given(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "scim.json"
    group = {"displayName": "crew", "members": [{"value": "u1"}]}
    file.write_text(json.dumps({"Resources": [{"id": "u1", "userName": "scimmy"}, group]}))
    without = run("principals", "import", str(file), "--json")
    assert (without.code, without.json["error"]["type"]) == (65, "ConfigFileError")
    assert run("principals", "import", str(file), "--tenant", "scim-test", "--json").json == {"imported": 1}
    assert listed(run, "scimmy")["groups"] == ["group:crew"]


def test_members_are_added_and_removed_and_what_is_not_there_cannot_be(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "principals.yaml"
    file.write_text("nils: {tenant: members-test, groups: [staff]}\n")
    run("principals", "import", str(file))
    of_tenant = ("--tenant", "members-test", "--json")
    added = run("principals", "add-member", "everyone-here", "group:staff", *of_tenant).json
    assert added == {"tenant": "members-test", "group": "group:everyone-here", "member": "group:staff", "added": True}
    assert listed(run, "nils")["groups"] == ["group:everyone-here", "group:staff"]
    assert run("principals", "remove-member", "staff", "user:nils", *of_tenant).json["removed"] is True
    assert listed(run, "nils")["groups"] == []
    twice = run("principals", "remove-member", "staff", "user:nils", *of_tenant)
    assert (twice.code, twice.json["error"]["type"]) == (64, "ConfigError")
    assert "user:nils is not itself a member of group:staff" in twice.err
    assert run("principals", "add-member", "staff", "user:nils").code == 64  # whose group?


def test_a_deactivated_principal_may_do_nothing_until_it_is_activated(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "principals.yaml"
    file.write_text("ingmar: {tenant: halden-test}\n")
    run("principals", "import", str(file))
    assert run("principals", "deactivate", "ingmar", "--json").json == {"name": "ingmar", "active": False}
    assert listed(run, "ingmar")["active"] is False
    assert "no" in next(line for line in run("principals", "list").out.splitlines() if "ingmar" in line).split()
    search = run("search", "leave", "--collection", "company", "--as", "ingmar", "--json")
    assert (search.code, search.json["error"]["type"]) == (64, "AccessDenied")
    assert run("principals", "activate", "ingmar", "--json").json == {"name": "ingmar", "active": True}
    assert listed(run, "ingmar")["active"] is True


def test_a_key_is_made_listed_and_revoked(run: Run, mill: Loremill) -> None:
    made = run("keys", "create", "bob", "--role", "editor", "--label", "ci", "--json").json
    identity = mill.directory.authenticate(made["secret"])
    assert identity is not None
    assert (identity.principal.subject, identity.role) == ("user:bob", "editor")
    shown = run("keys", "list", "--json")
    assert made["secret"] not in shown.out
    assert made["key_id"] in [key["key_id"] for key in shown.json["keys"]]
    assert run("keys", "revoke", made["key_id"], "--json").json == {"key_id": made["key_id"], "revoked": True}
    assert mill.directory.authenticate(made["secret"]) is None


def test_a_key_made_for_people_shows_its_secret_once(run: Run, mill: Loremill) -> None:
    out = run("keys", "create", "bob").out
    secret = next(line for line in out.splitlines() if line.startswith("lm_"))
    assert mill.directory.authenticate(secret) is not None
    assert secret not in run("keys", "list").out


def test_releases_are_listed_and_shown(run: Run) -> None:
    (release,) = run("release", "list", "--collection", "company", "--json").json["releases"]
    assert {"id", "collection", "live", "build", "prompt", "generator", "created", "gate"} <= set(release)
    assert release["live"] is True
    assert run("release", "show", release["id"], "--json").json == release
    assert release["id"] in run("release", "list").out


def test_retrieval_is_evaluated_over_the_facade(run: Run, mill: Loremill, tmp_path: Path) -> None:
    bob = mill.directory.resolve("bob")
    (document_id,) = [
        one.document_id for one in mill.documents(collection="company", principal=bob) if one.title == "Parental leave"
    ]
    (tmp_path / "q.jsonl").write_text(json.dumps({"_id": "q1", "text": "how long is parental leave"}) + "\n")
    (tmp_path / "r.tsv").write_text(f"query-id\tcorpus-id\tscore\nq1\t{document_id}\t1\n")
    files = (
        "--queries",
        str(tmp_path / "q.jsonl"),
        "--qrels",
        str(tmp_path / "r.tsv"),
        "--run-out",
        str(tmp_path / "run.trec"),
    )
    ran = run("eval", "retrieval", "--collection", "company", *files, "--as", "bob", "--json")
    assert ran.code == 0
    assert ran.json["metrics"]["ndcg@10"] == pytest.approx(1.0)
    assert document_id in (tmp_path / "run.trec").read_text()


def test_answers_are_evaluated_against_the_live_release(run: Run, tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text(
        json.dumps({"user_input": "How long is parental leave?", "reference": "20 weeks", "principal": "bob"}) + "\n"
    )
    (release,) = run("release", "list", "--collection", "company", "--json").json["releases"]
    ran = run(
        "eval", "run", str(tmp_path / "d.jsonl"), "--release", release["id"], "--out", str(tmp_path / "out"), "--json"
    )
    assert ran.code == 0, ran.err
    assert ran.json["questions"] == 1
    assert (tmp_path / "out" / "report.json").exists()
    unknown = run("eval", "run", str(tmp_path / "d.jsonl"), "--release", "r0", "--out", str(tmp_path / "out"), "--json")
    assert (unknown.code, unknown.json["error"]["type"]) == (65, "ReleaseNotFound")


def test_bad_evaluation_data_names_its_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text('{"user_input": "x"}\nnot json\n')
    ran = run("eval", "run", str(tmp_path / "d.jsonl"), "--release", "r0", "--out", str(tmp_path / "out"), "--json")
    assert (ran.code, ran.json["error"]["type"]) == (65, "DatasetError")
    assert "d.jsonl:2" in ran.json["error"]["detail"]


def test_doctor_finds_a_healthy_home(run: Run) -> None:
    ran = run("doctor", "--json")
    checks = {check["name"]: check for check in ran.json["checks"]}
    assert (ran.code, ran.json["ok"]) == (0, True)
    assert "all-MiniLM-L6-v2" in checks["embedder"]["detail"]
    assert checks["home"]["ok"]
    assert (
        checks["vector index faiss"] | {"ok": True, "detail": "in use", "optional": False}
        == checks["vector index faiss"]
    )
    assert {f"vector index {name}" for name in BACKENDS} <= set(checks)


def test_doctor_says_why_a_backend_cannot_be_used_and_minds_only_if_it_is_the_one_in_use(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOREMILL_QDRANT_URL", "http://127.0.0.1:9")
    for chosen, code in [("faiss", 0), ("qdrant", 1)]:
        monkeypatch.setenv("LOREMILL_VECTOR_INDEX", chosen)
        ran = run("doctor", "--json")
        (check,) = (check for check in ran.json["checks"] if check["name"] == "vector index qdrant")
        assert (ran.code, check["ok"], check["optional"]) == (code, False, chosen != "qdrant")
        assert "LOREMILL_QDRANT_URL" in check["detail"]


def test_doctor_says_no_where_the_home_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from service.cli import main

    (tmp_path / "file").write_text("in the way")
    assert main(["doctor", "--home", str(tmp_path / "file"), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert not report["ok"]
    assert next(check["name"] for check in report["checks"] if not check["ok"] and not check["optional"]) == "home"
