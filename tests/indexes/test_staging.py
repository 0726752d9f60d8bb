"""Staging keeps what an ingestion prepares out of everybody's sight until its commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from indexes.builds import BuildConfig, ChunkKey, build_id
from indexes.catalog import Catalog
from indexes.changes import apply_staged
from indexes.staging import QuarantineEntry, Staging, StoredDocument, Touch, open_staging
from indexes.upcoming import Upcoming
from indexes.vocabulary import Acl, Chunk, Document
from tests.catalogs import both_catalogs, sqlite_only

pytestmark = both_catalogs

EVERYONE, FINANCE = Acl(("everyone",)), Acl(("group:finance",))


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog.open(tmp_path / "catalog.db", tenant="t")
    catalog.create_collection("c")
    yield catalog
    catalog.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "staging.db"


def document(name: str, text: str = "", acl: Acl = EVERYONE, source_hash: str = "") -> StoredDocument:
    text = text or f"text of {name}"
    chunk = Chunk(name, 0, 0, len(text), text)
    return StoredDocument(
        Document(name, f"file:{name}", name, text, "md"), "source", name, source_hash or f"bytes of {name}", acl,
        [(chunk, f"embed {text}")],
    )  # fmt: skip


def vectors(*values: float) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.array([[value, 0.0] for value in values], dtype=np.float32)


def commit(staging: Staging) -> None:
    with staging.commit() as db:
        apply_staged(db, "c", sources=())


def upcoming(staging: Staging) -> list[tuple[str, int, str]]:
    return [(row.document_id, row.acl_class, row.text) for row in Upcoming(staging, model_id="m").rows()]


def test_nothing_staged_shows_in_the_catalog_before_the_commit(catalog: Catalog, path: Path) -> None:
    with open_staging(catalog, path, "c") as staging:
        staging.put([document("a")])
        staging.quarantine([QuarantineEntry("u", "s", "d", "", "parse", "ParseError", "why")])
        staging.keep("m", ["embed text of a"], vectors(1))
        with catalog.read() as db:
            assert [db.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() for table in
                    ("documents", "chunks", "quarantine", "embeddings")] == [0, 0, 0, 0]  # fmt: skip
        commit(staging)
        with catalog.read() as db:
            assert [db.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() for table in
                    ("documents", "chunks", "quarantine", "embeddings")] == [1, 1, 1, 1]  # fmt: skip
    assert [file.name for file in path.parent.glob("staging*")] == []


def test_what_is_to_come_is_the_catalog_with_the_staged_changes_by_ascending_chunk_id(
    catalog: Catalog, path: Path
) -> None:
    with open_staging(catalog, path, "c") as staging:
        staging.put([document("kept"), document("closed"), document("gone"), document("old")])
        commit(staging)
    with open_staging(catalog, path, "c") as staging:
        staging.put([document("old", "new text"), document("new")])
        staging.touch([Touch("closed", "source", "closed", "file:closed", "", FINANCE)])
        staging.drop(["gone", "never stored"])
        ahead = Upcoming(staging, model_id="m")
        keys = list(ahead.keys())
        assert [key.chunk_id for key in keys] == sorted(key.chunk_id for key in keys)
        assert [row.chunk_id for row in ahead.rows()] == [key.chunk_id for key in keys]
        assert ahead.document_ids() == ["closed", "kept", "new", "old"]
        assert len(ahead) == 4
        assert ahead.differences() == (2, 2)
        rows = {name: (acl_class, text) for name, acl_class, text in upcoming(staging)}
        assert rows["old"][1] == "new text"
        assert rows["closed"][0] == catalog.class_id(FINANCE) != rows["kept"][0]
        commit(staging)
        after = list(Upcoming(staging, model_id="m").keys())
    with open_staging(catalog, path, "c") as staging:
        assert list(Upcoming(staging, model_id="m").keys()) == keys == after


def test_a_document_that_went_and_one_of_the_same_bytes_that_came_count_as_moved(catalog: Catalog, path: Path) -> None:
    with open_staging(catalog, path, "c") as staging:
        staging.put([document("a", source_hash="x"), document("b", source_hash="x"), document("c"), document("bad")])
        commit(staging)
    with open_staging(catalog, path, "c") as staging:
        staging.drop(["a", "b", "c", "bad"])
        staging.put([document("d", source_hash="x"), document("e")])
        staging.quarantine([QuarantineEntry("u", "s", "bad", "", "parse", "ParseError", "why")])
        assert staging.departures() == (3, 1)


def test_vectors_of_a_run_that_was_killed_are_kept_and_its_documents_are_not(catalog: Catalog, path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_staging(catalog, path, "c") as staging:  # noqa: PT012
        staging.put([document("a")])
        staging.keep("m", ["h"], vectors(1))
        raise KeyboardInterrupt
    with open_staging(catalog, path, "c") as staging:
        assert staging.missing("m", ["h", "other"]) == {"other"}
        assert staging.missing("another space", ["h"]) == {"h"}
        assert upcoming(staging) == []


@sqlite_only
def test_a_torn_staging_file_is_begun_anew(catalog: Catalog, path: Path) -> None:
    path.write_bytes(b"SQLite format 3\x00" + b"x" * 5000)
    with open_staging(catalog, path, "c") as staging:
        staging.put([document("a")])
        assert len(upcoming(staging)) == 1


def test_rights_can_change_while_an_ingestion_has_staged_a_lot(catalog: Catalog, path: Path) -> None:
    """Staging holds no lock on the catalog: a revocation need not wait for a long ingestion."""
    with open_staging(catalog, path, "c") as staging, staging.write():
        done: list[int] = []
        writer = Thread(target=lambda: done.append(catalog.class_id(FINANCE)))
        writer.start()
        writer.join(timeout=20)
        assert done


def test_a_vector_that_no_document_needs_any_more_is_forgotten_and_one_of_an_earlier_cut_is_not(
    catalog: Catalog, path: Path
) -> None:
    def cached() -> set[str]:
        with catalog.read() as db:
            return set(db.exec_driver_sql("SELECT text_hash FROM embeddings").scalars())

    first = document("a", "one two")
    recut = StoredDocument(
        first.document, "source", "a", "h", EVERYONE,
        [(Chunk("a", 0, 0, 3, "one"), "embed one"), (Chunk("a", 1, 4, 7, "two"), "embed two")], same_text=True,
    )  # fmt: skip
    for stored in (first, recut):
        with open_staging(catalog, path, "c") as staging:
            staging.put([stored])
            staging.keep("m", [name for _, name in stored.chunks], vectors(*range(len(stored.chunks))))
            staging.keep("m", ["of nobody"], vectors(0))
            commit(staging)
    assert cached() == {"embed one two", "embed one", "embed two"}, "another chunk size and back costs nothing"
    with open_staging(catalog, path, "c") as staging:
        staging.drop(["a"])
        commit(staging)
    assert cached() == set(), "what was deleted is forgotten, under whatever chunk size it was embedded"


@pytest.mark.parametrize("batches", [["abcd"], ["d", "ba", "c"], ["dcba"]])
def test_the_build_id_does_not_depend_on_how_the_documents_came(
    catalog: Catalog, path: Path, batches: list[str]
) -> None:
    for batch in batches:
        with open_staging(catalog, path, "c") as staging:
            staging.put([document(name) for name in batch])
            commit(staging)
    with open_staging(catalog, path, "c") as staging:
        found = build_id(Upcoming(staging, model_id="m").keys(), BuildConfig("m", 2, "x", "faiss"))
    expected = sorted(((chunk.chunk_id, name) for name in "abcd" for chunk, _ in document(name).chunks))
    assert found == build_id(
        [ChunkKey(chunk_id, name, f"embed text of {name}") for chunk_id, name in expected],
        BuildConfig("m", 2, "x", "faiss"),
    )
