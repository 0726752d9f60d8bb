"""Committing: the build is whole before the catalog names it, and what nobody serves any more is collected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indexes import catalog_sqlite
from indexes.errors import IndexBackendError, IngestError
from ingest import commit as module
from ingest.commit import exclusive
from rag import Loremill, Principal
from tests.catalogs import sqlite_only

ALICE = Principal("halden", "user:alice")
WriteTree = Callable[..., Path]


@pytest.fixture
def docs(write_tree: WriteTree) -> Path:
    return write_tree({"acl.yaml": "tenant: halden\ndefault: {allow: [everyone]}\n", "a.md": "The kiln runs hot."})


def builds(home: Path) -> Path:
    return home / "tenants/halden/collections/c/builds"


def served(mill: Loremill) -> tuple[str, list[str]]:
    result = mill.search_result("kiln", collection="c", principal=ALICE)
    return result.build, [hit.text for hit in result.hits]


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    with exclusive(tmp_path / "c"):
        with pytest.raises(IngestError, match="another ingestion of collection 'c'"), exclusive(tmp_path / "c"):
            pass
        with exclusive(tmp_path / "d"):
            pass
    with exclusive(tmp_path / "c"):
        pass


@pytest.mark.parametrize("step", ["apply_staged", "record_duplicates", "record_source", "record_build", "kept_builds"])
def test_a_fault_inside_the_last_transaction_leaves_the_old_state_and_a_second_run_completes(
    mill: Loremill, docs: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    mill.ingest(docs, collection="c")
    before = served(mill)
    (docs / "a.md").write_text("The kiln is cold.")
    real: Callable[..., Any] = getattr(module, step)

    def fail(*arguments: Any, **named: Any) -> None:
        real(*arguments, **named)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, step, fail)
        with pytest.raises(KeyboardInterrupt):
            mill.ingest(docs, collection="c")
    assert served(mill) == before
    assert mill.verify("c", sources=False).ok
    mill.ingest(docs, collection="c")
    assert served(mill)[1] == ["The kiln is cold."]


@sqlite_only
@pytest.mark.slow
def test_a_full_disk_leaves_the_old_state_served(mill: Loremill, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mill.ingest(docs, collection="c")
    before = served(mill)
    real = catalog_sqlite.connect_pragmas

    def fill_the_disk(connection: Any, record: object) -> None:
        real(connection, record)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 3}")

    (docs / "a.md").write_text("\n\n".join(f"The kiln, part {number} of very many." for number in range(2000)))
    with monkeypatch.context() as patch:
        patch.setattr(catalog_sqlite, "connect_pragmas", fill_the_disk)
        with pytest.raises(IndexBackendError, match="nothing was changed"):
            mill.ingest(docs, collection="c")
    assert served(mill) == before
    assert mill.verify("c", sources=False).ok


def test_a_few_old_builds_are_kept_and_leftovers_of_crashed_runs_are_collected(
    mill: Loremill, home: Path, docs: Path
) -> None:
    made = []
    for number in range(6):
        (docs / "a.md").write_text(f"The kiln, version {number}.")
        made.append(mill.ingest(docs, collection="c").build)
    assert {path.name for path in builds(home).iterdir()} == set(made[-3:])
    (builds(home) / ".0123456789abcdef.1.tmp/lexical").mkdir(parents=True)
    (builds(home) / "build-of-a-run-that-died-before-its-commit").mkdir()
    mill.ingest(docs, collection="c")
    assert {path.name for path in builds(home).iterdir()} == set(made[-3:])


def test_a_build_that_was_damaged_on_disk_is_written_again_by_the_next_ingestion(
    mill: Loremill, open_mill: Callable[..., Loremill], home: Path, docs: Path
) -> None:
    build = mill.ingest(docs, collection="c").build
    (builds(home) / build / "vectors.index/rows.f32").write_bytes(b"")
    assert not open_mill().verify("c").ok
    assert mill.ingest(docs, collection="c").build == build
    assert open_mill().verify("c").ok


def test_the_vector_of_a_text_that_another_collection_still_has_is_kept(mill: Loremill, docs: Path) -> None:
    mill.ingest(docs, collection="c")
    mill.ingest(docs, collection="d")
    (docs / "a.md").write_text("Something else.")
    assert mill.ingest(docs, collection="c").chunks.embedded == 1
    (docs / "a.md").write_text("The kiln runs hot.")
    report = mill.ingest(docs, collection="c")
    assert (report.chunks.embedded, report.chunks.reused) == (0, 1)


def test_a_text_that_nobody_has_any_more_is_forgotten_with_its_vector(mill: Loremill, home: Path, docs: Path) -> None:
    (docs / "b.md").write_text("The password is swordfish.")
    mill.ingest(docs, collection="c")
    (docs / "b.md").unlink()
    mill.ingest(docs, collection="c")
    with mill._tenant("halden").catalog.read() as db:
        assert db.exec_driver_sql("SELECT count(*) FROM embeddings").scalar() == 1
        assert not any("swordfish" in text for text in db.exec_driver_sql("SELECT text FROM documents").scalars())
