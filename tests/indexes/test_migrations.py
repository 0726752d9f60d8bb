"""A catalog of an earlier version is brought up to the present one, with all that is in it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from indexes import corpus
from indexes.catalog import Catalog
from indexes.errors import IndexBackendError
from indexes.tables import SCHEMA_VERSION, metadata
from indexes.vocabulary import Principal

VERSION_1 = """
CREATE TABLE acl_classes (class_id INTEGER NOT NULL, allow JSON NOT NULL, deny JSON NOT NULL, "key" VARCHAR NOT NULL,
  PRIMARY KEY (class_id), UNIQUE ("key"));
CREATE TABLE chunks (collection VARCHAR NOT NULL, chunk_id VARCHAR NOT NULL, document_id VARCHAR NOT NULL,
  ordinal INTEGER NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL, headings JSON NOT NULL, text TEXT NOT NULL,
  embed_hash VARCHAR NOT NULL, PRIMARY KEY (collection, chunk_id));
CREATE INDEX chunks_by_document ON chunks (collection, document_id);
CREATE INDEX chunks_by_embedding ON chunks (embed_hash);
CREATE TABLE collections (name VARCHAR NOT NULL, created VARCHAR NOT NULL, live VARCHAR, epoch INTEGER NOT NULL,
  PRIMARY KEY (name));
CREATE TABLE embeddings (model_id VARCHAR NOT NULL, text_hash VARCHAR NOT NULL, vector BLOB NOT NULL,
  PRIMARY KEY (model_id, text_hash));
CREATE TABLE quarantine (collection VARCHAR NOT NULL, uri VARCHAR NOT NULL, source VARCHAR NOT NULL,
  document_id VARCHAR NOT NULL, source_hash VARCHAR NOT NULL, stage VARCHAR NOT NULL, error VARCHAR NOT NULL,
  message VARCHAR NOT NULL, at VARCHAR NOT NULL, PRIMARY KEY (collection, uri));
CREATE TABLE state ("key" VARCHAR NOT NULL, value VARCHAR NOT NULL, PRIMARY KEY ("key"));
CREATE TABLE builds (collection VARCHAR NOT NULL, build_id VARCHAR NOT NULL, manifest JSON NOT NULL,
  created VARCHAR NOT NULL, PRIMARY KEY (collection, build_id));
CREATE TABLE documents (collection VARCHAR NOT NULL, document_id VARCHAR NOT NULL, source VARCHAR NOT NULL,
  path VARCHAR NOT NULL, uri VARCHAR NOT NULL, title VARCHAR NOT NULL, format VARCHAR NOT NULL, metadata JSON NOT NULL,
  content_hash VARCHAR NOT NULL, source_hash VARCHAR NOT NULL, class_id INTEGER NOT NULL, text TEXT NOT NULL,
  ingested VARCHAR NOT NULL, PRIMARY KEY (collection, document_id));
CREATE INDEX documents_by_uri ON documents (collection, uri);
CREATE TABLE releases (collection VARCHAR NOT NULL, release_id VARCHAR NOT NULL, build_id VARCHAR NOT NULL,
  prompt VARCHAR NOT NULL, generator VARCHAR NOT NULL, retrieval JSON NOT NULL, created VARCHAR NOT NULL, gate JSON,
  PRIMARY KEY (collection, release_id));
INSERT INTO state VALUES ('schema', '1');
INSERT INTO collections VALUES ('c', '2026-11-01', NULL, 4);
INSERT INTO acl_classes VALUES (1, '["everyone"]', '[]', '[["everyone"], []]');
INSERT INTO documents VALUES ('c', 'a.md', 'file:///docs', 'a.md', 'file:///docs/a.md', 'A', 'md', '{"year": 2024}',
  'content', 'hash', 1, 'The kiln runs hot.', '2026-11-01');
INSERT INTO chunks VALUES ('c', 'chunk', 'a.md', 0, 0, 18, '[]', 'The kiln runs hot.', 'embedded');
INSERT INTO embeddings VALUES ('m', 'embedded', x'00000000');
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "catalog.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(VERSION_1)
    return path


def columns(path: Path) -> dict[str, set[str]]:
    with closing(sqlite3.connect(path)) as db:
        names = [
            row[0]
            for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        ]
        return {name: {row[1] for row in db.execute(f"PRAGMA table_info({name})")} for name in names}


def test_a_catalog_of_version_1_opens_with_every_table_and_column_and_all_its_documents(old: Path) -> None:
    catalog = Catalog.open(old, tenant="t")
    assert columns(old) == {table.name: {column.name for column in table.c} for table in metadata.sorted_tables}
    with catalog.read() as db:
        state = corpus.states(db, "c", ["a.md"])["a.md"]
        uses = db.exec_driver_sql("SELECT text_hash, collection, document_id FROM text_uses").all()
        version = db.exec_driver_sql("SELECT value FROM state WHERE key = 'schema'").scalar()
    assert (state.title, state.metadata, state.source_hash) == ("A", {"year": 2024}, "hash")
    assert (state.mark, state.recipe, state.parent) == ("", "", None), "so that the next ingestion looks at it again"
    assert [tuple(row) for row in uses] == [("embedded", "c", "a.md")], "its vector would be forgotten or kept for ever"
    assert version == str(SCHEMA_VERSION)
    catalog.close()
    Catalog.open(old, tenant="t").close()


def test_who_could_read_a_document_before_may_read_it_after_and_nobody_else(old: Path) -> None:
    with closing(sqlite3.connect(old)) as db:
        db.executescript("""
            INSERT INTO acl_classes VALUES (2, '["group:hr"]', '[]', '[["group:hr"], []]');
            INSERT INTO documents VALUES ('c', 'case.md', 'file:///docs', 'case.md', 'file:///docs/case.md', 'Case', 'md',
              '{}', 'content', 'hash', 2, 'A case.', '2026-11-01');
        """)
    catalog = Catalog.open(old, tenant="t")
    seen = {
        groups: [
            info.document_id for info in catalog.listing("c", access=catalog.access(Principal("t", "user:x", groups)))
        ]
        for groups in ((), ("group:hr",))
    }
    assert seen == {(): ["a.md"], ("group:hr",): ["a.md", "case.md"]}
    catalog.close()


@pytest.mark.parametrize("version", ["0", str(SCHEMA_VERSION + 1), "x"])
def test_a_catalog_of_a_later_version_or_none_is_refused_and_not_touched(old: Path, version: str) -> None:
    with closing(sqlite3.connect(old)) as db, db:
        db.execute("UPDATE state SET value = ? WHERE key = 'schema'", (version,))
    before = columns(old)
    with pytest.raises(IndexBackendError, match=f"schema {version}"):
        Catalog.open(old, tenant="t")
    assert columns(old) == before
