"""The releases of one tenant's collections that are asked: their builds, open and carrying the rights of the catalog's present epoch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from indexes.builds import Build
from indexes.catalog import Catalog, CollectionState
from indexes.embedder import Embedder
from indexes.errors import BuildCorrupt, CollectionNotFound, ReleaseNotFound
from indexes.vectors import VectorOptions
from rag.releases import Release, read_release

_OPEN_BUILDS = 4
"""Of one collection: the live one, that before it for queries under way, and candidates that are evaluated."""


class Serving:
    """Opens a build when it is first searched. Safe for many threads.

    Args:
        embedder_of: gives the embedder that a setting names; of the empty name, that of the settings.
    """

    def __init__(
        self,
        catalog: Catalog,
        folder: Path,
        embedder_of: Callable[[str], Embedder],
        options: VectorOptions | None = None,
    ) -> None:
        self._catalog = catalog
        self._folder = folder
        self._embedder_of = embedder_of
        self._options = options
        self._lock = Lock()
        self._builds: dict[str, OrderedDict[str, Build]] = {}
        self._releases: dict[tuple[str, str], Release] = {}

    def release(self, state: CollectionState, release_id: str | None = None) -> Release:
        """Return a release of the collection, the live one for None. Its content, that is: what is live, the state says.

        Raises:
            CollectionNotFound: there is none yet.
            ReleaseNotFound: the collection has none of that id.
        """
        name = release_id or state.live
        if name is None:
            raise CollectionNotFound(
                f"collection {state.collection!r} has no release yet; its first ingestion did not end"
            )
        with self._lock:
            release = self._releases.get((state.collection, name))
            if release is None:
                with self._catalog.read() as db:
                    release = read_release(db, state.collection, name)
                self._releases[state.collection, name] = release
        return release

    def embedder(self, release: Release) -> Embedder:
        """Return the embedder of the release's build; whoever asks with it is told by `build` where it is another one by now."""
        return self._embedder_of(str(release.index.get("embedder", "")))

    def build(self, state: CollectionState, release_id: str | None = None) -> Build:
        """Return the release's build, with the rights of the state's epoch.

        Raises:
            ReleaseNotFound: as `release`; or the build of one that is not live is not kept any more.
        """
        release = self.release(state, release_id)
        with self._lock:
            opened = self._builds.setdefault(state.collection, OrderedDict())
            build = opened.get(release.build)
            if build is None:
                build = self._open(state, release)
                if opened:
                    build.keep_columns_of(next(reversed(opened.values())))
                opened[release.build] = build
            opened.move_to_end(release.build)
            while len(opened) > _OPEN_BUILDS:
                opened.popitem(last=False)
        build.carry_rights(
            lambda since: self._catalog.document_classes(state.collection, since=since), epoch=state.epoch
        )
        return build

    def _open(self, state: CollectionState, release: Release) -> Build:
        folder = self._folder / state.collection / "builds" / release.build
        if release.id != state.live and not folder.exists():
            raise ReleaseNotFound(
                f"the build of release {release.id} is not kept any more; run: "
                f"loremill release create --collection {state.collection} --from {release.id}"
            )
        build = Build(folder, self._options)
        config, embedder = build.manifest.config, self.embedder(release)
        if (config.embedder, config.dim) != (embedder.model_id, embedder.dim):
            raise BuildCorrupt(
                f"collection {state.collection!r} was embedded with {config.embedder}, the settings say {embedder.model_id}: "
                "set the same embedder, or ingest again"
            )
        return build
