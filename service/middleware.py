"""What happens to every request before and after its route: an id, a metric, a size limit, and who asks.

Plain ASGI, because Starlette's BaseHTTPMiddleware would put a queue between a stream and its client.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from indexes.directory import Identity
from indexes.errors import LoremillError
from rag.auditing import caller
from service.auth import caller_of
from service.identify import Identifier
from service.problems import of_error, problem
from service.telemetry import Metrics

if TYPE_CHECKING:
    from rag.loremill import Loremill

log = logging.getLogger("loremill.http")

ACT_AS = "X-Loremill-Act-As"
_REQUEST_ID = re.compile(r"[\w.:-]{1,100}", re.ASCII)
_UNMATCHED = "unmatched"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestContext:
    """Gives each request an id (the client's own if it is sane), counts it, and turns a defect into a bare 500."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        status = 0
        began = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            log.info("request %s: the client left", request_id)
        except Exception:
            log.exception("request %s failed", request_id)
            if not status:
                response = problem(500, detail=f"the server's log has it under request {request_id}")
                await response(scope, receive, send_with_id)
        finally:
            self._metrics.request(
                method=scope["method"] if scope["method"] in _METHODS else "other",
                route=getattr(scope.get("route"), "path_format", _UNMATCHED),
                status=status or 499,
                seconds=time.perf_counter() - began,
            )


class BodyLimit:
    """Refuses a larger body with 413: at once where its length is declared, else when the limit is passed."""

    def __init__(self, app: ASGIApp, limit: Callable[[Scope], int]) -> None:
        self.app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self._limit(scope)
        detail = f"the body may have {limit} bytes at most"
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            await problem(413, detail=detail)(scope, receive, send)
            return
        read = 0

        async def receive_limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                raise HTTPException(413, detail)
            return message

        await self.app(scope, receive_limited, send)


class Authentication:
    """Asks for a valid key or token on every path under `/v1/` and at `/mcp` before the body is read, so that no route can forget to."""

    def __init__(self, app: ASGIApp, identifier: Identifier, mill: Loremill) -> None:
        self.app = app
        self._identifier = identifier
        self._mill = mill

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _is_closed(scope["path"]):
            await self.app(scope, receive, send)
            return
        try:
            identity = await run_in_threadpool(self._identity, Headers(scope=scope))
        except LoremillError as error:
            await of_error(error)(scope, receive, send)
            return
        if identity is None:
            await _unauthorized()(scope, receive, send)
            return
        scope.setdefault("state", {})["identity"] = identity
        before = caller.set(caller_of(identity))
        try:
            if identity.actor is not None:
                await run_in_threadpool(self._mill.acted_as, identity.principal)
            await self.app(scope, receive, send)
        finally:
            caller.reset(before)

    def _identity(self, headers: Headers) -> Identity | None:
        """Return who the headers speak for; a header that comes twice has no meaning, so it is refused."""
        given, wanted = headers.getlist("authorization"), headers.getlist(ACT_AS)
        scheme, _, secret = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        identity = self._identifier.identify(secret) if scheme.lower() == "bearer" else None
        if identity is None or not wanted:
            return identity
        return self._identifier.act_as(identity, wanted[0].encode("latin-1") if len(wanted) == 1 else b"")


def _is_closed(path: str) -> bool:
    return path.startswith("/v1/") or path == "/mcp" or path.startswith("/mcp/")


def _unauthorized() -> JSONResponse:
    """Return the one answer to everything that does not hold."""
    return problem(
        401,
        detail="send `Authorization: Bearer` with an API key or a token that holds",
        headers={"WWW-Authenticate": 'Bearer realm="loremill"'},
    )
