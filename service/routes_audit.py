"""GET /v1/audit: who saw what, for those who watch over it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from indexes.audit import AuditKind, AuditLog
from indexes.audit_chain import json_bytes
from service.auth import Administrator, Mill
from service.problems import declared
from service.schemas import AuditResponse

router = APIRouter(prefix="/v1", tags=["audit"])


@router.get("/audit", summary="Read the audit log", responses=declared(403), response_model=AuditResponse)
def read_audit(
    mill: Mill,
    administrator: Administrator,
    document: Annotated[str | None, Query(min_length=1, max_length=1000, description="Only events about it.")] = None,
    subject: Annotated[str | None, Query(min_length=1, max_length=200, description="As whom, or by whom.")] = None,
    kind: Annotated[AuditKind | None, Query()] = None,
    since: Annotated[datetime | None, Query(description="At this time or later; UTC where it has no zone.")] = None,
    until: Annotated[datetime | None, Query(description="Before this time.")] = None,
    after: Annotated[int, Query(ge=0, description="`next` of the page before.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List the events of the key's own tenant, oldest first. Takes an administrator's key."""
    log = AuditLog.of(mill.home / "tenants" / administrator.tenant, mill.settings)
    found = list(
        log.read(
            document=document, subject=subject, kind=kind, since=since, until=until, after_seq=after, limit=limit + 1
        )
    )
    page = found[:limit]
    body = {"events": page, "next": page[-1]["seq"] if len(found) > limit else None}
    return Response(json_bytes(body), media_type="application/json")  # ASCII: a query may hold what UTF-8 cannot
