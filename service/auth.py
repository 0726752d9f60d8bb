"""What a route may ask for: the mill, the metrics, the worker, who asks, and a role that may do what the route does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from indexes.directory import Identity, Role
from indexes.errors import AccessDenied
from indexes.vocabulary import Principal
from rag.auditing import Caller
from service.evaluation_worker import EvaluationWorker
from service.telemetry import Metrics
from service.worker import IngestionWorker

if TYPE_CHECKING:
    from rag.loremill import Loremill

bearer = HTTPBearer(auto_error=False, description="An API key made by `loremill keys create`, or a JWT.")
"""Only tells OpenAPI of the scheme; `service.middleware.Authentication` has checked key or token before."""


def the_mill(request: Request) -> Loremill:
    return cast("Loremill", request.app.state.mill)


def the_metrics(request: Request) -> Metrics:
    return cast(Metrics, request.app.state.metrics)


def the_worker(request: Request) -> IngestionWorker:
    return cast(IngestionWorker, request.app.state.worker)


def the_evaluation_worker(request: Request) -> EvaluationWorker:
    return cast(EvaluationWorker, request.app.state.evaluation_worker)


def the_identity(request: Request) -> Identity:
    """Return who the request speaks for, with role and actor."""
    return cast(Identity, request.state.identity)


def caller_of(identity: Identity) -> Caller:
    """Return how the audit log names the way an identity came in: a key, a token or, without either, the command line."""
    via = "token" if identity.key_id.startswith("jwt:") else f"key:{identity.key_id}" if identity.key_id else "cli"
    return Caller(via, identity.actor)


def who_asks(request: Request) -> Principal:
    """Return the principal that key or token speaks for. Nothing in a body, path or query can name another."""
    return the_identity(request).principal


def sees_everything(request: Request) -> bool:
    """Return whether who asks may know what follows from documents it cannot read, as an administrator in its own name may."""
    return the_identity(request).role.includes(Role.ADMINISTRATOR)


def who_edits(request: Request) -> Principal:
    """As `who_asks`, for whoever puts or deletes documents. Raises AccessDenied without the role editor."""
    return _with_role(request, Role.EDITOR)


def who_curates(request: Request) -> Principal:
    """As `who_asks`, for whoever changes rights or handles the quarantine. Raises AccessDenied without the role curator."""
    return _with_role(request, Role.CURATOR)


def who_administers(request: Request) -> Principal:
    """As `who_asks`, for principals, keys and audit. Raises AccessDenied without the role administrator."""
    return _with_role(request, Role.ADMINISTRATOR)


def _with_role(request: Request, role: Role) -> Principal:
    """Return the principal; the refusal is the same whatever was asked for, and whether it exists or not."""
    identity = the_identity(request)
    if not identity.role.includes(role):
        the_mill(request).refused(identity.principal, f"role {role}")
        raise AccessDenied(identity.principal, f"this takes a key or token of role {role}")
    return identity.principal


Mill = Annotated["Loremill", Depends(the_mill)]
MetricsOf = Annotated[Metrics, Depends(the_metrics)]
WorkerOf = Annotated[IngestionWorker, Depends(the_worker)]
EvaluationsOf = Annotated[EvaluationWorker, Depends(the_evaluation_worker)]
Asker = Annotated[Principal, Depends(who_asks)]
SeesEverything = Annotated[bool, Depends(sees_everything)]
Editor = Annotated[Principal, Depends(who_edits)]
Curator = Annotated[Principal, Depends(who_curates)]
Administrator = Annotated[Principal, Depends(who_administers)]
