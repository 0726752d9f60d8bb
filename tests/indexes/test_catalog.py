"""The catalog: one truth for many processes, changed whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from indexes import catalog_sqlite, changes, corpus
from indexes.catalog import Catalog
from indexes.changes import apply_staged
from indexes.errors import AccessDenied, CollectionNotFound, ConfigError, IndexBackendError
from indexes.staging import QuarantineEntry, StoredDocument, Touch, open_staging
from indexes.vocabulary import Acl, Chunk, Document, Principal
from indexes.where_json import parse
from tests.catalogs import both_catalogs, reopen, sqlite_only, staging_of

pytestmark = both_catalogs

ALICE = Principal("halden", "user:alice", ("group:finance",))
BOB = Principal("halden", "user:bob")
EVERYONE, FINANCE, NOBODY = Acl(("everyone",)), Acl(("group:finance",)), Acl()


def stored(
    name: str, acl: Acl = EVERYONE, text: str = "some text", metadata: Mapping[str, Any] | None = None
) -> StoredDocument:
    document = Document(name, f"file:{name}", f"Title of {name}", text, "md", metadata or {})
    chunk = Chunk(name, 0, 0, len(text), text, ("Heading",))
    return StoredDocument(document, "source", name, "hash", acl, [(chunk, f"embed {text}")])


def put(
    catalog: Catalog,
    *documents: StoredDocument,
    touched: Sequence[Touch] = (),
    deletes: Sequence[str] = (),
    quarantined: Sequence[QuarantineEntry] = (),
    sources: Sequence[str] = (),
) -> None:
    """Stage a change and commit it."""
    with open_staging(catalog, staging_of(catalog), "c") as staging:
        staging.put(documents)
        staging.touch(touched)
        staging.drop(deletes)
        staging.quarantine(quarantined)
        with staging.commit() as db:
            apply_staged(db, "c", sources=sources)


def touched(name: str, acl: Acl, *, served: bool = True) -> Touch:
    return Touch(name, "source", name, f"file:{name}", "mark", acl, served=served)


def chunk_ids(catalog: Catalog) -> dict[str, str]:
    """The one chunk of each document."""
    return {name: chunks[0][0] for name, _, chunks in corpus.documents_with_chunks(catalog, "c")}


def readable(catalog: Catalog, principal: Principal) -> list[str]:
    return [info.document_id for info in catalog.listing("c", access=catalog.access(principal))]


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog.open(tmp_path / "catalog.db", tenant="halden")
    catalog.create_collection("c")
    yield catalog
    catalog.close()


@pytest.fixture
def other(catalog: Catalog) -> Iterator[Catalog]:
    """The same catalog, as another process has it open."""
    other = reopen(catalog)
    other.state("c")
    yield other
    other.close()


# -- opening -----------------------------------------------------------------------------------------------------------


def test_a_tenant_that_only_asks_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(CollectionNotFound, match="loremill ingest"):
        Catalog.open(tmp_path / "t" / "catalog.db", tenant="t", create=False)
    assert list(tmp_path.iterdir()) == []


@sqlite_only
@pytest.mark.parametrize("content", [b"this is no database at all", b"SQLite format 3\x00" + b"x" * 200])
def test_a_file_that_is_no_database_is_an_index_backend_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "catalog.db").write_bytes(content)
    with pytest.raises(IndexBackendError, match=r"catalog\.db"):
        Catalog.open(tmp_path / "catalog.db", tenant="t")


def test_a_catalog_of_another_version_is_refused(catalog: Catalog) -> None:
    with catalog.write() as db:
        db.exec_driver_sql("UPDATE state SET value = '99' WHERE key = 'schema'")
    with pytest.raises(IndexBackendError, match="schema 99"):
        reopen(catalog)


def test_processes_that_open_a_new_tenant_at_once_all_succeed(tmp_path: Path, catalog_url: str) -> None:
    script = (
        "import sys; from pathlib import Path; from indexes.catalog import Catalog\n"
        "sys.stdin.readline()\n"
        "Catalog.open(Path(sys.argv[1]), tenant='t', url=sys.argv[3]).create_collection(sys.argv[2])"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "catalog.db"), f"c{number}", catalog_url],
            stdin=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.wait() for process in running] == [0, 0, 0]
    for process in running:
        assert process.stdin is not None
        process.stdin.close()
    assert Catalog.open(tmp_path / "catalog.db", tenant="t").collections() == ["c0", "c1", "c2"]


def test_threads_that_open_a_new_tenant_at_once_all_succeed(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: Catalog.open(tmp_path / "catalog.db", tenant="t"), range(8)))
    for catalog in opened:
        assert catalog.collections() == []
        catalog.close()


# -- one truth ---------------------------------------------------------------------------------------------------------


def test_a_commit_is_seen_by_whoever_else_has_the_catalog_open(catalog: Catalog, other: Catalog) -> None:
    put(catalog, stored("a"), stored("secret", FINANCE))
    assert readable(other, BOB) == ["a"]
    assert readable(other, ALICE) == ["a", "secret"]
    put(other, stored("secret", NOBODY), deletes=["a"])
    assert readable(catalog, ALICE) == []


def test_a_new_class_made_elsewhere_is_known_by_its_number_in_the_state(catalog: Catalog, other: Catalog) -> None:
    put(catalog, stored("a", FINANCE))
    other.access(ALICE, state=other.state("c"))
    put(catalog, stored("b", Acl(("user:bob",))))
    access = other.access(BOB, state=other.state("c"))
    assert [info.document_id for info in other.listing("c", access=access)] == ["b"]


def test_the_epoch_grows_with_every_change_of_documents_or_rights_and_with_nothing_else(catalog: Catalog) -> None:
    seen = [catalog.state("c").epoch]
    steps: list[Callable[[], None]] = [
        lambda: put(catalog, stored("a")),
        lambda: put(catalog, touched=[touched("a", FINANCE)]),
        lambda: put(catalog, touched=[touched("a", FINANCE, served=False)]),
        lambda: put(catalog, deletes=["a"]),
        lambda: put(catalog, quarantined=[QuarantineEntry("u", "s", "d", "h", "parse", "ParseError", "why")]),
    ]
    for step in steps:
        step()
        seen.append(catalog.state("c").epoch)
    assert seen == [0, 1, 2, 2, 3, 3]


def test_readers_see_one_state_throughout_a_read(catalog: Catalog, other: Catalog) -> None:
    put(catalog, stored("a", text="old"), stored("b", text="old"))
    rows = corpus.documents_with_chunks(catalog, "c")
    first = next(rows)
    put(other, stored("a", text="new"), stored("b", text="new"))
    for _, text, chunks in (first, *rows):
        assert text == "old"
        assert [chunk.text for _, chunk in chunks] == ["old"]


# -- all or nothing ----------------------------------------------------------------------------------------------------


def snapshot(catalog: Catalog) -> dict[str, list[tuple[Any, ...]]]:
    tables = ("documents", "chunks", "collections", "quarantine", "acl_classes", "embeddings")
    with catalog.read() as db:
        return {
            name: sorted((tuple(row) for row in db.exec_driver_sql(f"SELECT * FROM {name}")), key=str)
            for name in tables
        }


@pytest.mark.parametrize("step", ["changes_served", "_freed", "_apply_touched", "move_embeddings", "_forget"])
def test_a_fault_in_the_middle_of_a_commit_leaves_the_old_state(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    put(catalog, stored("a"), stored("b", FINANCE))
    before = snapshot(catalog)
    real = getattr(changes, step)

    def fail(*arguments: Any) -> Any:
        real(*arguments)
        raise RuntimeError("power cut")

    monkeypatch.setattr(changes, step, fail)
    with pytest.raises(RuntimeError, match="power cut"):
        put(catalog, stored("b", NOBODY, "other"), stored("c", Acl(("user:x",))), deletes=["a"])
    after = snapshot(catalog)
    assert after.pop("acl_classes")[: len(before["acl_classes"])] == before.pop("acl_classes"), "a class may be new"
    assert after == before


@sqlite_only
def test_a_full_disk_is_an_error_that_changes_nothing(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    put(catalog, stored("a"))
    before = snapshot(catalog)
    with catalog.read() as db:
        pages = db.exec_driver_sql("PRAGMA page_count").scalar_one()

    def fill_the_disk(connection: Any, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")

    monkeypatch.setattr(catalog_sqlite, "connect_pragmas", fill_the_disk)
    with pytest.raises(IndexBackendError, match="nothing was changed"):
        put(catalog, stored("b"), stored("big", text="x" * 1_000_000), deletes=["a"])
    assert snapshot(catalog) == before
    assert readable(catalog, BOB) == ["a"]


def test_a_catalog_that_breaks_while_open_is_an_index_backend_error(catalog: Catalog) -> None:
    with catalog.write() as db:
        db.exec_driver_sql("DROP TABLE quarantine")
    with pytest.raises(IndexBackendError, match="could not be read"), catalog.read() as db:
        corpus.quarantined(db, "c")


# -- rights ------------------------------------------------------------------------------------------------------------


def test_a_class_never_changes_its_meaning_and_is_made_once(catalog: Catalog) -> None:
    acls = [EVERYONE, FINANCE, NOBODY, Acl(("group:finance",), ("user:eve",))]
    first = [catalog.class_id(acl) for acl in acls]
    put(catalog, stored("a", FINANCE))
    put(catalog, stored("a", NOBODY), deletes=[])
    assert [catalog.class_id(acl) for acl in acls] == first
    assert catalog.class_id(Acl(("group:finance", "group:finance"))) == first[1]
    assert len(set(first)) == 4
    assert min(first) > 0


def test_writers_that_need_the_same_new_class_at_once_get_the_same_one(catalog: Catalog) -> None:
    def make(number: int) -> int:
        mine = reopen(catalog)
        try:
            return mine.class_id(Acl((f"group:g{number % 2}",)))
        finally:
            mine.close()

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, range(16)))
    assert len(set(made)) == 2


def test_another_tenants_principal_is_denied(catalog: Catalog) -> None:
    with pytest.raises(AccessDenied):
        catalog.access(Principal("rival", "user:alice", ("group:finance",)))


def test_confirm_drops_what_became_unreadable_or_was_deleted_since_the_access_was_worked_out(
    catalog: Catalog, other: Catalog
) -> None:
    put(catalog, *(stored(name) for name in ("kept", "closed", "deleted", "rewritten")))
    ids = chunk_ids(catalog)
    access = catalog.access(BOB)
    assert set(catalog.confirm("c", list(ids.values()), access=access)) == set(ids.values())
    put(other, stored("rewritten", text="new"), touched=[touched("closed", FINANCE)], deletes=["deleted"])
    confirmed = catalog.confirm("c", list(ids.values()), access=access)
    assert list(confirmed) == [ids["kept"]]
    assert confirmed[ids["kept"]].chunk == Chunk("kept", 0, 0, 9, "some text", ("Heading",))
    assert confirmed[ids["kept"]].title == "Title of kept"


def test_confirm_knows_one_collection_only(catalog: Catalog) -> None:
    put(catalog, stored("a"))
    catalog.create_collection("d")
    assert catalog.confirm("d", [chunk_ids(catalog)["a"]], access=catalog.access(BOB)) == {}


def test_an_unreadable_document_looks_like_one_that_does_not_exist(catalog: Catalog) -> None:
    put(catalog, stored("secret", FINANCE))
    access = catalog.access(BOB)
    for name in ("secret", "no such"):
        assert catalog.document_info("c", name, access=access) is None
        assert catalog.document_text("c", name, access=access) is None
    assert catalog.document_text("c", "secret", access=catalog.access(ALICE)) == "some text"


def test_listings_come_in_pages_by_id_without_what_may_not_be_read(catalog: Catalog) -> None:
    put(catalog, *(stored(f"d{number}", FINANCE if number % 3 else EVERYONE) for number in range(9)))
    access = catalog.access(BOB)
    first = catalog.listing("c", access=access, limit=2)
    assert [info.document_id for info in first] == ["d0", "d3"]
    assert [info.document_id for info in catalog.listing("c", access=access, limit=2, after="d3")] == ["d6"]
    assert first[0].chunks == 1


# -- metadata ------------------------------------------------------------------------------------------------------------

TAGGED: dict[str, dict[str, Any]] = {
    "a": {"year": 2024, "tag": ["x", None, 1.5], "title": "shadowed"},
    "b": {"year": True, "größe": {"deep": 1}, 'quo"te': "\ud800", "big": 2**70},
    "c": {},
}


def values(catalog: Catalog, *keys: str, since: int | None = None) -> dict[str, list[Any]]:
    return dict(catalog.field_values("c", keys, since=since))


def test_field_values_are_the_metadata_and_the_documents_own_fields(catalog: Catalog) -> None:
    put(catalog, *(stored(name, metadata=metadata) for name, metadata in TAGGED.items()))
    assert values(catalog, "year", "tag") == {"a": [2024, ["x", None, 1.5]], "b": [True, None], "c": [None, None]}
    assert values(catalog, "größe", 'quo"te', "big")["b"] == [{"deep": 1}, "\ud800", 2**70]
    assert values(catalog, "title", "uri", "format", "document_id")["a"] == ["Title of a", "file:a", "md", "a"]
    assert list(catalog.field_values("another", ["year"])) == []


def test_field_values_since_an_epoch_are_those_of_whatever_changed_after_it(catalog: Catalog) -> None:
    put(catalog, *(stored(name, metadata=metadata) for name, metadata in TAGGED.items()))
    before = catalog.state("c").epoch
    assert values(catalog, "year", since=before) == {}
    put(catalog, stored("b", metadata={"year": 7}))
    assert values(catalog, "year", since=before) == {"b": [7]}
    changed = catalog.state("c").epoch
    put(catalog, touched=[Touch("c", "source", "c", "file:elsewhere", "", EVERYONE)])
    assert values(catalog, "uri", since=changed) == {"c": ["file:elsewhere"]}
    assert values(catalog, "uri", since=before) == {"b": ["file:b"], "c": ["file:elsewhere"]}
    put(catalog, deletes=["b"])
    put(catalog, stored("b", metadata={"year": 8}))
    assert values(catalog, "year", since=catalog.state("c").epoch - 1) == {"b": [8]}


def test_a_confirmation_admits_by_the_metadata_of_the_moment(catalog: Catalog) -> None:
    put(catalog, *(stored(name, metadata={"year": year}) for name, year in (("a", 1), ("b", 2))))
    access = catalog.access(BOB)
    ids = [stored(name).chunks[0][0].chunk_id for name in ("a", "b")]
    where = parse({"year": {"gte": 2}, "format": "md"})
    assert set(catalog.confirm("c", ids, access=access)) == set(ids)
    assert set(catalog.confirm("c", ids, access=access, where=where)) == {ids[1]}
    put(catalog, stored("a", metadata={"year": 3}), stored("b", metadata={"year": 1}))
    assert set(catalog.confirm("c", ids, access=access, where=where)) == {ids[0]}
    put(catalog, stored("a", FINANCE, metadata={"year": 3}))
    assert catalog.confirm("c", ids, access=access, where=where) == {}


# -- the rest ----------------------------------------------------------------------------------------------------------


def test_an_unknown_collection_is_named_with_the_command_that_makes_it(catalog: Catalog) -> None:
    with pytest.raises(CollectionNotFound, match="loremill ingest SOURCE --collection nope"):
        catalog.state("nope")


def test_half_a_surrogate_pair_in_a_name_is_a_config_error(catalog: Catalog) -> None:
    with pytest.raises(ConfigError, match="surrogate"):
        catalog.state("\ud800")
    with pytest.raises(ConfigError, match="surrogate"):
        put(catalog, stored("\ud800"))
    assert chunk_ids(catalog) == {}


def test_a_sources_quarantine_is_replaced_when_it_is_seen_again(catalog: Catalog) -> None:
    def entry(uri: str, source: str) -> QuarantineEntry:
        return QuarantineEntry(uri, source, uri, "h", "parse", "ParseError", "why")

    put(catalog, quarantined=[entry("a", "one"), entry("b", "one"), entry("c", "two")])
    put(catalog, quarantined=[entry("b", "one")], sources=["one"])
    with catalog.read() as db:
        found = corpus.quarantined(db, "c")
    assert [(entry.uri, entry.source) for entry in found] == [("b", "one"), ("c", "two")]
