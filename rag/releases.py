"""Releases: what a collection serves, content-addressed. A release is a build with its retrieval settings, prompt and generator."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.builds import BuildConfig, Manifest
from indexes.catalog import Catalog
from indexes.catalog_file import now
from indexes.dialects import insert_new
from indexes.errors import Busy, ReleaseNotFound
from indexes.search import FusionSettings
from indexes.settings import Settings
from indexes.vectors import VectorOptions
from indexes.vocabulary import digest
from ingest.commit import Live

if TYPE_CHECKING:
    from sqlalchemy import Connection, Select

RECIPE = ("embedder", "chunk_tokens", "chunk_overlap", "vector_index", "lexical_index")
"""The settings that decide a build."""
_CUT = re.compile(r"\w+/\d+/(?P<chunk_tokens>\d+)/(?P<chunk_overlap>\d+)/")


@dataclass(frozen=True, slots=True)
class ReleaseSettings:
    """What of a release is not its build: how passages are found, and what is made of them.

    Args:
        prompt_hash: of the prompt's text; empty in releases of before it was recorded.
        generation: the generator's own settings: `model` and `max_answer_tokens`; none for `extractive`.
    """

    prompt: str
    prompt_hash: str
    generator: str
    generation: Mapping[str, Any]
    retrieval: FusionSettings

    @classmethod
    def of(cls, settings: Settings, home: Path | None = None) -> ReleaseSettings:
        """Return what the settings say of new releases.

        Raises:
            ConfigError: the prompt is missing or has other variables than an answer's.
        """
        from rag.prompts import answer_prompt

        retrieval = FusionSettings(
            diversity=settings.diversity,
            rerank=settings.rerank,
            rerank_depth=settings.rerank_depth,
            passages=settings.answer_passages,
        )
        template = answer_prompt(settings.prompt, home=home)
        generation = generation_of(settings.generator, settings)
        return cls(settings.prompt, template.content_hash, settings.generator, generation, retrieval)

    def row(self, build_id: str) -> dict[str, Any]:
        """Return the content of the release of a build under these settings, with the id that follows from it."""
        content = {"build_id": build_id, **asdict(self)}
        return content | {"release_id": "r" + digest(json.dumps(content, sort_keys=True))[:15]}

    def same(self, other: ReleaseSettings) -> bool:
        """Return whether both make the same of a build; a prompt of before hashes were recorded is the one of its name."""
        hashes = {self.prompt_hash, other.prompt_hash} - {""}
        return len(hashes) < 2 and replace(self, prompt_hash="") == replace(other, prompt_hash="")


@dataclass(frozen=True, slots=True)
class Release:
    """One release of a collection; `live` if it is what is served. `gate` is the record that let it ship, None if none did.

    `index` are the settings that its build was made with, and `config` is what came of them, None where nothing is known of it.
    `corpus` names the documents that it was made of; `gone` says that its build is not kept any more.
    """

    id: str
    collection: str
    live: bool
    build: str
    prompt: str
    generator: str
    retrieval: Mapping[str, Any]
    created: str
    gate: Mapping[str, Any] | None
    prompt_hash: str = ""
    generation: Mapping[str, Any] = field(default_factory=dict)
    index: Mapping[str, Any] = field(default_factory=dict)
    config: BuildConfig | None = None
    corpus: str | None = None
    gone: bool = False

    @property
    def settings(self) -> ReleaseSettings:
        retrieval = FusionSettings.stored(self.retrieval)
        return ReleaseSettings(self.prompt, self.prompt_hash, self.generator, self.generation, retrieval)

    def to_json(self) -> dict[str, Any]:
        data = asdict(self)
        for name in ("config", "corpus", "gone"):
            del data[name]
        return data


@dataclass(frozen=True, slots=True)
class ReleaseServing:
    """Puts each ingestion's build live: under the live release's settings where promotion governs them, else under these.

    Args:
        recipe: what the build is made with.
        gated: promotion governs from the first release on, and not only from the first promotion on.
    """

    settings: ReleaseSettings
    recipe: Mapping[str, Any]
    options: VectorOptions = field(default_factory=VectorOptions)
    gated: bool = False

    @classmethod
    def of(cls, settings: Settings, home: Path | None = None) -> ReleaseServing:
        """Return what the settings say of new builds and releases; ConfigError as `ReleaseSettings.of`."""
        return cls(
            ReleaseSettings.of(settings, home),
            recipe_of(settings),
            VectorOptions.of(settings),
            settings.promotion == "gated",
        )

    def vector_index(self) -> str:
        return str(self.recipe["vector_index"])

    def lexical_index(self) -> str:
        return str(self.recipe["lexical_index"])

    def live(self, catalog: Catalog, collection: str) -> Live | None:
        """Return what is served; None where that is nothing, or settings have changed that no promotion governs: then it is released anew."""
        if collection not in catalog.collections():
            return None
        release = live_release(catalog, collection)
        if release is None or release.config is None:
            return None
        governed = self.gated or catalog.state(collection).governed
        if not governed and not release.settings.same(self.settings):
            return None
        return Live(release.id, release.build, release.config)

    def serve(self, db: Connection, collection: str, manifest: Manifest) -> str:
        """Make the release of this build, put it live, and return its id.

        Raises:
            Busy: a release whose build is made in another way was promoted meanwhile.
        """
        live = read_live(db, collection)
        settings = self.settings
        if live is not None and (self.gated or is_governed(db, collection)):
            if any(self.recipe[name] != value for name, value in live.index.items()):
                raise Busy(
                    f"release {live.id} of collection {collection!r}, which went live while this ingestion ran, cuts, embeds or "
                    "indexes in another way; nothing was changed, ingest again"
                )
            settings = live.settings
        release_id = make_release(db, collection, manifest.build_id, settings)
        put_live(db, collection, release_id, kind="ingest")
        return release_id


def recipe_of(settings: Settings) -> dict[str, Any]:
    """Return the settings that decide a build."""
    return {name: getattr(settings, name) for name in RECIPE}


def standing_settings(catalog: Catalog, collection: str, settings: Settings) -> Settings:
    """Return the settings with which an ingestion makes its build: where promotion governs, those of the live release."""
    if collection not in catalog.collections():
        return settings
    if settings.promotion != "gated" and not catalog.state(collection).governed:
        return settings
    live = live_release(catalog, collection)
    return settings if live is None else settings.model_copy(update=dict(live.index))


def differences(one: Release, other: Release) -> dict[str, tuple[Any, Any]]:
    """Return what differs between two releases, by its name as in `retrieval.rerank`; ids and times aside."""
    before, after = _content(one), _content(other)
    return {
        name: (before.get(name), after.get(name))
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    }


def _content(release: Release) -> dict[str, Any]:
    """Return all that a release is made of, flat."""
    parts = {
        "index": {**release.index, **({} if release.config is None else asdict(release.config))},
        "retrieval": asdict(release.settings.retrieval),
        "generation": release.generation,
    }
    flat = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
    whole = ("build", "corpus", "prompt", "prompt_hash", "generator")
    return {**{name: getattr(release, name) for name in whole}, **flat}


def set_aside(catalog: Catalog, collection: str, settings: Settings, home: Path) -> list[str]:
    """Return the settings that an ingestion did not heed since promotion governs the collection, by name."""
    live = live_release(catalog, collection)
    if live is None or not (settings.promotion == "gated" or catalog.state(collection).governed):
        return []
    wanted, heeded = ReleaseSettings.of(settings, home), live.settings
    index = [name for name, value in live.index.items() if getattr(settings, name) != value]
    return [
        *index,
        *(name for name in ("prompt", "generator", "retrieval") if getattr(wanted, name) != getattr(heeded, name)),
    ]


def generation_of(generator: str, settings: Settings) -> dict[str, Any]:
    """Return the generator's own settings, as a release records them."""
    model = {"openai": settings.openai_model, "gguf": str(settings.gguf_path or "")}.get(generator)
    return {} if model is None else {"model": model, "max_answer_tokens": settings.max_answer_tokens}


def generator_settings(settings: Settings, generator: str, generation: Mapping[str, Any]) -> Settings:
    """Return the settings with those of a release's generator."""
    changes = {name: generation[name] for name in ("max_answer_tokens",) if name in generation}
    if model := generation.get("model"):
        changes |= {"openai_model": model} if generator == "openai" else {"gguf_path": Path(model)}
    return settings.model_copy(update=changes)


# -- the catalog's rows ------------------------------------------------------------------------------------------------


def make_release(db: Connection, collection: str, build_id: str, settings: ReleaseSettings) -> str:
    """Write the release down unless it is there, and return its id: of equal content there is one."""
    from indexes.tables import releases

    row = settings.row(build_id) | {"collection": collection, "created": now()}
    db.execute(insert_new(db, releases), row)
    return str(row["release_id"])


def put_live(
    db: Connection,
    collection: str,
    release_id: str,
    *,
    kind: str,
    by: str = "",
    reason: str = "",
    gate: Mapping[str, Any] | None = None,
) -> str | None:
    """Let the collection serve the release from this transaction's end on, note it in the history, and return what was served before."""
    from sqlalchemy import insert, select, update

    from indexes.tables import collections, release_history

    own = collections.c.name == collection
    previous: str | None = db.execute(select(collections.c.live).where(own)).scalar()
    if previous == release_id:
        return previous
    row = {"collection": collection, "release_id": release_id, "previous": previous, "kind": kind, "at": now()}
    db.execute(
        insert(release_history), row | {"by": by, "reason": reason, "gate": None if gate is None else dict(gate)}
    )
    governs = {} if kind == "ingest" else {"governed": 1}
    db.execute(update(collections).where(own).values(live=release_id, **governs))
    return previous


def is_governed(db: Connection, collection: str) -> bool:
    """Return whether a release of the collection was ever promoted or rolled back."""
    from sqlalchemy import select

    from indexes.tables import collections

    return bool(db.execute(select(collections.c.governed).where(collections.c.name == collection)).scalar())


def live_release(catalog: Catalog, collection: str) -> Release | None:
    """Return what the collection serves, None before its first ingestion.

    Raises:
        CollectionNotFound: no such collection.
    """
    catalog.state(collection)
    with catalog.read() as db:
        return read_live(db, collection)


def read_live(db: Connection, collection: str) -> Release | None:
    """As `live_release`, in a transaction; None for an unknown collection too."""
    from indexes.tables import collections

    row = db.execute(_releases(collection).where(collections.c.live == _id())).first()
    return None if row is None else _release(row)


def read_release(db: Connection, collection: str, release_id: str) -> Release:
    """Return a release of the collection.

    Raises:
        ReleaseNotFound: the collection has none of that id, whatever other collections have.
    """
    row = db.execute(_releases(collection).where(_id() == release_id)).first()
    if row is None:
        raise ReleaseNotFound(
            f"collection {collection!r} has no release {release_id!r}; see: loremill release list --collection {collection}"
        )
    return _release(row)


def list_releases(catalog: Catalog, collection: str) -> list[Release]:
    """Return the collection's releases, newest first.

    Raises:
        CollectionNotFound: no such collection.
    """
    from indexes.tables import releases

    catalog.state(collection)
    with catalog.read() as db:
        return [_release(row) for row in db.execute(_releases(collection).order_by(releases.c.created.desc()))]


def _id() -> Any:
    from indexes.tables import releases

    return releases.c.release_id


def _releases(collection: str) -> Select[Any]:
    from sqlalchemy import select

    from indexes.tables import builds, collections, releases

    of_build = (builds.c.collection == releases.c.collection) & (builds.c.build_id == releases.c.build_id)
    joined = releases.join(collections, collections.c.name == releases.c.collection).outerjoin(builds, of_build)
    of_builds = (builds.c.manifest, builds.c.recipe, builds.c.corpus, builds.c.gone)
    query = select(releases, (collections.c.live == releases.c.release_id).label("is_live"), *of_builds)
    return query.select_from(joined).where(releases.c.collection == collection)


def _release(row: Any) -> Release:
    config = None if row.manifest is None else Manifest.from_json(row.manifest).config
    return Release(
        id=row.release_id,
        collection=row.collection,
        live=bool(row.is_live),
        build=row.build_id,
        prompt=row.prompt,
        generator=row.generator,
        retrieval=row.retrieval,
        created=row.created,
        gate=row.gate,
        prompt_hash=row.prompt_hash or "",
        generation=row.generation or {},
        index=row.recipe or _recipe_read_off(config),
        config=config,
        corpus=row.corpus,
        gone=config is None or bool(row.gone),
    )


def _recipe_read_off(config: BuildConfig | None) -> dict[str, Any]:
    """Return what the configuration of a build tells of the settings that made it, for builds of before they were recorded."""
    found = None if config is None else _CUT.match(config.chunker)
    if config is None or found is None:
        return {}
    cut = {name: int(value) for name, value in found.groupdict().items()}
    return {**cut, "vector_index": config.vector_index, "lexical_index": config.lexical_index}
