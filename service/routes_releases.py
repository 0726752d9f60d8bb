"""/v1/releases: what is served and what might be. Readers see the list; making and moving takes a curator, force an administrator."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from indexes.errors import ConfigError, ReleaseNotFound
from indexes.vocabulary import Principal
from service.auth import Asker, Curator, Mill, who_administers
from service.problems import declared
from service.schemas import PromoteRequest, ReleaseRequest, ReleasesResponse, RollbackRequest

router = APIRouter(prefix="/v1/releases", tags=["releases"])

Collection = Annotated[str, Query(min_length=1, max_length=128)]


@router.get("", summary="List releases", responses=declared(404), response_model=ReleasesResponse)
def list_releases(
    mill: Mill, asker: Asker, collection: Annotated[str | None, Query(max_length=128)] = None
) -> Response:
    """List the releases of the tenant's collections in which the key's principal may read something, newest first."""
    readable = set(mill.collections(principal=asker))
    found = mill.releases(collection, tenant=asker.tenant)
    return JSONResponse({"releases": [one.to_json() for one in found if one.collection in readable]})


@router.get("/history", summary="What went live when", responses=declared(403, 404))
def history(mill: Mill, curator: Curator, collection: Collection) -> Response:
    """List what went live when, by whom and why, newest first. Takes a curator's key."""
    moves = mill.release_history(collection, tenant=curator.tenant)
    return JSONResponse({"collection": collection, "history": [one.to_json() for one in moves]})


@router.get("/{release_id}", summary="Show a release", responses=declared(404))
def show(release_id: str, mill: Mill, asker: Asker, collection: Collection) -> Response:
    """Show one release of a collection in which the key's principal may read something."""
    found = mill.releases(collection, tenant=asker.tenant) if collection in mill.collections(principal=asker) else []
    for one in found:
        if one.id == release_id:
            return JSONResponse(one.to_json())
    raise ReleaseNotFound(f"no release {release_id!r} in collection {collection!r}")


@router.post("", status_code=201, summary="Make a candidate", responses=declared(403, 404, 409, 501, 502))
def create(body: ReleaseRequest, mill: Mill, curator: Curator) -> Response:
    """Make a candidate: the base but for what is given. Takes a curator's key. Nothing that is served changes."""
    _check_models(body, mill)
    made = mill.create_release(
        body.collection,
        tenant=curator.tenant,
        base=body.base,
        index=body.index,
        retrieval=body.retrieval,
        prompt=body.prompt,
        generator=body.generator,
        generation=body.generation,
        principal=curator,
    )
    return JSONResponse(made.to_json(), status_code=201)


@router.post("/{release_id}/promote", summary="Promote a release", responses=declared(403, 404, 409))
def promote(release_id: str, body: PromoteRequest, mill: Mill, curator: Curator, request: Request) -> Response:
    """Let a candidate go live whose gate against the live release passed. Takes a curator's key, `force` an administrator's."""
    who: Principal = who_administers(request) if body.force else curator
    move = mill.promote(
        release_id,
        collection=body.collection,
        tenant=who.tenant,
        dataset=body.dataset,
        force=body.force,
        reason=body.reason,
        principal=who,
    )
    already = {"collection": body.collection, "release": release_id, "previous": release_id, "kind": "none"}
    return JSONResponse(already if move is None else move.to_json())


@router.post("/rollback", summary="Roll back", responses=declared(403, 404, 409))
def rollback(body: RollbackRequest, mill: Mill, curator: Curator) -> Response:
    """Serve under the settings of before, over the documents of now. Takes a curator's key."""
    move = mill.rollback(
        collection=body.collection, reason=body.reason, to=body.to, tenant=curator.tenant, principal=curator
    )
    return JSONResponse(move.to_json())


def _check_models(body: ReleaseRequest, mill: Mill) -> None:
    """Raise ConfigError where a model is named that the operator has not: it would be loaded from wherever that name leads."""
    settings = mill.settings
    known: dict[str, list[str]] = {
        "embedder": ["minilm", "minilm-fast", settings.embedder],
        "rerank": ["off", "packaged", settings.rerank],
        "model": [settings.openai_model, str(settings.gguf_path or "")],
    }
    for name, value in {**body.index, **body.retrieval, **body.generation}.items():
        if name in known and value not in known[name]:
            raise ConfigError(
                f"{name} {value!r} cannot be chosen over HTTP: use the command line, or one of {sorted({*known[name]} - {''})}"
            )
