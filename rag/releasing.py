"""The part of the facade that says what is served: releases, gates, promotion and rollback."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.errors import Busy, ConfigError, PromotionRefused, ReleaseNotFound
from indexes.vocabulary import Principal

if TYPE_CHECKING:
    from indexes.embedder import Embedder
    from indexes.settings import Settings
    from ingest.encode import Progress
    from rag.promotion import GateRecord, Move
    from rag.releases import Release, ReleaseSettings
    from rag.tenant import Tenant

_BUILD_WAITS_S = 30.0


class Releasing:
    """What `Loremill` inherits. Whether a principal may do any of it is the caller's to check; None means the operator of the home."""

    settings: Settings
    home: Path

    if TYPE_CHECKING:

        def embedder_of(self, name: str) -> Embedder: ...

        def _tenant(self, name: str, *, create: bool = False) -> Tenant: ...

        def _tenant_of(self, collection: str, tenant: str | None) -> Tenant: ...

    def releases(self, collection: str | None = None, *, tenant: str | None = None) -> list[Release]:
        """Return the releases of one collection, or of all, newest first."""
        from rag.releases import list_releases
        from rag.tenant import tenant_names

        if collection is not None:
            return list_releases(self._tenant_of(collection, tenant).catalog, collection)
        catalogs = [
            self._tenant(name).catalog for name in tenant_names(self.home, self.settings) if tenant in (None, name)
        ]
        return [
            release
            for catalog in catalogs
            for name in catalog.collections()
            for release in list_releases(catalog, name)
        ]

    def release(self, release_id: str, *, collection: str | None = None, tenant: str | None = None) -> Release:
        """Return one release; `live` stands for what `collection` serves.

        Raises:
            ReleaseNotFound: there is none.
            ConfigError: several collections have one of that content, and none was named.
        """
        found = [one for one in self.releases(collection, tenant=tenant) if release_id in (one.id, "live" * one.live)]
        if not found:
            raise ReleaseNotFound(f"no release {release_id!r}; see: loremill release list")
        if len(found) > 1:
            names = ", ".join(sorted({one.collection for one in found}))
            raise ConfigError(f"release {release_id!r} is one of each of {names}: add --collection (and --tenant)")
        return found[0]

    def diff_releases(
        self, before: str, after: str, *, collection: str | None = None, tenant: str | None = None
    ) -> dict[str, Any]:
        """Return what differs between two releases of one collection; errors as `release`."""
        from rag.releases import differences

        one = self.release(before, collection=collection, tenant=tenant)
        other = self.release(after, collection=collection or one.collection, tenant=tenant)
        changed = {name: {"before": a, "after": b} for name, (a, b) in differences(one, other).items()}
        return {"collection": one.collection, "before": one.id, "after": other.id, "changed": changed}

    def create_release(
        self,
        collection: str,
        *,
        tenant: str | None = None,
        base: str = "live",
        index: Mapping[str, Any] | None = None,
        retrieval: Mapping[str, Any] | None = None,
        prompt: str | None = None,
        generator: str | None = None,
        generation: Mapping[str, Any] | None = None,
        principal: Principal | None = None,
        progress: Progress | None = None,
    ) -> Release:
        """Make a candidate over the documents as they are now: what `base` is, but for what is given. Nothing that is served changes.

        Args:
            base: a release of the collection.
            index: of `chunk_tokens`, `chunk_overlap`, `embedder`, `vector_index`, `lexical_index`. Another build is made of them
                beside the live one, from the stored texts.
            retrieval: fields of `indexes.search.FusionSettings`; `passages` is how many hits an answer may rest on.
            prompt: `NAME@VERSION`, packaged or in the home's folder `prompts`.
            generation: of `model`, `max_answer_tokens`; of a generator that is named anew the rest is the settings'.
        Returns:
            The release, which may have been there: equal content is one release.
        Raises:
            ConfigError: a setting is unknown or out of range, or the prompt is not what an answer's must be.
            Busy: an ingestion of the collection is running.
            ReleaseNotFound: no such base.
        Cost: for another build, cutting all texts and embedding those that are new to the embedder.
        """
        from rag.releases import make_release, read_live, read_release

        rooms = self._tenant_of(collection, tenant)
        with self._held(rooms, collection):
            with rooms.catalog.read() as db:
                live = read_live(db, collection)
                if live is None:
                    raise ReleaseNotFound(f"collection {collection!r} serves nothing yet: ingest first")
                start = live if base == "live" else read_release(db, collection, base)
            settings = self._varied(
                rooms, start.settings, retrieval=retrieval, prompt=prompt, generator=generator, generation=generation
            )
            build_id = self._build_of(rooms, live, {**start.index, **_checked_index(index or {})}, progress)
            with rooms.catalog.write() as db:
                release_id = make_release(db, collection, build_id, settings)
                made = read_release(db, collection, release_id)
        what = {"action": "create", "release": made.id, "base": start.id}
        rooms.auditor.did("release", principal, collection=collection, **what)
        return made

    def record_gate(
        self,
        collection: str,
        record: Mapping[str, Any],
        *,
        tenant: str | None = None,
        principal: Principal | None = None,
    ) -> GateRecord:
        """Keep how a gate ended, for `promote` to look at; fields and errors as `rag.promotion.GateRecord`."""
        from rag.promotion import record_gate

        rooms = self._tenant_of(collection, tenant)
        kept = record_gate(rooms.catalog, collection, record)
        what = {name: getattr(kept, name) for name in ("verdict", "candidate", "baseline", "dataset")}
        rooms.auditor.did("release", principal, collection=collection, action="gate", **what)
        return kept

    def gates(self, collection: str, *, tenant: str | None = None, candidate: str | None = None) -> list[GateRecord]:
        """Return how gates ended, newest first."""
        from rag.promotion import list_gates

        return list_gates(self._tenant_of(collection, tenant).catalog, collection, candidate=candidate)

    def release_history(self, collection: str, *, tenant: str | None = None) -> list[Move]:
        """Return what went live when, newest first."""
        from rag.promotion import history

        return history(self._tenant_of(collection, tenant).catalog, collection)

    def promote(
        self,
        release_id: str,
        *,
        collection: str,
        tenant: str | None = None,
        dataset: str | None = None,
        force: bool = False,
        reason: str = "",
        principal: Principal | None = None,
    ) -> Move | None:
        """Let the collection serve the release from the next query on; None where it does already. One step, undone by `rollback`.

        Args:
            dataset: as `rag.promotion.promote`.
            force: without a gate, for the `reason` given, which the audit log and the history show.
        Raises:
            PromotionRefused: no gate record lets it, or its documents have changed since; nothing has changed.
            ReleaseNotFound: no release of this collection, or its build is gone.
            BuildCorrupt: its build cannot be opened; nothing has changed.
        """
        from rag.promotion import promote

        if force and not reason.strip():
            raise ConfigError("a promotion by force needs a reason: --reason TEXT")
        rooms = self._tenant_of(collection, tenant)
        with self._refusals(rooms, collection, principal, "promote", release_id):
            rooms.retriever.warm(
                collection, release_id
            )  # what cannot be opened does not go live, and nobody waits for it
            move = promote(
                rooms.catalog, collection, release_id,
                by=_name(principal),
                max_age=timedelta(hours=self.settings.gate_max_age_hours),
                dataset=dataset,
                force=reason.strip() if force else None,
                announce=lambda move: _announce(rooms, principal, move),
            )  # fmt: skip
        return move

    def rollback(
        self,
        *,
        collection: str,
        reason: str,
        to: str | None = None,
        tenant: str | None = None,
        principal: Principal | None = None,
    ) -> Move:
        """Let the collection serve under the settings of before, over the documents of now; see `rag.promotion.rollback`."""
        from rag.promotion import rollback

        if not reason.strip():
            raise ConfigError("a rollback needs a reason: --reason TEXT")
        rooms = self._tenant_of(collection, tenant)
        with self._refusals(rooms, collection, principal, "rollback", to):
            move = rollback(
                rooms.catalog, collection,
                by=_name(principal),
                reason=reason.strip(),
                to=to,
                announce=lambda move: _announce(rooms, principal, move),
            )  # fmt: skip
        return move

    # -- how -------------------------------------------------------------------------------------------------------------

    def _varied(
        self,
        rooms: Tenant,
        base: ReleaseSettings,
        *,
        retrieval: Mapping[str, Any] | None,
        prompt: str | None,
        generator: str | None,
        generation: Mapping[str, Any] | None,
    ) -> ReleaseSettings:
        """Return the settings with what was given in place of what they say."""
        from rag.ask import GENERATORS
        from rag.prompts import answer_prompt
        from rag.releases import ReleaseSettings, generation_of

        template = answer_prompt(prompt or base.prompt, home=self.home)
        reference = f"{template.name}@{template.version}"
        _check_immutable(rooms, reference, template.content_hash)
        name = generator or base.generator
        if name not in GENERATORS:
            raise ConfigError(f"unknown generator {name!r}: use {', '.join(GENERATORS)}")
        own = dict(base.generation) if name == base.generator else generation_of(name, self.settings)
        if unknown := sorted((generation or {}).keys() - own.keys()):
            raise ConfigError(f"the generator {name} has no setting {', '.join(unknown)}")
        own |= generation or {}
        tokens, model = own.get("max_answer_tokens", 1), own.get("model", "")
        if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 1:
            raise ConfigError(f"max_answer_tokens is {tokens!r}, it must be at least 1")
        if not isinstance(model, str):
            raise ConfigError(f"model is {model!r}, it must be a name")
        fusion = replace(base.retrieval, **_checked_retrieval(retrieval or {}))
        return ReleaseSettings(reference, template.content_hash, name, own, fusion)

    def _build_of(self, rooms: Tenant, live: Release, index: Mapping[str, Any], progress: Progress | None) -> str:
        """Return the build of the present documents under these settings: the live one where they are its, else one made beside it."""
        from indexes.settings import Settings
        from ingest.candidate import build_candidate
        from rag.releases import ReleaseServing

        if all(live.index.get(name, value) == value for name, value in index.items()):
            return live.build
        try:
            settings = Settings.model_validate({**self.settings.model_dump(), **index})
        except ValueError as error:
            raise ConfigError(f"bad index setting: {error}") from error
        manifest = build_candidate(
            rooms.catalog,
            rooms.collections / live.collection,
            live.collection,
            embedder=self.embedder_of(settings.embedder),
            settings=settings,
            serving=ReleaseServing.of(settings, self.home),
            live_build=live.build,
            progress=progress or (lambda _stage, _done, _total: None),
        )
        return manifest.build_id

    @contextmanager
    def _held(self, rooms: Tenant, collection: str) -> Iterator[None]:
        """Hold the collection against ingestions, with the live release's chunks standing."""
        from ingest.commit import exclusive

        with exclusive(rooms.collections / collection, rooms.catalog, wait_s=_BUILD_WAITS_S):
            self._stand(rooms, collection)
            yield

    def _stand(self, rooms: Tenant, collection: str) -> None:
        """Let the live release's chunks be those that ingestion works on. The caller holds the collection."""
        from indexes.cuts import stand
        from rag.releases import live_release

        live = live_release(rooms.catalog, collection)
        if live is not None and live.config is not None:
            with rooms.catalog.write() as db:
                stand(db, collection, live.config.chunker)

    def _settle_cut(self, rooms: Tenant, collection: str) -> None:
        """As `_stand`, for who looks at what stands after a move. Of no weight for what is served, so whoever ingests now does it instead."""
        from ingest.commit import exclusive

        with suppress(Busy), exclusive(rooms.collections / collection, rooms.catalog):
            self._stand(rooms, collection)

    @contextmanager
    def _refusals(
        self, rooms: Tenant, collection: str, who: Principal | None, action: str, release: str | None
    ) -> Iterator[None]:
        """Write down that a move was refused, and let the refusal pass."""
        try:
            yield
        except (PromotionRefused, ReleaseNotFound) as error:
            what = {"action": action, "release": release, "refused": type(error).__name__}
            rooms.auditor.did("release", who, collection=collection, **what)
            raise


def _checked_index(index: Mapping[str, Any]) -> Mapping[str, Any]:
    from rag.releases import RECIPE

    if unknown := sorted(index.keys() - {*RECIPE}):
        raise ConfigError(f"unknown index setting {', '.join(unknown)}: there are {', '.join(RECIPE)}")
    return index


def _checked_retrieval(retrieval: Mapping[str, Any]) -> Mapping[str, Any]:
    from indexes.search import FusionSettings

    for name, value in retrieval.items():
        default = asdict(FusionSettings()).get(name)
        if default is None:
            raise ConfigError(f"unknown retrieval setting {name!r}: there are {', '.join(asdict(FusionSettings()))}")
        kinds = (int, float) if isinstance(default, float) else (type(default),)
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise ConfigError(f"{name} is {value!r}, it must be of the kind of {default!r}")
    return retrieval


def _check_immutable(rooms: Tenant, reference: str, content_hash: str) -> None:
    """Raise ConfigError where a release of the tenant has used another text under this prompt's name."""
    from sqlalchemy import select

    from indexes.tables import releases

    query = select(releases.c.release_id).where(releases.c.prompt == reference, releases.c.prompt_hash != content_hash)
    with rooms.catalog.read() as db:
        other = db.execute(query.limit(1)).scalar()
    if other is not None:
        raise ConfigError(
            f"prompt {reference} was changed since release {other} was made of it: give the new text a version of its own"
        )


def _name(who: Principal | None) -> str:
    from rag.auditing import OPERATOR

    return OPERATOR if who is None else who.subject


def _announce(rooms: Tenant, who: Principal | None, move: Move) -> None:
    told = {name: value for name, value in move.to_json().items() if name not in {"collection", "kind", "by", "at"}}
    rooms.auditor.did("release", who, collection=move.collection, action=move.kind, **told)
