"""A plan says what the ingestion then does, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rag import Loremill, Principal

ALICE = Principal("t", "user:alice")
WriteTree = Callable[..., Path]


@pytest.fixture
def docs(write_tree: WriteTree) -> Path:
    long = "\n\n".join(f"Paragraph {number} says something of its own about the kiln." for number in range(40))
    return write_tree(
        {"acl.yaml": "tenant: t\ndefault: {allow: [everyone]}\n", "a.md": long, "b.md": "Lunch.", "c.md": "Lunch.",
         "bad.pdf": b"%PDF-1.7 no"}
    )  # fmt: skip


def files(home: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in home.rglob("*")
        if path.is_file() and path.suffix != ".onnx" and not path.name.endswith("-shm")
    }


def test_a_plan_of_a_new_collection_counts_what_is_then_done_and_leaves_no_trace(
    mill: Loremill, home: Path, docs: Path
) -> None:
    plan = mill.plan(docs, collection="c")
    assert files(home) == {}
    report = mill.ingest(docs, collection="c")
    assert plan.documents == report.documents
    assert plan.chunks == report.chunks
    assert [entry.to_json() for entry in plan.quarantine] == [entry.to_json() for entry in report.quarantine]
    assert 0 < plan.embed_seconds <= plan.seconds


def test_a_plan_of_a_change_counts_what_is_then_done_and_changes_nothing(
    mill: Loremill, home: Path, docs: Path
) -> None:
    mill.ingest(docs, collection="c")
    (docs / "a.md").write_text((docs / "a.md").read_text() + "\n\nOne paragraph more.\n")
    (docs / "b.md").unlink()
    (docs / "c.md").rename(docs / "d.md")
    (docs / "e.md").write_text("Dinner is at six.")
    before = files(home)
    plan = mill.plan(docs, collection="c")
    assert files(home) == before
    report = mill.ingest(docs, collection="c")
    assert (plan.documents, plan.moved) == (report.documents, report.moved)
    assert plan.chunks == report.chunks
    assert plan.to_json()["plan"] is True


def test_a_plan_of_another_chunk_size_knows_what_the_cache_has(
    mill: Loremill, open_mill: Callable[..., Loremill], docs: Path
) -> None:
    mill.ingest(docs, collection="c")
    finer = open_mill(chunk_tokens=40)
    plan = finer.plan(docs, collection="c")
    report = finer.ingest(docs, collection="c")
    assert plan.chunks == report.chunks
    assert report.chunks.embedded > 0
    assert mill.plan(docs, collection="c").chunks.embedded == 0


def test_nothing_to_do_takes_no_time_to_embed(mill: Loremill, docs: Path) -> None:
    mill.ingest(docs, collection="c")
    plan = mill.plan(docs, collection="c")
    assert (plan.chunks.added, plan.chunks.embedded, plan.embed_seconds) == (0, 0, 0.0)
