"""/v1/documents. A document that is missing, forbidden, in no collection or of another tenant gives the same 404."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse, Response

from indexes.errors import CollectionNotFound, ConfigError
from indexes.vocabulary import Acl
from service.auth import Asker, Curator, Editor, Mill, WorkerOf
from service.problems import declared, not_found, problem
from service.schemas import AclChange, DocumentRequest, DocumentResponse, DocumentsResponse, for_editor

router = APIRouter(prefix="/v1/documents", tags=["documents"])

Collection = Annotated[str, Query(min_length=1, max_length=128)]


@router.get("", summary="List documents", responses=declared(400, 404), response_model=DocumentsResponse)
def list_documents(
    mill: Mill,
    asker: Asker,
    collection: Collection,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=4096, description="`next` of the page before.")] = None,
) -> Response:
    """List what the key's principal may read, by document id."""
    after = None if cursor is None else _decode(cursor)
    found = mill.documents(collection=collection, principal=asker, limit=limit + 1, after=after)
    page = found[:limit]
    following = _encode(page[-1].document_id) if len(found) > limit else None
    return JSONResponse({"documents": [info.to_json() for info in page], "next": following})


@router.post("", status_code=201, summary="Put a document", responses=declared(400, 403, 409))
def put_document(body: DocumentRequest, mill: Mill, editor: Editor) -> Response:
    """Add a document, or replace the one of that id. Takes an editor's key; `acl` says who may read it.

    Rights that were set with PATCH or by the operator stand above it. Of a document that the key's principal could not read,
    the report does not tell that it was there.
    """
    known = mill.may_read(body.document_id, collection=body.collection, principal=editor)
    report = mill.put_document(
        collection=body.collection,
        principal=editor,
        document_id=body.document_id,
        text=body.text,
        acl=Acl(tuple(body.acl.allow), tuple(body.acl.deny)),
        title=body.title,
        format=body.format,
        metadata=body.metadata,
    ).to_json()
    if report["quarantine"]:
        fault = report["quarantine"][0]
        return problem(422, title="Document cannot be ingested", detail=fault["message"], kind=fault["error"])
    return JSONResponse({"document_id": body.document_id, "ingest": for_editor(report, known=known)}, 201)


@router.get(
    "/{document_id:path}", summary="Describe a document", responses=declared(404), response_model=DocumentResponse
)
def get_document(document_id: str, mill: Mill, asker: Asker, collection: Collection) -> Response:
    """Describe one document that the key's principal may read."""
    try:
        info = mill.document(document_id, collection=collection, principal=asker)
    except CollectionNotFound:
        info = None
    return not_found() if info is None else JSONResponse(info.to_json())


@router.patch(
    "/{document_id:path}", status_code=204, summary="Change a document's rights", responses=declared(400, 403, 404)
)
def change_rights(document_id: str, body: AclChange, mill: Mill, curator: Curator, collection: Collection) -> Response:
    """Say who may read a document that the key's principal may read. Takes a curator's key; it holds for the next query.

    It stands above what the document's source says, also at later ingestions, until it is changed again.
    """
    allow, deny = (None, ()) if body.acl is None else (body.acl.allow, body.acl.deny)
    try:
        changed = mill.change_acl(document_id, collection=collection, principal=curator, allow=allow, deny=deny)
    except CollectionNotFound:
        changed = False
    return Response(status_code=204) if changed else not_found()


@router.delete("/{document_id:path}", status_code=204, summary="Delete a document", responses=declared(403, 404))
def delete_document(document_id: str, mill: Mill, editor: Editor, worker: WorkerOf, collection: Collection) -> Response:
    """Delete a document that the key's principal may read. Takes an editor's key; it is gone from the next query on."""
    try:
        deleted = mill.delete_document(document_id, collection=collection, principal=editor, wait=False)
    except CollectionNotFound:
        deleted = False
    if deleted:
        worker.wake()  # which takes it off the disk
    return Response(status_code=204) if deleted else not_found()


def _encode(document_id: str) -> str:
    return base64.urlsafe_b64encode(document_id.encode()).decode()


def _decode(cursor: str) -> str:
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise ConfigError("cursor: use the `next` of the page before, unchanged") from error
