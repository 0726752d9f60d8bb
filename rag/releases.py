"""Releases: what a collection serves, content-addressed. A release is a build with its retrieval settings, prompt and generator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from indexes.builds import Manifest
from indexes.catalog import Catalog
from indexes.catalog_file import now
from indexes.search import FusionSettings
from indexes.settings import Settings
from indexes.vectors import VectorOptions
from indexes.vocabulary import digest
from ingest.commit import Live

if TYPE_CHECKING:
    from sqlalchemy import Connection

DEFAULT_PROMPT = "answer@1"


@dataclass(frozen=True, slots=True)
class Release:
    """One release of a collection; `live` if it is what is served. `gate` is the record that let it ship, None for a first one."""

    id: str
    collection: str
    live: bool
    build: str
    prompt: str
    generator: str
    retrieval: Mapping[str, Any]
    created: str
    gate: Mapping[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ReleaseServing:
    """Puts each ingestion's build live under the collection's standing prompt, generator and retrieval settings."""

    generator: str
    index: str = "faiss"
    lexical: str = "tantivy"
    options: VectorOptions = field(default_factory=VectorOptions)
    retrieval: FusionSettings = field(default_factory=FusionSettings)

    @classmethod
    def of(cls, settings: Settings) -> ReleaseServing:
        """Return what the settings say of new builds and releases."""
        return cls(
            settings.generator,
            settings.vector_index,
            settings.lexical_index,
            VectorOptions.of(settings),
            FusionSettings(diversity=settings.diversity, rerank=settings.rerank, rerank_depth=settings.rerank_depth),
        )

    def vector_index(self) -> str:
        return self.index

    def lexical_index(self) -> str:
        return self.lexical

    def live(self, catalog: Catalog, collection: str) -> Live | None:
        """Return what is served; None where that is nothing, or retrieval settings have changed since: then it is released anew."""
        known = collection in catalog.collections()
        release = live_release(catalog, collection) if known else None
        manifest = None if release is None else build_manifest(catalog, collection, release.build)
        if release is None or manifest is None or release.retrieval != asdict(self.retrieval):
            return None
        return Live(release.id, release.build, manifest.config)

    def serve(self, db: Connection, collection: str, manifest: Manifest) -> str:
        """Make the release of this build, put it live, and return its id."""
        from sqlalchemy import insert, update

        from indexes.tables import collections, releases

        row = {
            "build_id": manifest.build_id,
            "prompt": DEFAULT_PROMPT,
            "generator": self.generator,
            "retrieval": asdict(self.retrieval),
        }
        release_id = "r" + digest(json.dumps(row, sort_keys=True))[:15]
        row |= {"release_id": release_id, "collection": collection, "created": now()}
        db.execute(insert(releases).prefix_with("OR IGNORE"), row)
        db.execute(update(collections).where(collections.c.name == collection).values(live=release_id))
        return release_id


def live_release(catalog: Catalog, collection: str) -> Release | None:
    """Return what the collection serves, None before its first ingestion."""
    return next((release for release in list_releases(catalog, collection) if release.live), None)


def list_releases(catalog: Catalog, collection: str) -> list[Release]:
    """Return the collection's releases, newest first.

    Raises:
        CollectionNotFound: no such collection.
    """
    from sqlalchemy import select

    from indexes.tables import releases

    live = catalog.state(collection).live
    query = select(releases).where(releases.c.collection == collection).order_by(releases.c.created.desc())
    with catalog.read() as db:
        return [
            Release(
                id=row.release_id,
                collection=collection,
                live=row.release_id == live,
                build=row.build_id,
                prompt=row.prompt,
                generator=row.generator,
                retrieval=row.retrieval,
                created=row.created,
                gate=row.gate,
            )
            for row in db.execute(query)
        ]


def build_manifest(catalog: Catalog, collection: str, build_id: str) -> Manifest | None:
    """Return the recorded manifest of a build."""
    from sqlalchemy import select

    from indexes.tables import builds

    query = select(builds.c.manifest).where(builds.c.collection == collection, builds.c.build_id == build_id)
    with catalog.read() as db:
        row = db.execute(query).first()
    return None if row is None else Manifest.from_json(row.manifest)
