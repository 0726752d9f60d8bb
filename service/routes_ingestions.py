"""/v1/ingestions: many documents at once, accepted now and indexed soon."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from service.auth import Editor, Mill, WorkerOf
from service.problems import declared, not_found
from service.schemas import IngestionRequest, IngestionResponse

router = APIRouter(prefix="/v1/ingestions", tags=["documents"])


@router.post(
    "", status_code=202, summary="Put documents", responses=declared(400, 403), response_model=IngestionResponse
)
def submit(body: IngestionRequest, mill: Mill, editor: Editor, worker: WorkerOf) -> Response:
    """Accept documents to add or replace. Takes an editor's key. They are safe once this returns, and found a little later."""
    documents = [document.model_dump(exclude_none=True) for document in body.documents]
    status = mill.submit_documents(documents, collection=body.collection, principal=editor)
    worker.wake()
    return JSONResponse(status, 202, headers={"Location": f"/v1/ingestions/{status['id']}"})


@router.get(
    "/{ingestion_id}", summary="How an ingestion stands", responses=declared(403, 404), response_model=IngestionResponse
)
def status(ingestion_id: str, mill: Mill, editor: Editor) -> Response:
    """Tell whether it is queued, running, done (with its report) or failed (with the error), to whoever submitted it."""
    found = mill.inbox(editor.tenant).status(ingestion_id, principal=editor)
    return not_found() if found is None else JSONResponse(found)
