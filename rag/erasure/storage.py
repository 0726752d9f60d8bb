"""What forgetting asks of the database under a catalog: to keep nothing of what was deleted, and to tell whether it does.

Here, and nowhere else, it is decided which database that is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from rag.raw_files import RawScan

if TYPE_CHECKING:
    from pathlib import Path

    from indexes.catalog import Catalog
    from rag.fingerprints import Finder

DEAD_ROWS: Final = "PostgreSQL: what was deleted stays on its tables' pages, out of reach, until `loremill erase compact` writes them anew"


class Storage(Protocol):
    """One tenant's database."""

    def compact(self) -> tuple[str, ...]:
        """Leave nothing of what was deleted; return what cannot be reached and stays, a sentence each.

        Raises:
            Busy: somebody uses the old state for longer than a minute.
            IndexBackendError: there is no room for a second copy, or no right to make one.
        """

    def tidy(self) -> tuple[str, ...]:
        """Leave as little as a few milliseconds allow, after a small delete; return what stays, as `compact` does."""

    def scan(self, finder: Finder) -> RawScan:
        """Look for fingerprints wherever it keeps something outside the home."""


def storage_of(catalog: Catalog) -> Storage:
    """Return what a catalog lies in."""
    if catalog.path is not None:
        return _File(catalog, catalog.path)
    return _Server(catalog, str(catalog.schema))


class _File:
    """SQLite, in the home."""

    def __init__(self, catalog: Catalog, path: Path) -> None:
        self._catalog = catalog
        self._path = path

    def compact(self) -> tuple[str, ...]:
        from rag.erasure import compact

        compact.compact(self._path)
        return ()

    def tidy(self) -> tuple[str, ...]:
        self._catalog.backend.truncate_log()  # where what was deleted a moment ago still stands
        return ()

    def scan(self, finder: Finder) -> RawScan:
        return RawScan(0, 0, (), ())


class _Server:
    """A schema in PostgreSQL, with those in which its ingestions are staged."""

    def __init__(self, catalog: Catalog, schema: str) -> None:
        self._catalog = catalog
        self._schema = schema

    def compact(self) -> tuple[str, ...]:
        from rag.erasure.postgres import compact_postgres

        return compact_postgres(self._catalog.engine, self._schema)

    def tidy(self) -> tuple[str, ...]:
        return (DEAD_ROWS,)

    def scan(self, finder: Finder) -> RawScan:
        from rag.erasure.postgres_scan import scan_postgres

        return scan_postgres(self._catalog.engine, [self._schema, *self._catalog.backend.staged_schemas()], finder)
