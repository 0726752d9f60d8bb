"""/v1/evaluations: administrators hold gates in the background and read their reports; nobody is asked in another tenant's name."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from eval.datasets import Dataset, Sample, write_dataset
from eval.gate_command import gate_releases
from eval.run_command import run_release
from indexes.audit import AuditLog
from indexes.errors import ConfigError, DatasetError
from rag.loremill import Loremill
from service.evaluation_worker import EvaluationWorker, within
from service.http import create_app

DOCS: dict[str, str | bytes | None] = {
    "leave.md": "# Parental leave\n\nParental leave is 20 weeks for everyone.\n",
    "kiln.md": "# The kiln\n\nThe kiln runs at 1,240 degrees.\n",
}
QUESTIONS: list[dict[str, Any]] = [
    {"id": "leave", "user_input": "How long is parental leave?", "reference": "20 weeks", "principal": "bob"},
    {"id": "kiln", "user_input": "How hot does the kiln run?", "reference": "1,240 degrees", "principal": "ada"},
]
GATES = {"metrics": {"answer_containment": {"min": 0.5}, "leaks": {"max": 0}, "latency_p95_ms": {"max": 1e6}}}
PEOPLE = {"ada": "halden", "bob": "halden", "mia": "rival"}
Call = Callable[..., Any]


@pytest.fixture
def company(open_mill: Callable[..., Loremill], write_tree: Callable[..., Path]) -> Loremill:
    mill = open_mill()
    mill.ingest(write_tree(DOCS), collection="company", tenant="halden", allow=["everyone"])
    mill.ingest(write_tree({"x.md": "X."}, "rival"), collection="company", tenant="rival", allow=["everyone"])
    text = "".join(f"{name}: {{tenant: {tenant}}}\n" for name, tenant in PEOPLE.items())
    mill.directory.import_principals(write_tree({"principals.yaml": text}, "people") / "principals.yaml")
    return mill


@pytest.fixture
def candidate(company: Loremill) -> str:
    return company.create_release("company", tenant="halden", retrieval={"passages": 3}).id


@pytest.fixture
def call(company: Loremill) -> Callable[[TestClient], Call]:
    keys = {name: company.directory.create_key(name, role="administrator")[1] for name in ("ada", "mia")}
    keys["curator"] = company.directory.create_key("ada", role="curator")[1]

    def of(client: TestClient) -> Call:
        def send(who: str, method: str, path: str = "", **request: Any) -> Any:
            headers = {"Authorization": f"Bearer {keys[who]}", **request.pop("headers", {})}
            return client.request(method, f"/v1/evaluations{path}", headers=headers, **request)

        return send

    return of


@pytest.fixture
def idle(company: Loremill, call: Callable[[TestClient], Call]) -> Call:
    """Calls of a server whose worker stands still."""
    return call(TestClient(create_app(company), raise_server_exceptions=False))


@pytest.fixture
def busy(company: Loremill, call: Callable[[TestClient], Call]) -> Iterator[Call]:
    """Calls of a server that works."""
    with TestClient(create_app(company), raise_server_exceptions=False) as client:
        yield call(client)


def gate(new: str, **changes: Any) -> dict[str, Any]:
    asked = {"collection": "company", "candidate": new, "gates": GATES, "questions": QUESTIONS, "dataset": "own"}
    return asked | changes


def ended(call: Call, name: str, *, within_s: float = 180) -> dict[str, Any]:
    deadline = time.monotonic() + within_s
    while (status := call("ada", "GET", f"/{name}").json())["status"] in {"queued", "running"}:
        assert time.monotonic() < deadline, status
        time.sleep(0.2)
    found: dict[str, Any] = status
    return found


@pytest.mark.slow
def test_a_gate_is_held_in_the_background_reported_and_lets_its_candidate_be_promoted(
    company: Loremill, candidate: str, busy: Call
) -> None:
    accepted = busy("ada", "POST", json=gate(candidate))
    assert (accepted.status_code, accepted.json()["status"]) == (202, "queued")
    done = ended(busy, accepted.json()["id"])
    assert (done["status"], done["error"]) == ("done", None)
    assert done["summary"]["verdict"] == done["report"]["verdict"] == "PASS"
    assert done["report"]["dataset"] == done["asked"]["dataset"]
    assert done["asked"]["dataset"].startswith("own@")
    assert "20 weeks" not in json.dumps(done), "no text of a document"
    assert not list((company.home / "tenants/halden/evaluations").glob("*.inputs")), "questions are kept no longer"
    log = AuditLog.of(company.home / "tenants/halden", company.settings)
    assert {(one["subject"], one["actor"], one["via"]) for one in log.read(kind="ask")} == {
        ("user:bob", "user:ada", "evaluation"), ("user:ada", "user:ada", "evaluation"),
    }  # fmt: skip
    assert company.promote(candidate, collection="company", tenant="halden") is not None


@pytest.mark.slow
def test_what_a_stopped_server_had_accepted_is_held_by_the_next_one_and_a_dataset_may_be_the_servers(
    company: Loremill, candidate: str, call: Callable[[TestClient], Call], idle: Call
) -> None:
    folder = company.home / "tenants/halden/datasets"
    folder.mkdir()
    (folder / "kept.jsonl").write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS))
    asked = {"kind": "run", "collection": "company", "release": candidate, "dataset": "kept"}
    name = idle("ada", "POST", json=asked).json()["id"]
    assert company.evaluations("halden").next() is not None  # as if it had begun
    with TestClient(create_app(company)) as client:
        done = ended(call(client), name)
    assert (done["status"], done["report"]["figures"]["facts_present"]["count"]) == ("done", 2), done
    assert done["summary"]["release"] == candidate


def test_gates_and_runs_of_the_command_line_are_listed_with_their_reports(
    company: Loremill, candidate: str, idle: Call, tmp_path: Path
) -> None:
    samples = [Sample(row["id"], row["user_input"], row["reference"], principal=row["principal"]) for row in QUESTIONS]
    write_dataset(tmp_path / "own.jsonl", Dataset("own", tuple(samples)).samples)
    (tmp_path / "gates.yaml").write_text(json.dumps(GATES))
    shared: dict[str, Any] = {"dataset": tmp_path / "own.jsonl", "tenant": "halden", "collection": "company"}
    gate_releases(company, candidate, "live", gates=tmp_path / "gates.yaml", out=tmp_path / "gate", **shared)
    run_release(company, candidate, out=tmp_path / "run", **shared)
    run, held = idle("ada", "GET").json()["evaluations"]
    assert [run["kind"], held["kind"]] == ["run", "gate"]
    assert {run["subject"], held["subject"]} == {"operator"}
    for one, folder in ((run, "run"), (held, "gate")):
        shown = idle("ada", "GET", f"/{one['id']}").json()
        assert shown["report"] == json.loads((tmp_path / folder / "report.json").read_text())
        assert idle("mia", "GET", f"/{one['id']}").status_code == 404
    first = idle("ada", "GET", params={"limit": 1, "collection": "company"}).json()
    second = idle("ada", "GET", params={"limit": 1, "cursor": first["next"]}).json()
    assert (first["evaluations"], second["evaluations"], second["next"]) == ([run], [held], None)
    assert idle("mia", "GET").json()["evaluations"] == []
    assert idle("ada", "DELETE", f"/{held['id']}").status_code == 204
    assert idle("ada", "GET", f"/{held['id']}").status_code == 404
    assert not (company.home / f"tenants/halden/evaluations/{held['id']}.json").exists()


def test_only_administrators_in_their_own_name_hold_and_see_evaluations(candidate: str, idle: Call) -> None:
    name = idle("ada", "POST", json=gate(candidate)).json()["id"]
    requests = [("GET", ""), ("POST", ""), ("GET", f"/{name}"), ("DELETE", f"/{name}"), ("GET", "/unknown")]
    for method, path in requests:
        body = {"json": gate(candidate)} if method == "POST" else {}
        assert idle("curator", method, path, **body).status_code == 403
        assert idle("ada", method, path, headers={"X-Loremill-Act-As": "bob"}, **body).status_code == 403
    for path in (f"/{name}", "/unknown"):
        replies = [idle("mia", method, path) for method in ("GET", "DELETE")]
        assert [reply.status_code for reply in replies] == [404, 404]
    assert idle("ada", "GET", f"/{name}").json()["status"] == "queued"


def test_what_is_cancelled_is_never_held_and_stays_cancelled(company: Loremill, candidate: str, idle: Call) -> None:
    names = [idle("ada", "POST", json=gate(candidate)).json()["id"] for _ in range(2)]
    store = company.evaluations("halden")
    taken = store.next()
    assert taken is not None
    assert taken["id"] == names[0]
    for name in names:
        assert idle("ada", "DELETE", f"/{name}").status_code == 204
    assert store.next() is None
    assert store.requeue() == 0
    assert not store.close(names[0], summary={"verdict": "PASS"}, report=b"{}"), "its process ended too late"
    for name in names:
        shown = idle("ada", "GET", f"/{name}").json()
        assert (shown["status"], shown["summary"], shown["report"]) == ("cancelled", None, None)
    assert not store.inputs(names[0]).exists()


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ({"candidate": "r0"}, 404, "r0"),
        ({"collection": "none"}, 404, "none"),
        ({"baseline": "r0"}, 404, "r0"),
        ({"gates": {"metrics": {"ndcg@10": {"max_drop": 2}}}}, 400, "ndcg@10"),
        ({"gates": None}, 422, "a gate takes"),
        ({"release": "live"}, 422, "a gate takes"),
        ({"kind": "run"}, 422, "a run takes"),
        ({"dataset": "../own"}, 422, "dataset"),
        ({"dataset": "none", "questions": None}, 422, "there is no dataset 'none' here"),
        ({"questions": [*QUESTIONS, QUESTIONS[0]]}, 422, "own.jsonl:3: id 'leave' is that of line 1 too"),
        ({"questions": [{**QUESTIONS[0], "principal": ""}]}, 422, "own.jsonl:1: no principal"),
        ({"source": "/etc"}, 422, "source"),
    ],
)
def test_what_cannot_be_held_is_refused_at_once_and_leaves_nothing(
    company: Loremill, candidate: str, idle: Call, changes: dict[str, Any], status: int, says: str
) -> None:
    reply = idle("ada", "POST", json=gate(candidate, **changes))
    assert (reply.status_code, says in reply.text) == (status, True), reply.text
    assert "/tmp" not in reply.text
    assert idle("ada", "GET").json()["evaluations"] == []
    assert not (company.home / "tenants/halden/evaluations").exists()


def test_no_name_of_another_tenant_is_asked_as(company: Loremill, candidate: str, tmp_path: Path) -> None:
    resolve = within(company, "halden")
    assert resolve("bob").subject == "user:bob"
    assert resolve("halden/user:x,group:y").groups == ("group:y",)
    said = []
    for name in ("mia", "nobody", "rival/user:x", "what"):
        with pytest.raises(ConfigError) as caught:
            resolve(name)
        said.append(str(caught.value).replace(repr(name), "IT"))
    assert len(set(said)) == 1
    write_dataset(tmp_path / "own.jsonl", (Sample("spy", "What is x?", "X", principal="rival/user:mia"),))
    (tmp_path / "gates.yaml").write_text(json.dumps(GATES))
    options: dict[str, Any] = {"dataset": tmp_path / "own.jsonl", "gates": tmp_path / "gates.yaml", "out": tmp_path}
    with pytest.raises(DatasetError, match="principal 'rival/user:mia': no principal"):
        gate_releases(company, candidate, "live", tenant="halden", resolve=resolve, **options)
    run_release(company, candidate, tenant="halden", resolve=resolve, dataset=options["dataset"], out=tmp_path / "run")
    assert "no principal 'rival/user:mia' of this tenant" in (tmp_path / "run/report.json").read_text()


def test_a_made_up_id_is_no_path(company: Loremill) -> None:
    store = company.evaluations("halden")
    name = store.add("run", collection="company", asked={}, summary={}, report=b'{"figures": {}}', subject="operator")
    assert store.report(name) == {"figures": {}}
    (company.home / "tenants/halden/other.json").write_text("{}")
    assert store.report("../other") is None


def test_to_cancel_ends_the_process_of_that_evaluation_and_of_no_other(company: Loremill) -> None:
    worker = EvaluationWorker(company)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"]) as process:
        worker._process, worker._current = process, ("halden", "a")
        for tenant, name in (("halden", "b"), ("rival", "a")):
            worker.end(tenant, name)
        assert process.poll() is None
        worker.end("halden", "a")
        assert process.wait(timeout=60) != 0
