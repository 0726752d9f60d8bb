"""The HTTP application. Routes are thin: they check the body, call the facade once and send what came back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.routing import Route
from starlette.types import Scope

from service import (
    problems,
    routes_audit,
    routes_chat,
    routes_documents,
    routes_erasures,
    routes_evaluations,
    routes_feedback,
    routes_ingestions,
    routes_memories,
    routes_query,
    routes_releases,
    routes_system,
)
from service.auth import bearer
from service.evaluation_worker import EvaluationWorker
from service.identify import Identifier
from service.mcp import PATH as MCP
from service.mcp import McpEndpoint
from service.middleware import Authentication, BodyLimit, RequestContext
from service.telemetry import Metrics
from service.tokens import token_verifier
from service.worker import IngestionWorker, Worker

if TYPE_CHECKING:
    from rag.loremill import Loremill

QUERY_BYTES = 1_000_000
DOCUMENT_BYTES = 64_000_000
_ANYWHERE = (400, 401, 403, 413, 422, 500, 503)
"""What any route under /v1/ may answer, before or after its own checks."""


def create_app(mill: Loremill) -> FastAPI:
    """Return the application over an open mill, which stays the caller's to close.

    Everything under `/v1/` takes an API key or a token, which alone says who asks.
    """
    app = FastAPI(
        title="Loremill",
        summary="Grounded, access-filtered answers from an organisation's documents.",
        version="1",
        docs_url=None,  # the interactive pages would load their scripts from a foreign host
        redoc_url=None,
        separate_input_output_schemas=False,
        lifespan=_lifespan,
    )
    app.state.mill = mill
    app.state.metrics = Metrics(mill.recall_sampler)
    app.state.worker = IngestionWorker(mill, app.state.metrics)
    app.state.evaluation_worker = EvaluationWorker(mill)
    for router in (
        routes_query.router, routes_chat.router, routes_documents.router, routes_ingestions.router, routes_audit.router,
        routes_releases.router, routes_feedback.router, routes_evaluations.router, routes_erasures.router,
        routes_memories.router,
    ):  # fmt: skip
        app.include_router(router, dependencies=[Depends(bearer)], responses=problems.declared(*_ANYWHERE))
    app.include_router(routes_system.router)
    app.state.mcp = McpEndpoint(mill, max_bytes=QUERY_BYTES)
    app.router.routes.append(Route(MCP, app.state.mcp))
    problems.install(app)
    _declare_problem(app)
    # The last added is the first to see a request.
    identifier = Identifier(mill.directory, token_verifier(mill.settings, mill.directory))
    app.add_middleware(Authentication, identifier=identifier, mill=mill)
    app.add_middleware(BodyLimit, limit=_body_limit)
    app.add_middleware(RequestContext, metrics=app.state.metrics)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The workers and the session manager of MCP live as long as the application."""
    workers: tuple[Worker, ...] = (app.state.worker, app.state.evaluation_worker)
    for worker in workers:
        worker.start()
    try:
        async with app.state.mcp.run():
            yield
    finally:
        for worker in workers:
            await run_in_threadpool(worker.close)


def _body_limit(scope: Scope) -> int:
    takes_documents = scope["path"].rstrip("/") in {"/v1/documents", "/v1/ingestions", "/v1/evaluations"}
    return DOCUMENT_BYTES if takes_documents else QUERY_BYTES


def _declare_problem(app: FastAPI) -> None:
    """Put the Problem schema, which the declared errors refer to, into OpenAPI."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        schema = generate()
        schemas = schema.setdefault("components", {}).setdefault("schemas", {})
        schemas.setdefault("Problem", problems.Problem.model_json_schema())
        return schema

    app.openapi = openapi  # type: ignore[method-assign]
