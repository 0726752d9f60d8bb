"""Catalogs in PostgreSQL for tests: one server a session, one database for each home or folder of catalogs."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from indexes.catalog import Catalog

both_catalogs = pytest.mark.parametrize("catalog_database", ["sqlite", "postgresql"], indirect=True)
"""Runs a test, or with `pytestmark` a module's tests, over both databases."""


sqlite_only = pytest.mark.sqlite_only
"""Marks a test of what only SQLite's files have."""


@dataclass
class PostgresServer:
    """A running server; `url_of` gives each path a database of its own, used again once `free` has emptied it."""

    base: str
    _lent: dict[Path, str] = field(default_factory=dict)
    _free: list[str] = field(default_factory=list)

    def url_of(self, path: Path) -> str:
        if path not in self._lent:
            if not self._free:
                name = f"test{len(self._lent)}"
                self._run(self.base, f"CREATE DATABASE {name}")
                self._free.append(self.base.replace("/postgres?", f"/{name}?"))
            self._lent[path] = self._free.pop()
        return self._lent[path]

    def free(self) -> None:
        """Empty the databases that are lent, and take them back."""
        for url in self._lent.values():
            names = self._run(url, "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, 'loremill')")
            for (name,) in names:
                self._run(url, f'DROP SCHEMA "{name}" CASCADE')
            self._free.append(url)
        self._lent.clear()

    def _run(self, url: str, command: str) -> list[Any]:
        import psycopg

        with psycopg.connect(url, autocommit=True) as db:
            found = db.execute(command)
            return found.fetchall() if found.description else []


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Start a server, or skip the test where the packages for it are not installed.

    Its folder is none of pytest's, for each session of pytest takes those from other users, and as root it runs as another one.
    """
    pgserver = pytest.importorskip("pgserver", reason="pgserver, which brings a PostgreSQL server, is not installed")
    pytest.importorskip("psycopg", reason="the extra `postgres` is not installed")
    logging.getLogger("pgserver").setLevel(logging.ERROR)
    folder = Path(tempfile.mkdtemp(prefix="loremill-postgres-"))
    server = pgserver.get_server(folder, cleanup_mode="stop")
    try:
        running = PostgresServer(server.get_uri())
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):  # as fast as a test may be
            running._run(running.base, f"ALTER SYSTEM SET {setting} = off")
        running._run(running.base, "SELECT pg_reload_conf()")
        yield running
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def use_postgres(server: PostgresServer, patch: pytest.MonkeyPatch) -> None:
    """Let every home and every catalog that is opened from now on lie in PostgreSQL."""
    from indexes import catalog_file
    from rag.loremill import Loremill

    real_backend: Callable[..., Any] = catalog_file.open_backend
    real_open = Loremill.open.__func__  # type: ignore[attr-defined]

    def open_backend(path: Path, *, tenant: str, url: str = "") -> Any:
        return real_backend(path, tenant=tenant, url=url or server.url_of(path.parent))

    def open_mill(cls: type[Loremill], home: Any = None, **settings: Any) -> Loremill:
        where = Path(home if home is not None else settings.get("home", "home"))
        return real_open(cls, home, **{"catalog_url": server.url_of(where), **settings})

    patch.setattr(catalog_file, "open_backend", open_backend)
    patch.setattr(Loremill, "open", classmethod(open_mill))


def staging_of(catalog: Catalog) -> Path:
    """Where a test's staging file lies, if it is one."""
    return (catalog.path or Path("catalog.db")).with_name("staging.db")


def reopen(catalog: Catalog) -> Catalog:
    """The same catalog, as another process has it open."""
    if catalog.path is not None:
        return Catalog.open(catalog.path, tenant=catalog.tenant)
    url = catalog.engine.url.render_as_string(hide_password=False)
    return Catalog.open(Path(), tenant=catalog.tenant, url=url)
