"""The catalog in PostgreSQL: tenants share no table, writers come one after the other, and what goes wrong is said clearly."""

from __future__ import annotations

import builtins
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from indexes.catalog import Catalog
from indexes.catalog_backend import open_backend
from indexes.catalog_postgres import parse_url, tenants
from indexes.changes import record_build
from indexes.errors import CollectionNotFound, ConfigError, DependencyMissing, IndexBackendError
from indexes.rights import class_id
from indexes.settings import load_settings
from indexes.staging import StoredDocument, open_staging
from indexes.vocabulary import Acl, Chunk, Document, Principal
from tests.catalogs import PostgresServer, both_catalogs, reopen, staging_of

ALICE = Principal("halden", "user:alice")
EVERYONE = Acl(("everyone",))


@pytest.fixture
def url(postgres: PostgresServer, tmp_path: Path) -> Iterator[str]:
    yield postgres.url_of(tmp_path)
    postgres.free()


@pytest.fixture
def catalog(url: str) -> Iterator[Catalog]:
    opened = Catalog.open(Path(), tenant="halden", url=url)
    opened.create_collection("c")
    yield opened
    opened.close()


def document(name: str, text: str = "some text") -> StoredDocument:
    chunk = Chunk(name, 0, 0, len(text), text)
    return StoredDocument(Document(name, f"file:{name}", name, text, "md"), "s", name, "h", EVERYONE, [(chunk, text)])


# -- one schema a tenant -----------------------------------------------------------------------------------------------


def test_tenants_share_no_table_and_a_connection_without_a_tenant_sees_none(catalog: Catalog, url: str) -> None:
    other = Catalog.open(Path(), tenant="Other.Tenant+1", url=url)
    try:
        assert other.collections() == []
        assert catalog.collections() == ["c"]
        assert (catalog.schema, other.schema) == ("loremill_halden", "loremill_Other.Tenant+1")
        assert tenants(url) == ["Other.Tenant+1", "halden"]
        with catalog.engine.connect() as db, pytest.raises(Exception, match="does not exist"):
            db.exec_driver_sql("SELECT * FROM collections")
    finally:
        other.close()


def test_a_statement_that_the_server_has_prepared_for_one_tenant_never_answers_for_another(
    catalog: Catalog, url: str
) -> None:
    """All tenants share the pool's connections, and the driver prepares a statement that comes often."""
    other = Catalog.open(Path(), tenant="other", url=url)
    try:
        for _ in range(12):
            assert catalog.collections() == ["c"]
            assert other.collections() == []
    finally:
        other.close()


def test_a_tenant_that_only_asks_makes_no_schema(url: str) -> None:
    with pytest.raises(CollectionNotFound, match="loremill ingest"):
        Catalog.open(Path(), tenant="t", create=False, url=url)
    assert tenants(url) == []


def test_a_tenant_whose_name_would_be_cut_off_is_refused(url: str) -> None:
    Catalog.open(Path(), tenant="t" * 54, url=url).close()
    with pytest.raises(ConfigError, match="at most 54"):
        Catalog.open(Path(), tenant="t" * 55, url=url)
    assert tenants(url) == ["t" * 54]


def test_texts_are_ordered_by_code_point_whatever_the_locale_of_the_database(catalog: Catalog) -> None:
    for name in ("b", "B", "a", "A"):
        catalog.create_collection(name)
    assert catalog.collections() == ["A", "B", "a", "b", "c"]
    with catalog.read() as db:
        query = "SELECT DISTINCT collation_name FROM information_schema.columns WHERE table_schema = %s"
        found = db.exec_driver_sql(f"{query} AND data_type IN ('text', 'character varying')", (catalog.schema,))
        assert list(found.scalars()) == ["C"]


# -- writers and readers -----------------------------------------------------------------------------------------------


def test_a_writer_that_waited_sees_what_the_one_before_has_committed(catalog: Catalog) -> None:
    """Two that need the same new class: without the lock both would find none, and one of them would fail."""
    other, found = reopen(catalog), []

    def make() -> None:
        with other.write() as db:
            found.append(class_id(db, Acl(("group:new",))))

    with catalog.write() as db:
        mine = class_id(db, Acl(("group:new",)))
        thread = threading.Thread(target=make)
        thread.start()
        thread.join(timeout=0.3)
        assert thread.is_alive(), "it waits for its turn"
    thread.join(timeout=30)
    other.close()
    assert found == [mine]


def test_processes_that_write_to_one_tenant_at_once_lose_nothing(catalog: Catalog, url: str) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from indexes.catalog import Catalog; from indexes.rights import raise_epoch\n"
        "catalog = Catalog.open(Path(), tenant='halden', url=sys.argv[1])\n"
        "for _ in range(25):\n"
        "    with catalog.write() as db: raise_epoch(db, 'c')\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", script, url]) for _ in range(2)]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    assert catalog.state("c").epoch == 50


def test_what_a_killed_process_had_begun_leaves_nothing_and_holds_nobody_up(catalog: Catalog, url: str) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from indexes.catalog import Catalog; from indexes.rights import raise_epoch\n"
        "catalog = Catalog.open(Path(), tenant='halden', url=sys.argv[1])\n"
        "with catalog.write() as db:\n"
        "    raise_epoch(db, 'c'); print('written', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
    catalog.create_collection("d")
    assert catalog.state("c").epoch == 0


def test_connections_that_the_server_has_dropped_are_made_anew(catalog: Catalog) -> None:
    """As after a restart of the server: nothing had begun, so nobody need hear of it."""
    assert catalog.collections() == ["c"]
    with catalog.engine.connect() as db:
        mine = db.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        others = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> %s AND application_name = 'loremill'"
        )
        with catalog.engine.connect() as second:
            second.exec_driver_sql("SELECT 1")
        db.exec_driver_sql(others, (mine,)).all()
    with catalog.engine.connect() as db:  # that one goes too
        pass
    assert catalog.collections() == ["c"]
    catalog.create_collection("d")
    assert catalog.collections() == ["c", "d"]


# -- staging -----------------------------------------------------------------------------------------------------------


def schemas(catalog: Catalog) -> list[str]:
    with catalog.read() as db:
        return list(catalog.backend.staging_schemas(db))  # type: ignore[attr-defined]


def test_what_is_staged_lies_in_a_schema_of_its_own_that_goes_with_success_and_stays_after_a_fault(
    catalog: Catalog,
) -> None:
    with open_staging(catalog, Path(), "c") as staging:
        staging.put([document("a")])
        assert len(schemas(catalog)) == 1
    assert schemas(catalog) == []
    with pytest.raises(RuntimeError, match="killed"), open_staging(catalog, Path(), "c"):
        raise RuntimeError("killed")
    assert len(schemas(catalog)) == 1, "its vectors were paid for"


def test_a_plan_stages_apart_from_an_ingestion_and_leaves_nothing(catalog: Catalog) -> None:
    with open_staging(catalog, Path(), "c") as staging:
        staging.put([document("a")])
        with pytest.raises(RuntimeError), open_staging(catalog, Path(), "c", dry=True) as plan:  # noqa: PT012
            plan.put([document("b")])
            raise RuntimeError
        with open_staging(catalog, Path(), "c", dry=True) as plan:
            plan.drop(["c"])
        assert len(schemas(catalog)) == 1
        with staging.read() as db:
            from indexes.tables import staged_documents

            assert [row.document_id for row in db.execute(staged_documents.select())] == ["a"]


def test_what_a_killed_plan_has_left_is_removed_a_day_later(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    script_time = 1_000_000_000.0
    with monkeypatch.context() as patch:
        patch.setattr("indexes.catalog_postgres.time.time", lambda: script_time)
        patch.setattr("indexes.catalog_postgres.PostgresBackend._remove", lambda *_: None)  # as a kill would
        with open_staging(catalog, Path(), "c", dry=True):
            pass
    assert len(schemas(catalog)) == 1
    with open_staging(catalog, Path(), "c", dry=True):
        assert len(schemas(catalog)) == 1, "its own"
    assert schemas(catalog) == []


def test_one_ingestion_of_a_collection_runs_among_all_that_share_the_database(catalog: Catalog) -> None:
    other = reopen(catalog)
    with catalog.backend.claim("c") as mine, other.backend.claim("c") as theirs, other.backend.claim("d") as another:
        assert (mine, theirs, another) == (True, False, True)
    with other.backend.claim("c") as theirs:
        assert theirs
    other.close()


# -- what both databases do ----------------------------------------------------------------------------------------------


@both_catalogs
def test_a_build_that_is_written_down_again_has_the_columns_that_are_not_given_empty(tmp_path: Path) -> None:
    """As REPLACE does: its files are back, so it is not gone any more."""
    from indexes.tables import builds

    catalog = Catalog.open(tmp_path / "catalog.db", tenant="halden")
    catalog.create_collection("c")
    with catalog.write() as db:
        record_build(db, "c", "b1", {"n": 1}, recipe={})
        db.execute(builds.update().values(gone=1))
        record_build(db, "c", "b1", {"n": 2}, recipe={})
        row = db.execute(builds.select()).one()
    catalog.close()
    assert (row.gone, row.manifest) == (None, {"n": 2})


@both_catalogs
def test_a_document_that_is_staged_twice_counts_as_the_last_one(tmp_path: Path) -> None:
    from indexes.changes import apply_staged

    catalog = Catalog.open(tmp_path / "catalog.db", tenant="halden")
    catalog.create_collection("c")
    with open_staging(catalog, staging_of(catalog), "c") as staging:
        staging.put([document("a", "first"), document("a", "second")])
        with staging.commit() as db:
            apply_staged(db, "c", sources=())
    assert catalog.document_text("c", "a", access=catalog.access(ALICE)) == "second"
    catalog.close()


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_a_character_that_postgresql_cannot_hold_is_a_clear_error(catalog: Catalog) -> None:
    with pytest.raises(ConfigError, match=r"U\+0000"):
        catalog.document_text("c", "a\x00b", access=catalog.access(ALICE))


def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    url = "postgresql://ann:s3cret@127.0.0.1:1/kb"
    for attempt in (lambda: tenants(url), lambda: Catalog.open(Path(), tenant="t", url=url)):
        with pytest.raises(IndexBackendError, match=r"127\.0\.0\.1:1, database kb") as caught:
            attempt()
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["mysql://ann:s3cret@h/kb", "postgresql://ann:s3cret@h:port/kb", "host=h"])
def test_a_url_that_is_none_of_postgresql_is_a_bad_setting_and_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="catalog_url") as caught:
        load_settings(catalog_url=url)
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(load_settings(catalog_url="postgresql://ann:s3cret@h/kb"))


def test_the_names_that_urls_of_postgresql_begin_with_all_mean_the_driver_that_is_used() -> None:
    names = ("postgresql", "postgres", "postgresql+psycopg")
    assert {parse_url(f"{name}://h/kb").drivername for name in names} == {"postgresql+psycopg"}


def test_without_the_driver_the_command_that_installs_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.partition(".")[0] == "psycopg":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DependencyMissing, match=r"pip install 'loremill\[postgres\]'"):
        open_backend(Path(), tenant="t", url="postgresql://h/another")
