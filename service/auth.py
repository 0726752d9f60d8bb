"""What a route may ask for: the mill, the metrics, the worker, who asks, and the right to write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from indexes.directory import Identity, Role
from indexes.errors import AccessDenied
from indexes.vocabulary import Principal
from service.telemetry import Metrics
from service.worker import IngestionWorker

if TYPE_CHECKING:
    from rag.loremill import Loremill

bearer = HTTPBearer(auto_error=False, description="An API key made by `loremill keys create`.")
"""Only tells OpenAPI of the scheme; `service.middleware.Authentication` has checked the key before."""


def the_mill(request: Request) -> Loremill:
    return cast("Loremill", request.app.state.mill)


def the_metrics(request: Request) -> Metrics:
    return cast(Metrics, request.app.state.metrics)


def the_worker(request: Request) -> IngestionWorker:
    return cast(IngestionWorker, request.app.state.worker)


def who_asks(request: Request) -> Principal:
    """Return the key's principal. Nothing in a body, path or query can name another."""
    return cast(Identity, request.state.identity).principal


def who_edits(request: Request) -> Principal:
    """Return the key's principal if the key may write.

    Raises:
        AccessDenied: it is a reader's key, whatever it asks for.
    """
    identity = cast(Identity, request.state.identity)
    if identity.role != Role.EDITOR:
        raise AccessDenied(identity.principal, "this key may not change documents; it takes one of role editor")
    return identity.principal


Mill = Annotated["Loremill", Depends(the_mill)]
MetricsOf = Annotated[Metrics, Depends(the_metrics)]
WorkerOf = Annotated[IngestionWorker, Depends(the_worker)]
Asker = Annotated[Principal, Depends(who_asks)]
Editor = Annotated[Principal, Depends(who_edits)]
