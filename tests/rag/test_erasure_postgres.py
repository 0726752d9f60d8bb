"""What was deleted from a schema in PostgreSQL is in no byte of its tables and indexes once it is compacted, and a scan sees what is."""

from __future__ import annotations

import random
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pgserver", reason="pgserver is not installed")
pytest.importorskip("psycopg", reason="psycopg is not installed")

from sqlalchemy import Connection, Engine, create_engine

from indexes.errors import Busy, IndexBackendError
from indexes.postgres_samples import keep_no_samples
from rag.erasure.postgres import ALWAYS, compact_postgres
from rag.erasure.postgres_scan import NOT_HERE, scan_postgres
from rag.fingerprints import Finder, Fingerprinter

SCHEMA = "loremill_t"
_RANDOM = random.Random(7)
WORDS = [f"{number:04d}" + "".join(_RANDOM.choices("bcdfghjklmnpqrtvwxz", k=12)) for number in range(200)]


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, Path]]:
    """A server of its own, as its URL and its folder.

    Not below pytest's folder: as root the server runs as another user, and the next pytest that starts shuts others out of it.
    """
    import pgserver

    folder = Path(tempfile.mkdtemp(prefix="loremill-postgres-"))
    started = pgserver.get_server(folder, cleanup_mode="stop")
    yield started.get_uri().replace("postgresql://", "postgresql+psycopg://"), folder
    started.cleanup()
    shutil.rmtree(folder)


@pytest.fixture
def engine(server: tuple[str, Path]) -> Iterator[Engine]:
    """Of a database with a tenant's schema: a table with words in the row, in TOAST, in an index; a neighbour's schema has the same."""
    opened = create_engine(server[0])
    with opened.begin() as db:
        for schema in (SCHEMA, "loremill_other"):
            db.exec_driver_sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
            db.exec_driver_sql(f"CREATE SCHEMA {schema}")
            db.exec_driver_sql(
                f"CREATE TABLE {schema}.said (id text PRIMARY KEY, word text, said json, long text, raw bytea, n int)"
            )
            db.exec_driver_sql(f"ALTER TABLE {schema}.said ALTER long SET STORAGE EXTERNAL")
            db.exec_driver_sql(f"CREATE INDEX ON {schema}.said (word)")
    yield opened
    opened.dispose()


def plant(db: Connection, schema: str = SCHEMA, words: list[str] = WORDS) -> None:
    rows = [(f"i{word[:4]}", word, f'{{"k": "{word}"}}', word * 300, word.encode(), 1) for word in words]
    db.connection.cursor().executemany(f"INSERT INTO {schema}.said VALUES (%s, %s, %s, %s, %s, %s)", rows)


def run(engine: Engine, *statements: str) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        for statement in statements:
            db.exec_driver_sql(statement)


def left(folder: Path, words: list[str] = WORDS) -> dict[str, int]:
    """Return how many of the words each file below the folder holds."""
    wanted = {word.encode() for word in words}
    counts = {
        str(path.relative_to(folder)): len(wanted.intersection(re.findall(rb"\d{4}[b-z]{12}", path.read_bytes())))
        for path in folder.rglob("*")
        if path.is_file()
    }
    return {name: count for name, count in counts.items() if count}


def finder(words: list[str] = WORDS) -> Finder:
    made = Fingerprinter(b"key")
    return made.finder(made.of(words))


def test_deleted_words_are_in_no_byte_of_tables_indexes_samples_and_log(
    engine: Engine, server: tuple[str, Path]
) -> None:
    with engine.begin() as db:
        plant(db)
    run(engine, "ANALYZE", "CHECKPOINT")
    assert len(left(server[1] / "base")) >= 4  # table, TOAST, index, samples
    run(engine, f"DELETE FROM {SCHEMA}.said", "VACUUM", "CHECKPOINT")
    assert left(server[1] / "base") != {}
    assert compact_postgres(engine, SCHEMA) == (ALWAYS,)
    run(engine, "CHECKPOINT")
    assert left(server[1]) == {}
    assert compact_postgres(engine, SCHEMA) == (ALWAYS,)


def test_what_stays_is_there_as_before(engine: Engine) -> None:
    with engine.begin() as db:
        plant(db)
    run(engine, f"DELETE FROM {SCHEMA}.said WHERE id < 'i0100'")
    compact_postgres(engine, SCHEMA)
    with engine.connect() as db:
        rows = db.exec_driver_sql(f"SELECT word FROM {SCHEMA}.said ORDER BY id").scalars().all()
    assert rows == WORDS[100:]


def test_the_scan_names_tables_by_their_values_and_files_by_their_bytes(
    engine: Engine, server: tuple[str, Path]
) -> None:
    with engine.begin() as db:
        plant(db)
    scan = scan_postgres(engine, [SCHEMA], finder())
    assert {each.where for each in scan.found if each.file == "postgresql"} == {"table said"}
    assert len([each for each in scan.found if each.file == "postgresql"]) == len(WORDS)
    assert len({each.file for each in scan.found}) >= 4
    run(engine, f"DELETE FROM {SCHEMA}.said")
    dead = scan_postgres(engine, [SCHEMA], finder())
    assert {each.file.startswith("postgresql/base/") for each in dead.found} == {True}
    compact_postgres(engine, SCHEMA)
    clean = scan_postgres(engine, [SCHEMA], finder())
    assert (clean.found, clean.unread, clean.notes) == ((), (), ())
    assert clean.files > 3


def test_a_long_value_that_is_stored_compressed_is_found(engine: Engine) -> None:
    with engine.begin() as db:
        db.exec_driver_sql(f"ALTER TABLE {SCHEMA}.said ALTER long SET STORAGE MAIN")
        db.exec_driver_sql(f"INSERT INTO {SCHEMA}.said (id, long) VALUES ('a', repeat(%s, 300))", (WORDS[7],))
    found = scan_postgres(engine, [SCHEMA], finder(WORDS[7:8])).found
    assert "postgresql" in {each.file for each in found}


def test_a_neighbours_words_are_neither_counted_nor_touched(engine: Engine) -> None:
    with engine.begin() as db:
        plant(db, "loremill_other")
    assert scan_postgres(engine, [SCHEMA], finder()).found == ()
    with engine.connect() as db:
        before = db.exec_driver_sql("SELECT pg_relation_filenode('loremill_other.said')").scalar()
        compact_postgres(engine, SCHEMA)
        assert db.exec_driver_sql("SELECT pg_relation_filenode('loremill_other.said')").scalar() == before


def test_files_that_a_crash_left_in_the_database_are_looked_at(engine: Engine, server: tuple[str, Path]) -> None:
    with engine.connect() as db:
        folder = (
            server[1] / Path(db.exec_driver_sql(f"SELECT pg_relation_filepath('{SCHEMA}.said')").scalar_one()).parent
        )
    orphan = folder / "99999999"
    orphan.write_bytes(b"\0" * 100 + WORDS[3].encode())
    try:
        assert {each.file for each in scan_postgres(engine, [SCHEMA], finder()).found} == {
            f"postgresql/{orphan.relative_to(server[1])}"
        }
    finally:
        orphan.unlink()


def test_words_are_not_sampled_and_names_are(engine: Engine) -> None:
    def sampled() -> set[str]:
        with engine.connect() as db:
            query = f"SELECT attname FROM pg_stats WHERE schemaname = '{SCHEMA}'"
            return set(db.exec_driver_sql(query).scalars())

    with engine.begin() as db:
        plant(db)
    run(engine, f"ANALYZE {SCHEMA}.said")
    assert sampled() >= {"id", "word", "n"}
    with engine.begin() as db:
        assert keep_no_samples(db, SCHEMA) == 4
        assert keep_no_samples(db, SCHEMA) == 0
    assert sampled() == {"id", "n"}
    run(engine, f"ANALYZE {SCHEMA}.said")
    assert sampled() == {"id", "n"}


@pytest.mark.parametrize("reads", [f"SELECT count(*) FROM {SCHEMA}.said", "SELECT 1"])
def test_a_reader_of_an_old_state_makes_it_busy_and_the_next_try_ends_it(
    engine: Engine, server: tuple[str, Path], reads: str
) -> None:
    """Also one that has not looked at the table yet: what it may still see would be carried over."""
    with engine.begin() as db:
        plant(db)
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as reader:
        reader.exec_driver_sql(reads)
        run(engine, f"DELETE FROM {SCHEMA}.said")
        with pytest.raises(Busy, match=r"pid \d+.*again"):
            compact_postgres(engine, SCHEMA, wait_s=0.3)
        assert reader.exec_driver_sql(f"SELECT count(*) FROM {SCHEMA}.said").scalar() == len(WORDS)
    compact_postgres(engine, SCHEMA)
    run(engine, "CHECKPOINT")
    assert left(server[1] / "base") == {}


def test_a_table_that_is_locked_makes_it_busy(engine: Engine) -> None:
    compact_postgres(engine, SCHEMA)
    with engine.begin() as writer:
        writer.exec_driver_sql(f"LOCK TABLE {SCHEMA}.said IN ACCESS SHARE MODE")
        with pytest.raises(Busy, match=r"said is in use.*again"):
            compact_postgres(engine, SCHEMA, wait_s=0.3)


@pytest.fixture
def ordinary(engine: Engine, server: tuple[str, Path]) -> Iterator[Engine]:
    """As a role that owns the schema and nothing else."""
    run(
        engine,
        "CREATE ROLE plain LOGIN",
        f"ALTER SCHEMA {SCHEMA} OWNER TO plain",
        f"ALTER TABLE {SCHEMA}.said OWNER TO plain",
    )
    opened = create_engine(re.sub(r"//postgres:?@", "//plain@", server[0]))
    yield opened
    opened.dispose()
    run(engine, "DROP OWNED BY plain CASCADE", "DROP ROLE plain")


def test_a_role_that_owns_the_schema_alone_compacts_it_and_says_what_stays(
    engine: Engine, ordinary: Engine, server: tuple[str, Path]
) -> None:
    with engine.begin() as db:
        keep_no_samples(db, SCHEMA)
        plant(db)
    run(ordinary, f"ANALYZE {SCHEMA}.said", f"DELETE FROM {SCHEMA}.said")
    first, *others = compact_postgres(ordinary, SCHEMA)
    assert first == ALWAYS
    assert [("pg_statistic" in note, "write-ahead log" in note) for note in others] == [(True, False), (False, True)]
    run(engine, "CHECKPOINT")
    assert left(server[1] / "base") == {}
    assert scan_postgres(ordinary, [SCHEMA], finder()).notes == (NOT_HERE,)


def test_a_role_that_does_not_own_the_tables_is_told(engine: Engine, ordinary: Engine) -> None:
    run(engine, f"ALTER TABLE {SCHEMA}.said OWNER TO postgres", f"GRANT SELECT ON {SCHEMA}.said TO plain")
    with pytest.raises(IndexBackendError, match="own"):
        compact_postgres(ordinary, SCHEMA)


def test_a_server_that_does_not_answer_is_told(tmp_path: Path) -> None:
    away = create_engine(f"postgresql+psycopg://postgres@/postgres?host={tmp_path}")
    with pytest.raises(IndexBackendError, match="compacted, run the same command again"):
        compact_postgres(away, SCHEMA)
    with pytest.raises(IndexBackendError, match="read"):
        scan_postgres(away, [SCHEMA], finder())


def test_a_folder_of_another_server_is_not_taken_for_this_ones(
    engine: Engine, server: tuple[str, Path], tmp_path: Path
) -> None:
    from rag.erasure import postgres_scan

    control = server[1] / "global" / "pg_control"
    kept = control.read_bytes()
    with engine.connect() as db:
        assert postgres_scan.server_folder(db) == server[1]
        try:
            control.write_bytes(b"\1" * 8 + kept[8:])
            other = postgres_scan.server_folder(db)
        finally:
            control.write_bytes(kept)
    assert other is None


def test_a_server_that_keeps_its_files_in_the_home_is_left_alone(server: tuple[str, Path], tmp_path: Path) -> None:
    from rag.raw_files import regular_files

    place = tmp_path / "home" / "postgres"
    for name in ("PG_VERSION", "global/pg_control"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(server[1] / name, place / name)
    (tmp_path / "home" / "note.txt").write_text("x")
    assert [path.name for path in regular_files(tmp_path / "home")] == ["note.txt"]
