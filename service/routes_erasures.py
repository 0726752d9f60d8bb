"""/v1/erasures: forget a document or a subject of the key's own tenant for good. Takes an administrator's key."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import JSONResponse, Response

from service.auth import Administrator, Mill
from service.problems import declared
from service.schemas import ErasureRequest

router = APIRouter(prefix="/v1/erasures", tags=["erasures"])


@router.post("", status_code=201, summary="Erase for good", responses=declared(403, 409))
def erase(body: ErasureRequest, mill: Mill, administrator: Administrator) -> Response:
    """Erase a document or a subject from every store, and return the receipt. It may take as long as an ingestion."""
    done = mill.erase(
        document=body.document, subject=body.subject, collection=body.collection, tenant=administrator.tenant,
        by=administrator.subject,
    )  # fmt: skip
    shown = done.to_json()
    del shown["file"]
    return JSONResponse(shown, status_code=201)


@router.post("/{receipt_id}/verify", summary="Verify a receipt", responses=declared(403, 404))
def verify(
    receipt_id: Annotated[str, Path(pattern="^[0-9a-f]{32}$")], mill: Mill, administrator: Administrator
) -> Response:
    """Check a kept receipt of the key's own tenant: its seal, and that no file of the home holds what it speaks of."""
    return JSONResponse(mill.verify_erasure(receipt_id, tenant=administrator.tenant).to_json())
