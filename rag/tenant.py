"""One tenant's rooms: its catalog, its collections' folders, its retriever. Tenants share no file but the directory of principals."""

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
        self.catalog = Catalog.open(self.folder / "catalog.db", tenant=name, create=create, members=members)
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


def tenant_names(home: Path) -> list[str]:
    """Return the tenants that hold something, sorted."""
    return sorted(path.parent.name for path in (home / "tenants").glob("*/catalog.db"))
