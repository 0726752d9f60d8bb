"""Errors as RFC 9457 problem documents. What a caller may not know is not in them, and a defect shows no details."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from indexes.errors import DependencyMissing, LoremillError, ProviderError

log = logging.getLogger("loremill.http")
MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """RFC 9457 problem document."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(
        "about:blank", description="`urn:loremill:error:CLASS`, or about:blank where the status says it all"
    )
    title: str
    status: int
    detail: str = ""


def problem(
    status: int,
    *,
    title: str = "",
    detail: str = "",
    kind: str = "",
    headers: dict[str, str] | None = None,
    **more: Any,
) -> JSONResponse:
    """Return a problem document as a response."""
    body = {
        "type": f"urn:loremill:error:{kind}" if kind else "about:blank",
        "title": title or HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **more,
    }
    return JSONResponse(body, status, headers=headers, media_type=MEDIA_TYPE)


def of_error(error: LoremillError) -> JSONResponse:
    """Return an error of ours as a problem. A 500 or 502 goes to the log: it could name our files or hosts."""
    wait = error.retry_after_s if isinstance(error, ProviderError) else None
    return problem(
        error.http_status,
        title=error.title,
        detail=shown(error),
        kind=type(error).__name__,
        headers=None if wait is None else {"Retry-After": str(max(1, round(wait)))},
    )


def shown(error: LoremillError) -> str:
    """Return what a caller over the wire may read of an error; the log has the rest."""
    if error.http_status < 500 or isinstance(error, DependencyMissing):
        return str(error)
    log.error("%s: %s", type(error).__name__, error, exc_info=error)
    return "the server's log says more"


def not_found() -> JSONResponse:
    """Return the one answer about a document that is missing, forbidden, of another tenant or of no collection."""
    return problem(404, detail="no such document")


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI's `responses` for the errors a route may answer with."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in sorted(statuses)
    }


def install(app: FastAPI) -> None:
    """Make every error that a route raises a problem document."""

    @app.exception_handler(LoremillError)
    async def loremill_error(_request: Request, error: LoremillError) -> JSONResponse:
        return of_error(error)

    @app.exception_handler(HTTPException)
    async def http_error(_request: Request, error: HTTPException) -> JSONResponse:
        phrase = HTTPStatus(error.status_code).phrase
        detail = "" if error.detail == phrase else str(error.detail)
        return problem(error.status_code, detail=detail, headers=dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        faults = [{"where": ".".join(map(str, fault["loc"])), "what": fault["msg"]} for fault in error.errors()]
        detail = "; ".join(f"{fault['where']}: {fault['what']}" for fault in faults)
        return problem(422, detail=detail, errors=faults)
