"""`loremill release`: what is served, what might be, and how the one becomes the other."""

from __future__ import annotations

import json as json_module
from typing import Annotated, Any

import typer

from indexes.errors import ConfigError
from service import render
from service.console import Collection, Home, Json, Tenant, emit, opened, progress_bars

release = typer.Typer(help="What is served: candidates, promotion, rollback.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="RELEASE", help="Its id, or `live` with --collection.")]
Of = Annotated[str | None, typer.Option("--collection", metavar="C", help="The collection, where several have one.")]


@release.command("list")
def list_releases(
    collection: Annotated[str | None, typer.Option("--collection", metavar="C", help="Only this collection's.")] = None,
    tenant: Tenant = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """List releases: build, prompt and generator of each, and which is live."""
    with opened(home) as mill:
        found = mill.releases(collection, tenant=tenant)
    emit({"releases": [one.to_json() for one in found]}, as_json=json, human=render.releases)


@release.command("show")
def show(release_id: Id, collection: Of = None, tenant: Tenant = None, home: Home = None, json: Json = False) -> None:
    """Show one release."""
    with opened(home) as mill:
        found = mill.release(release_id, collection=collection, tenant=tenant)
    emit(found.to_json(), as_json=json, human=render.fields)


@release.command("create")
def create(
    collection: Collection,
    base: Annotated[str, typer.Option("--from", metavar="R", help="What it is but for the options given.")] = "live",
    top_k: Annotated[int | None, typer.Option("--top-k", metavar="N", help="Hits that an answer may rest on.")] = None,
    prompt: Annotated[str | None, typer.Option("--prompt", metavar="NAME@VERSION")] = None,
    generator: Annotated[str | None, typer.Option("--generator", metavar="NAME")] = None,
    chunk_tokens: Annotated[int | None, typer.Option("--chunk-tokens", metavar="N")] = None,
    chunk_overlap: Annotated[int | None, typer.Option("--chunk-overlap", metavar="N")] = None,
    embedder: Annotated[str | None, typer.Option("--embedder", metavar="NAME")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PART.NAME=VALUE",
            help="retrieval.rerank=packaged, retrieval.dense_weight=0.4, generation.model=m, index.lexical_index=qdrant, ...",
        ),
    ] = None,
    tenant: Tenant = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Make a candidate over the present documents: the live release but for what is given. Nothing that is served changes."""
    parts = _parts(settings or [])
    index = {"chunk_tokens": chunk_tokens, "chunk_overlap": chunk_overlap, "embedder": embedder}
    parts["index"] |= {name: value for name, value in index.items() if value is not None}
    if top_k is not None:
        parts["retrieval"]["passages"] = top_k
    with opened(home) as mill, progress_bars() as progress:
        made = mill.create_release(
            collection,
            tenant=tenant,
            base=base,
            index=parts["index"],
            retrieval=parts["retrieval"],
            prompt=prompt,
            generator=generator,
            generation=parts["generation"],
            progress=progress,
        )
    emit(made.to_json(), as_json=json, human=render.fields)


@release.command("diff")
def diff(
    before: Annotated[str, typer.Argument(metavar="BEFORE")],
    after: Annotated[str, typer.Argument(metavar="AFTER")],
    collection: Of = None,
    tenant: Tenant = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Show what differs between two releases, either of which may be `live`."""
    with opened(home) as mill:
        found = mill.diff_releases(before, after, collection=collection, tenant=tenant)
    emit(found, as_json=json, human=render.release_diff)


@release.command("promote")
def promote(
    release_id: Id,
    collection: Of = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="NAME@VERSION", help="The gate on this one counts alone.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Without a gate; takes --reason.")] = False,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in history and audit log.")] = "",
    tenant: Tenant = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Let a candidate go live whose gate against the live release passed. Exit code 1 if nothing lets it."""
    with opened(home) as mill:
        candidate = mill.release(release_id, collection=collection, tenant=tenant)
        move = mill.promote(
            candidate.id, collection=candidate.collection, tenant=tenant, dataset=dataset, force=force, reason=reason
        )
    already = {"collection": candidate.collection, "release": candidate.id, "previous": candidate.id, "kind": "none"}
    emit(already if move is None else move.to_json(), as_json=json, human=render.moved)


@release.command("rollback")
def rollback(
    collection: Collection,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in history and audit log.")],
    to: Annotated[str | None, typer.Option("--to", metavar="R", help="A release that was live once.")] = None,
    tenant: Tenant = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Serve under the settings of before, over the documents of now. Exit code 1 if there is nothing to go back to."""
    with opened(home) as mill:
        move = mill.rollback(collection=collection, reason=reason, to=to, tenant=tenant)
    emit(move.to_json(), as_json=json, human=render.moved)


@release.command("history")
def history(collection: Collection, tenant: Tenant = None, home: Home = None, json: Json = False) -> None:
    """List what went live when, by whom and why, newest first."""
    with opened(home) as mill:
        moves = mill.release_history(collection, tenant=tenant)
    emit({"collection": collection, "history": [one.to_json() for one in moves]}, as_json=json, human=render.moves)


@release.command("gates")
def gates(
    collection: Collection,
    candidate: Annotated[str | None, typer.Option("--candidate", metavar="R", help="Only of this release.")] = None,
    tenant: Tenant = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """List how gates ended, newest first."""
    with opened(home) as mill:
        found = mill.gates(collection, tenant=tenant, candidate=candidate)
    emit({"collection": collection, "gates": [one.to_json() for one in found]}, as_json=json, human=render.gates)


def _parts(settings: list[str]) -> dict[str, dict[str, Any]]:
    """Read `PART.NAME=VALUE`; a value that is JSON is what it says, any other is a text."""
    parts: dict[str, dict[str, Any]] = {"index": {}, "retrieval": {}, "generation": {}}
    for setting in settings:
        where, equals, value = setting.partition("=")
        part, dot, name = where.partition(".")
        if part not in parts or not (equals and dot and name):
            raise ConfigError(f"--set {setting!r}: write PART.NAME=VALUE, where PART is {', '.join(parts)}")
        try:
            parts[part][name] = json_module.loads(value)
        except ValueError:
            parts[part][name] = value
    return parts
