"""What operators watch: /livez, /readyz, /metrics."""

from __future__ import annotations

import logging

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import PlainTextResponse, Response

from indexes.errors import LoremillError
from service.auth import MetricsOf, Mill
from service.problems import declared, problem

log = logging.getLogger("loremill.http")

router = APIRouter(tags=["operation"])


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
