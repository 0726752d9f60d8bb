"""A build beside the live one: the same documents, cut, embedded or indexed in another way. Nothing that is served changes.

It is made of the texts that the catalog holds, so that it is of the very documents that the live release answers from; no source is read.
"""

from __future__ import annotations

from pathlib import Path

from indexes import corpus
from indexes.batches import batched
from indexes.builds import BuildConfig, Manifest, write_build
from indexes.catalog import Catalog
from indexes.changes import move_embeddings, record_build
from indexes.cuts import keep_candidate, standing_cut
from indexes.embedder import Embedder
from indexes.settings import Settings
from indexes.staging import Staging, open_staging
from indexes.upcoming import Upcoming
from indexes.vectors import resolved
from ingest.commit import Serving, collect_builds, kept_builds, staging_path
from ingest.cut import Cutter
from ingest.encode import BackgroundEncoder, Progress

_WINDOW = 256


def build_candidate(
    catalog: Catalog,
    folder: Path,
    collection: str,
    *,
    embedder: Embedder,
    settings: Settings,
    serving: Serving,
    live_build: str,
    progress: Progress,
) -> Manifest:
    """Return the build of the stored documents under `settings`, made if it is not there. The caller holds `exclusive`.

    Args:
        folder: the collection's folder.
        embedder: that `settings` name.
        live_build: what is served, which stays.
    Raises:
        IndexBackendError: it could not be written; nothing has changed.
    """
    cutter, options = Cutter(embedder, settings), serving.options
    with (
        open_staging(catalog, staging_path(folder), collection) as staging,
        BackgroundEncoder(embedder, staging, progress) as encoder,
    ):
        with staging.read() as db:
            anew = standing_cut(db, collection) != cutter.name
        if anew:
            _cut_all(staging, cutter, encoder, progress)
        encoder.finish()
        upcoming = Upcoming(staging, model_id=embedder.model_id)
        index = resolved(serving.vector_index(), vectors=upcoming, dim=embedder.dim, options=options)
        config = BuildConfig(embedder.model_id, embedder.dim, cutter.name, index, lexical_index=serving.lexical_index())
        progress("build", 0, 1)
        manifest = write_build(folder / "builds", upcoming, config=config, options=options)
        progress("build", 1, 1)
        with staging.commit() as db:
            if anew:
                keep_candidate(db, collection, cutter.name)
                move_embeddings(db)
            record_build(db, collection, manifest.build_id, manifest.to_json(), recipe=serving.recipe)
            kept = kept_builds(db, collection, live_build, manifest.build_id)
    collect_builds(folder / "builds", kept, options)
    return manifest


def _cut_all(staging: Staging, cutter: Cutter, encoder: BackgroundEncoder, progress: Progress) -> None:
    done = 0
    for documents in batched(corpus.staying(staging), _WINDOW):
        staging.put(cutter.cut(documents, encoder))
        done += len(documents)
        progress("cut", done, None)
