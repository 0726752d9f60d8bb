"""One tenant's rooms: its catalog, its collections' folders, its retriever. Tenants share no file but the directory of principals,
and no table."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from indexes.access import Members
from indexes.catalog import Catalog
from indexes.embedder import Embedder
from indexes.recall import RecallSampler
from indexes.settings import Settings
from indexes.vectors import VectorOptions
from indexes.vocabulary import check_name
from rag.auditing import Auditor
from rag.cache import Cache
from rag.retrieve import Retriever

CATALOG = "catalog.db"


class Tenant:
    """Opened at first use; `create` makes the rooms of a new tenant."""

    def __init__(
        self,
        home: Path,
        name: str,
        *,
        settings: Settings,
        embedder: Embedder,
        members: Members | None,
        recall: RecallSampler | None = None,
        create: bool = False,
        embedder_of: Callable[[str], Embedder] | None = None,
    ) -> None:
        self.name = check_name(name, "tenant")
        self.folder = tenant_folder(home, name)
        self.catalog = Catalog.open(
            self.folder / CATALOG, tenant=name, create=create, members=members, url=settings.catalog_url
        )
        self._settings = settings
        self._embedder = embedder
        self._embedder_of = embedder_of
        self._recall = recall

    @cached_property
    def retriever(self) -> Retriever:
        settings = self._settings
        cache = Cache(entries=settings.cache_entries, chars=settings.cache_chars)
        return Retriever(
            self.catalog,
            self.collections,
            self._embedder,
            max_query_chars=settings.max_query_chars,
            cache=cache,
            options=VectorOptions.of(settings),
            recall=self._recall,
            embedder_of=self._embedder_of,
        )

    @cached_property
    def auditor(self) -> Auditor:
        """Writes down who saw what."""
        from indexes.audit import AuditLog

        return Auditor(AuditLog.of(self.folder, self._settings) if self._settings.audit else None)

    @property
    def collections(self) -> Path:
        """Folder of the collections' folders."""
        return self.folder / "collections"

    def close(self) -> None:
        self.catalog.close()


def tenant_folder(home: Path, name: str) -> Path:
    """Return where everything of a tenant lies."""
    return home / "tenants" / check_name(name, "tenant")


def tenant_names(home: Path, settings: Settings) -> list[str]:
    """Return the tenants that hold something, sorted: those with a catalog in the PostgreSQL database, where one is set."""
    if settings.catalog_url:
        from indexes.catalog_postgres import tenants

        return tenants(settings.catalog_url)
    return sorted(path.parent.name for path in (home / "tenants").glob(f"*/{CATALOG}"))
