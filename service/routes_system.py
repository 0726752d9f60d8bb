"""GET /v1/releases, and what operators watch: /livez, /readyz, /metrics."""

from __future__ import annotations

import logging
from typing import Annotated

from fastapi import APIRouter, Query
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, PlainTextResponse, Response

from indexes.errors import LoremillError
from service.auth import Asker, MetricsOf, Mill
from service.problems import declared, problem
from service.schemas import ReleasesResponse

log = logging.getLogger("loremill.http")

releases = APIRouter(prefix="/v1", tags=["releases"])
router = APIRouter(tags=["operation"])


@releases.get("/releases", summary="List releases", responses=declared(404), response_model=ReleasesResponse)
def list_releases(
    mill: Mill, asker: Asker, collection: Annotated[str | None, Query(max_length=128)] = None
) -> Response:
    """List the releases of the tenant's collections in which the key's principal may read something, newest first."""
    readable = set(mill.collections(principal=asker))
    found = mill.releases(collection, tenant=asker.tenant)
    return JSONResponse({"releases": [one.to_json() for one in found if one.collection in readable]})


@router.get("/livez", summary="Is the process alive?", response_class=PlainTextResponse)
async def live() -> str:
    """Return ok as long as the process answers."""
    return "ok"


@router.get("/readyz", summary="Can it serve?", response_class=PlainTextResponse, responses=declared(503))
def ready(mill: Mill) -> Response:
    """Return ok if the home's directory and catalogs can be read, else 503."""
    try:
        mill.directory.generation()
        mill.releases()
    except (LoremillError, OSError) as error:
        log.error("not ready: %s", error)
        return problem(503, detail="the home cannot be read; the server's log says more")
    return PlainTextResponse("ok")


@router.get("/metrics", summary="Metrics for Prometheus", response_class=PlainTextResponse)
def metrics(kept: MetricsOf) -> Response:
    """Return counters and histograms in Prometheus text."""
    return Response(kept.text(), media_type=CONTENT_TYPE_LATEST)
