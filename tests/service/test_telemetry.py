"""Metrics of the searches of vectors: what a sampler counts is shown, by plan, in orders of magnitude, and nobody's name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from indexes import coded_rows, faiss, recall
from rag.loremill import Loremill
from service.http import create_app
from service.telemetry import Metrics
from tests.conftest import OpenMill

Samples = dict[tuple[str, str], float]
_OURS = re.compile("loremill_(vector|recall)_")


def samples(text: str) -> Samples:
    """Each sample of ours by name and plan; a bucket's plan is followed by its bound."""
    families = text_string_to_metric_families(text)
    return {
        (sample.name, " ".join(sample.labels[key] for key in ("plan", "le") if key in sample.labels)): sample.value
        for family in families
        for sample in family.samples
        if _OURS.match(sample.name)
    }


@pytest.fixture
def mill(open_mill: OpenMill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loremill:
    """A home of 60 chunks, searched as if they were hundred thousands, each search checked."""
    monkeypatch.setattr(faiss, "CODED_FROM", 40)
    monkeypatch.setattr(faiss, "EXACT_ROWS", 20)
    monkeypatch.setattr(coded_rows, "TOPICS_COST", 10**9)
    monkeypatch.setattr(recall, "_REST", 0)
    mill = open_mill(recall_sample=1)
    for name, count, who in (("open", 50, "everyone"), ("mine", 10, "user:zed")):
        rows = [
            {"id": f"{name}{number}", "text": f"A {name} note about {number * 37}.", "acl": {"allow": [who]}}
            for number in range(count)
        ]
        path = tmp_path / f"{name}.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        mill.ingest(path, collection=f"{name}-notes", tenant="halden")
    return mill


def test_searches_are_counted_by_plan_and_their_recall_is_estimated(mill: Loremill) -> None:
    secret = mill.directory.create_key("halden/user:zed")[1]
    with TestClient(create_app(mill), headers={"Authorization": f"Bearer {secret}"}) as client:
        assert set(samples(client.get("/metrics").text)) == {("loremill_recall_dropped_total", "")}
        for collection, mode, query in (
            ("open-notes", "dense", "a note about 74"), ("open-notes", "dense", "another note"),
            ("open-notes", "dense", "another note"),  # from memory
            ("open-notes", "lexical", "note"), ("mine-notes", "hybrid", "my note"),
        ):  # fmt: skip
            body = {"collection": collection, "mode": mode, "query": query, "top_k": 10}
            assert client.post("/v1/search", json=body).status_code == 200
            mill.recall_sampler.wait()
        text = client.get("/metrics").text
    found = samples(text)
    counted = {name: value for (name, plan), value in found.items() if plan == "scan"}
    assert counted == {
        "loremill_vector_searches_total": 2, "loremill_recall_checked_total": 2, "loremill_recall_expected_total": 20,
        "loremill_recall_hits_total": counted["loremill_recall_hits_total"],
        "loremill_recall_estimate": counted["loremill_recall_hits_total"] / 20,
    }  # fmt: skip
    assert counted["loremill_recall_estimate"] >= 0.9
    assert found["loremill_vector_searches_total", "exact"] == 1
    assert ("loremill_recall_checked_total", "exact") not in found
    for private in ("zed", "halden", "notes", "74"):
        assert private not in "\n".join(line for line in text.splitlines() if _OURS.match(line))


def test_of_rows_the_order_of_magnitude_is_told_and_no_sum_that_would_tell_more(mill: Loremill) -> None:
    principal = mill.directory.resolve("halden/user:zed")
    for collection in ("open-notes", "mine-notes"):
        mill.search("note", collection=collection, principal=principal, mode="dense")
    mill.recall_sampler.wait()
    found = samples(Metrics(mill.recall_sampler).text().decode())
    for rows in ("readable", "scanned"):
        buckets = {
            plan: [
                found[f"loremill_vector_{rows}_rows_bucket", f"{plan} {bound}"] for bound in ("1", "10", "100", "+Inf")
            ]
            for plan in ("exact", "scan")
        }
        assert buckets == {"exact": [0, 1, 1, 1], "scan": [0, 0, 1, 1]}
    assert not [name for name, _ in found if name.endswith("_sum")]


def test_without_a_sampler_there_is_nothing_of_it() -> None:
    assert not samples(Metrics().text().decode())
