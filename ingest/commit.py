"""The last steps of an ingestion: write the build aside, then switch catalog and release in one transaction."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from indexes.builds import BuildConfig, Manifest, is_whole, remove_build, write_build
from indexes.catalog import Catalog
from indexes.changes import (
    apply_staged,
    changes_served,
    record_build,
    record_duplicates,
    record_source,
)
from indexes.cuts import forget_cuts
from indexes.embedder import Embedder
from indexes.errors import Busy
from indexes.staging import Staging
from indexes.upcoming import Upcoming
from indexes.vectors import VectorOptions, resolved
from ingest.contract_rules import Duplicates
from ingest.duplicates import THRESHOLD
from ingest.encode import Progress
from ingest.repeats import near_duplicates

if TYPE_CHECKING:
    from sqlalchemy import Connection

_BUILDS_KEPT = 3
_CURRENT_BUILDS_KEPT = 8
_LOCK_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Live:
    """What a collection serves: the release, its build, and what that was made with."""

    release: str
    build: str
    config: BuildConfig
    """Of the build, so also how the collection's texts are cut."""


class Serving(Protocol):
    """How a new build becomes what is served; releases live on a floor above this one."""

    def live(self, catalog: Catalog, collection: str) -> Live | None:
        """Return what is live, None if nothing is."""

    def vector_index(self) -> str:
        """Return the vector backend for new builds, or `auto`."""

    def lexical_index(self) -> str:
        """Return the lexical backend for new builds."""

    @property
    def options(self) -> VectorOptions:
        """How backends run here."""

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The settings that decide a build, to make one like it again."""

    def serve(self, db: Connection, collection: str, manifest: Manifest) -> str:
        """Put the build live inside the transaction and return its release id.

        Raises:
            Busy: another way to cut or embed was promoted since this ingestion began.
        """


@dataclass(frozen=True, slots=True)
class Origin:
    """The source that is recorded with the commit: its names now and before, and how it was opened."""

    name: str
    adopted: frozenset[str]
    spec: Mapping[str, Any]
    complete: bool
    """It listed all it has, so its earlier quarantine is history."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a commit did: chunks added and removed, documents that repeat another."""

    build: str
    release: str
    added: int
    removed: int
    duplicates: int


def staging_path(folder: Path) -> Path:
    """Where the ingestion of the collection in `folder` prepares its changes."""
    from indexes.tables import SCHEMA_VERSION

    return folder / f"staging-{SCHEMA_VERSION}.db"


@contextmanager
def exclusive(folder: Path, catalog: Catalog | None = None, *, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the collection for one ingestion at a time; the lock falls with the process that holds it.

    Args:
        catalog: where another machine, with a home of its own, may ingest into the same catalog.
        wait_s: longest wait until it is free.
    Raises:
        Busy: another ingestion of this collection is running.
    """
    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_s
    with (folder / "ingest.lock").open("w") as lock, ExitStack() as held:
        while not _taken(lock, folder.name, catalog, held):
            if time.monotonic() >= deadline:
                raise Busy(f"another ingestion of collection {folder.name!r} is running; wait for it to end")
            time.sleep(_LOCK_POLL_S)
        yield


def _taken(lock: IO[str], collection: str, catalog: Catalog | None, held: ExitStack) -> bool:
    """Take the collection on this machine and, where its catalog is a server's, among all of them."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    if catalog is None or held.enter_context(catalog.backend.claim(collection)):
        return True
    held.close()
    fcntl.flock(lock, fcntl.LOCK_UN)
    return False


def commit(
    catalog: Catalog,
    folder: Path,
    staging: Staging,
    *,
    origin: Origin | None,
    embedder: Embedder,
    chunker: str,
    duplicates: Duplicates,
    serving: Serving,
    progress: Progress,
    afresh: bool = False,
) -> Outcome:
    """Make what is staged the served state.

    Args:
        folder: the collection's folder; builds lie in `builds/` below it.
        duplicates: which documents count as repeating another.
        afresh: the build takes nothing over from the one that is served.
    Raises:
        IndexBackendError: nothing served has changed.
    """
    options = serving.options
    upcoming = Upcoming(staging, model_id=embedder.model_id)
    index = resolved(serving.vector_index(), vectors=upcoming, dim=embedder.dim, options=options)
    config = BuildConfig(embedder.model_id, embedder.dim, chunker, index, lexical_index=serving.lexical_index())
    live = serving.live(catalog, staging.collection)
    if live is not None and _serves_on(live, staging, folder, config, options):
        with staging.commit() as db:
            _settle(db, staging.collection, origin, cut=chunker)
            kept = kept_builds(db, staging.collection, live.build)
            repeated = _count_duplicates(db, staging.collection)
        collect_builds(folder / "builds", kept, options)
        return Outcome(live.build, live.release, 0, 0, repeated)
    added, removed = upcoming.differences()
    progress("build", 0, 1)
    base = live.build if live is not None and not afresh and _same_vectors(live.config, config) else ""
    manifest = write_build(folder / "builds", upcoming, config=config, options=options, base=base)
    progress("build", 1, 1)
    with staging.commit() as db:
        _settle(db, staging.collection, origin, cut=chunker)
        record_build(db, staging.collection, manifest.build_id, manifest.to_json(), recipe=serving.recipe)
        near = near_duplicates(db, staging.collection, threshold=duplicates.near or THRESHOLD)
        record_duplicates(db, staging.collection, near, exact=duplicates.exact)
        repeated = _count_duplicates(db, staging.collection)
        release = serving.serve(db, staging.collection, manifest)
        kept = kept_builds(db, staging.collection, manifest.build_id)
    collect_builds(folder / "builds", kept, options)
    return Outcome(manifest.build_id, release, added, removed, repeated)


def _same_vectors(one: BuildConfig, other: BuildConfig) -> bool:
    return (one.embedder, one.dim, one.vector_index) == (other.embedder, other.dim, other.vector_index)


def _serves_on(live: Live, staging: Staging, folder: Path, config: BuildConfig, options: VectorOptions) -> bool:
    """Is what is served what would be built anew?"""
    with staging.read() as db:
        changed = changes_served(db)
    return not changed and live.config == config and is_whole(folder / "builds" / live.build, options)


def _settle(db: Connection, collection: str, origin: Origin | None, *, cut: str) -> None:
    """Move staging over and record the source."""
    complete = {origin.name, *origin.adopted} if origin is not None and origin.complete else ()
    apply_staged(db, collection, sources=complete, cut=cut)
    if origin is not None and origin.spec:
        record_source(db, collection, origin.name, origin.spec, adopted=origin.adopted)


def _count_duplicates(db: Connection, collection: str) -> int:
    from sqlalchemy import func, select

    from indexes.tables import duplicates

    query = select(func.count()).select_from(duplicates).where(duplicates.c.collection == collection)
    return int(db.execute(query).scalar_one())


def kept_builds(db: Connection, collection: str, *wanted: str) -> set[str]:
    """Choose the builds that stay, and mark the others as gone in the same transaction, so that none of them goes live any more.

    What is served and wanted stays, the newest, and of the present documents' builds, which may be promoted or come back, some more.
    Chunks that no build has which stays are forgotten.
    """
    from sqlalchemy import select, update

    from indexes.tables import builds, collections, releases

    of_live = (releases.c.collection == collections.c.name) & (releases.c.release_id == collections.c.live)
    live = select(releases.c.build_id).select_from(collections.join(releases, of_live))
    served = {*wanted, *db.execute(live.where(collections.c.name == collection)).scalars()}
    own = builds.c.collection == collection
    query = select(builds.c.build_id, builds.c.corpus, builds.c.manifest).where(own, builds.c.gone.is_(None))
    rows = db.execute(query.order_by(builds.c.created.desc())).all()
    present = {row.corpus for row in rows if row.build_id in wanted} - {None}
    current = [row.build_id for row in rows if row.corpus in present]
    kept = {*served, *[row.build_id for row in rows][:_BUILDS_KEPT], *current[:_CURRENT_BUILDS_KEPT]}
    db.execute(update(builds).where(own, builds.c.build_id.not_in(kept)).values(gone=1))
    forget_cuts(db, collection, kept={row.manifest["config"]["chunker"] for row in rows if row.build_id in kept})
    return kept


def collect_builds(folder: Path, kept: set[str], options: VectorOptions) -> None:
    """Remove builds that no kept record names, and what crashed runs left; what could not be removed is tried again next time."""
    for path in folder.iterdir():
        if path.name not in kept:
            remove_build(path, options)
