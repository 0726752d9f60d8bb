"""A catalog in a PostgreSQL database: one schema a tenant, so that tenants share no table; what is staged lies in a schema of its own.

Every transaction names its schema itself (`SET LOCAL`), so all tenants of a process share one pool of connections, no statement can meet
another tenant's tables, and poolers such as PgBouncer may hand on a connection after each transaction. Writers of one tenant come one
after the other, as in SQLite: they take an advisory lock before they read, for the code relies on what it reads until it commits.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from indexes.catalog_backend import Database, Kind, faults
from indexes.errors import ConfigError, DependencyMissing, IndexBackendError
from indexes.postgres_samples import keep_no_samples
from indexes.vocabulary import check_name

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

    from indexes.plain_views import View

SCHEMES = ("postgresql://", "postgres://", "postgresql+psycopg://")
PREFIX = "loremill_"
"""A tenant's schema is this and its name."""
STAGING = "loremill:"
"""What a staging schema begins with; no tenant's name has a colon."""
_MAX_IDENTIFIER = 63
_POOL = {"pool_size": 8, "max_overflow": 32}
_CONNECT_S = 10
_WAIT_S = 60
_DRY_DAYS = 1
_NOTABLE = 0.1
"""Share of new documents from which on the planner is told, as the server's own default is."""


class PostgresBackend:
    """See `indexes.catalog_backend.CatalogBackend`. Takes part in the process's pool of connections until `close`."""

    path: Path | None = None

    def __init__(self, url: str, tenant: str) -> None:
        self._url = parse_url(url)
        self.schema = schema_of(tenant)
        self.place = f"{place_of(self._url)}, schema {self.schema}"
        self._open = True
        self._pool = _Pool.take(self._url)
        self.database = Database(self._pool, _begins(self.schema))

    @cached_property
    def engine(self) -> Engine:
        return self._pool.execution_options(isolation_level="READ COMMITTED")

    @contextmanager
    def look(self) -> Iterator[View]:
        with faults("read"), self.database.connect("read") as db:
            yield db

    def exists(self) -> bool:
        from sqlalchemy import inspect

        from indexes.tables import state

        with self.database.connect("read") as db:
            return inspect(db).has_table(state.name, schema=self.schema)

    def prepare(self, db: Connection) -> None:
        db.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{self.schema}"')

    def finish(self, db: Connection) -> None:
        keep_no_samples(db, self.schema)

    @contextmanager
    def staging(self, path: Path, collection: str, *, dry: bool) -> Iterator[Database]:
        name = self._staging_schema(collection, dry=dry)
        own = self.database.engine.execution_options(schema_translate_map={"staged": name})
        database = Database(own, self.database.begins)
        with faults("made"), self.database.connect("write") as db:
            self._remove_left(db)
            _empty(db, name)
            db.commit()
        try:
            yield database
        except BaseException:
            if dry:
                self._remove(name)
            raise
        self._remove(name)

    def _staging_schema(self, collection: str, *, dry: bool) -> str:
        """A plan has one of its own, for it may be made while an ingestion runs."""
        name = STAGING + sha256(f"{self.schema} {collection}".encode()).hexdigest()[:32]
        return f"{name}:{int(time.time()):x}:{secrets.token_hex(4)}" if dry else name

    def staging_schemas(self, db: Connection) -> list[str]:
        """Return the tenant's staging schemas that there are, also those that killed runs have left."""
        query = (
            "SELECT n.nspname FROM pg_namespace AS n WHERE starts_with(n.nspname, %s)"
            " AND obj_description(n.oid, 'pg_namespace') = %s ORDER BY n.nspname"
        )
        return list(db.exec_driver_sql(query, (STAGING, self.schema)).scalars())

    def _remove_left(self, db: Connection) -> None:
        """Remove what plans have left that were killed a day ago or earlier."""
        for name in self.staging_schemas(db):
            _, _, *plan = name.split(":")
            if plan and int(plan[0], 16) < time.time() - 86_400 * _DRY_DAYS:
                db.exec_driver_sql(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')

    def _remove(self, name: str) -> None:
        with faults("written"), self.database.connect("stage") as db:
            db.exec_driver_sql(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')
            db.commit()

    def drop_staging(self, path: Path, collection: str) -> None:
        name = self._staging_schema(collection, dry=False)
        with faults("written"), self.database.connect("stage") as db:
            for left in self.staging_schemas(db):
                if left == name or left.startswith(f"{name}:"):
                    db.exec_driver_sql(f'DROP SCHEMA IF EXISTS "{left}" CASCADE')
            db.commit()

    def staged_schemas(self) -> list[str]:
        with faults("read"), self.database.connect("read") as db:
            return self.staging_schemas(db)

    def loaded(self, db: Connection) -> None:
        """Let the planner know of many new rows at once; its own look at them comes a minute later, and searches would crawl till then."""
        from sqlalchemy import func, select

        from indexes.tables import MOVED, embeddings, rights, staged_documents

        known = "SELECT reltuples FROM pg_class WHERE oid = 'documents'::regclass"
        came = select(func.count()).select_from(staged_documents)
        if db.execute(came).scalar_one() > _NOTABLE * max(0.0, db.exec_driver_sql(known).scalar_one()):
            db.exec_driver_sql(f"ANALYZE {', '.join(table.name for table in (*MOVED, rights, embeddings))}")

    @contextmanager
    def claim(self, collection: str) -> Iterator[bool]:
        with faults("locked"), self.database.connect("stage") as db:
            key = _key(f"{self.schema} {collection}")
            claimed = bool(db.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({key})").scalar())
            yield claimed

    def truncate_log(self) -> None:
        """Nothing: a log of the whole server is not one tenant's to empty."""

    def close(self) -> None:
        if self._open:
            self._open = False
            _Pool.give_back(self._url)


class _Pool:
    """The engines of this process, one a database, each for as long as somebody uses it."""

    _engines: dict[URL, tuple[Engine, int]] = {}  # noqa: RUF012 (shared on purpose)
    _lock = Lock()

    @classmethod
    def take(cls, url: URL) -> Engine:
        with cls._lock:
            engine, users = cls._engines.get(url, (None, 0))
            engine = engine if engine is not None else _engine(url)
            cls._engines[url] = engine, users + 1
            return engine

    @classmethod
    def give_back(cls, url: URL) -> None:
        with cls._lock:
            engine, users = cls._engines.pop(url)
            if users > 1:
                cls._engines[url] = engine, users - 1
                return
        engine.dispose()


def _engine(url: URL) -> Engine:
    from sqlalchemy import create_engine

    arguments = {"connect_timeout": _CONNECT_S, "application_name": "loremill"}
    given = {name: value for name, value in arguments.items() if name not in url.query}
    try:
        return create_engine(url, connect_args=given, isolation_level="AUTOCOMMIT", **_POOL)  # `begins` begin
    except ImportError as error:
        raise DependencyMissing("psycopg", extra="postgres") from error


def parse_url(url: str) -> URL:
    """Return the setting `catalog_url` as SQLAlchemy has it, with the driver that is used here.

    Raises:
        ConfigError: it is no PostgreSQL URL; the message does not repeat it, for it may hold a password.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        if not url.startswith(SCHEMES):
            raise ValueError
        return make_url(url).set(drivername="postgresql+psycopg")
    except (ArgumentError, ValueError):
        raise ConfigError("catalog_url must be postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or empty") from None


def place_of(url: URL) -> str:
    """Return what messages call the database; without user and password."""
    host = url.host or url.query.get("host") or "this machine"
    return f"PostgreSQL at {host}{f':{url.port}' if url.port else ''}{f', database {url.database}' if url.database else ''}"


def schema_of(tenant: str) -> str:
    """Return the name of a tenant's schema.

    Raises:
        ConfigError: it would not fit into what PostgreSQL allows.
    """
    name = PREFIX + check_name(tenant, "tenant")
    if len(name) > _MAX_IDENTIFIER:
        raise ConfigError(
            f"tenant {tenant!r} has a longer name than a catalog in PostgreSQL can have:"
            f" use at most {_MAX_IDENTIFIER - len(PREFIX)} characters"
        )
    return name


def tenants(url: str) -> list[str]:
    """Return the names of the tenants that have a catalog in the database, sorted.

    Raises:
        IndexBackendError: the server cannot be reached.
    """
    parsed = parse_url(url)
    engine = _Pool.take(parsed)
    query = "SELECT substr(nspname, %s) FROM pg_namespace WHERE starts_with(nspname, %s)"
    try:
        with unreachable(place_of(parsed)), engine.connect() as db:
            return sorted(db.exec_driver_sql(query, (len(PREFIX) + 1, PREFIX)).scalars())
    finally:
        _Pool.give_back(parsed)


@contextmanager
def unreachable(place: str) -> Iterator[None]:
    """Say which server it is that does not answer."""
    from sqlalchemy.exc import DatabaseError

    try:
        yield
    except DatabaseError as error:
        raise IndexBackendError(f"the catalog in {place} cannot be read: {error.orig or error}") from error


def _begins(schema: str) -> Mapping[Kind, str]:
    own = f'SET LOCAL search_path = "{schema}"'
    stage = f"BEGIN ISOLATION LEVEL READ COMMITTED; {own}; SET LOCAL lock_timeout = '{_WAIT_S}s'"
    return {
        "read": f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {own}",
        "stage": stage,
        # read committed: each statement sees what the writer before has committed, also if it waited for that one
        "write": f"{stage}; SELECT pg_advisory_xact_lock({_key(schema)})",
    }


def _key(name: str) -> int:
    """Return the number of an advisory lock."""
    return int.from_bytes(sha256(f"loremill {name}".encode()).digest()[:8], "big", signed=True)


def _empty(db: Connection, name: str) -> None:
    """Make the tables of staging; of those an earlier run left, only the vectors are kept.

    They are unlogged: a killed client loses nothing, and what a server loses that was killed itself is made again.
    """
    from sqlalchemy import inspect
    from sqlalchemy.schema import CreateTable

    from indexes.tables import staged, staged_embeddings

    known = inspect(db).get_table_names(schema=name)
    if not known:
        tenant = db.exec_driver_sql("SELECT current_schema()").scalar_one()
        db.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{name}"')
        db.exec_driver_sql(f"COMMENT ON SCHEMA \"{name}\" IS '{tenant}'")
    for table in staged.sorted_tables:
        if table.name in known and table is staged_embeddings:
            continue
        if table.name in known:
            db.exec_driver_sql(f'DROP TABLE "{name}"."{table.name}"')
        made = CreateTable(table.to_metadata(type(staged)(), schema=name)).compile(dialect=db.dialect)
        db.exec_driver_sql(str(made).replace("CREATE TABLE", "CREATE UNLOGGED TABLE", 1))
    keep_no_samples(db, name)
