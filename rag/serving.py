"""The live builds of one tenant's collections, open and carrying the rights of the catalog's present epoch."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from indexes.builds import Build
from indexes.catalog import Catalog, CollectionState
from indexes.embedder import Embedder
from indexes.errors import BuildCorrupt, CollectionNotFound
from indexes.vectors import VectorOptions
from rag.releases import Release, list_releases


class Serving:
    """Opens a build when it is first searched, and the next one once another is live. Safe for many threads."""

    def __init__(
        self, catalog: Catalog, folder: Path, embedder: Embedder, options: VectorOptions | None = None
    ) -> None:
        self._catalog = catalog
        self._folder = folder
        self._embedder = embedder
        self._options = options
        self._lock = Lock()
        self._builds: dict[str, Build] = {}
        self._releases: dict[tuple[str, str], Release] = {}

    def release(self, state: CollectionState) -> Release:
        """Return the live release.

        Raises:
            CollectionNotFound: there is none yet.
        """
        if state.live is None:
            raise CollectionNotFound(
                f"collection {state.collection!r} has no release yet; its first ingestion did not end"
            )
        with self._lock:
            release = self._releases.get((state.collection, state.live))
            if release is None:
                found = {release.id: release for release in list_releases(self._catalog, state.collection)}
                release = self._releases[state.collection, state.live] = found[state.live]
        return release

    def build(self, state: CollectionState) -> Build:
        """Return the live release's build, with the rights of the state's epoch."""
        release = self.release(state)
        with self._lock:
            build = self._builds.get(state.collection)
            if build is None or build.manifest.build_id != release.build:
                before, build = build, self._open(state.collection, release.build)
                if before is not None:
                    build.keep_columns_of(before)
                self._builds[state.collection] = build
        build.carry_rights(
            lambda since: self._catalog.document_classes(state.collection, since=since), epoch=state.epoch
        )
        return build

    def _open(self, collection: str, build_id: str) -> Build:
        build = Build(self._folder / collection / "builds" / build_id, self._options)
        config = build.manifest.config
        if (config.embedder, config.dim) != (self._embedder.model_id, self._embedder.dim):
            raise BuildCorrupt(
                f"collection {collection!r} was embedded with {config.embedder}, the settings say {self._embedder.model_id}: "
                "set the same embedder, or ingest again"
            )
        return build
