"""/v1/evaluations: how gates and runs of datasets ended, and holding new ones. For administrators: a report tells of every principal's questions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse, Response

from service.auth import Administrator, EvaluationsOf, Mill
from service.evaluation_request import submit as accept
from service.problems import declared, problem
from service.schemas import EvaluationRequest, EvaluationResponse, EvaluationsPage, ReportedEvaluation

router = APIRouter(prefix="/v1/evaluations", tags=["evaluations"])


@router.post(
    "",
    status_code=202,
    summary="Hold a gate, or run a dataset",
    responses=declared(404),
    response_model=EvaluationResponse,
)
def submit(body: EvaluationRequest, mill: Mill, administrator: Administrator, worker: EvaluationsOf) -> Response:
    """Queue it; one runs at a time. A gate leaves the record that a promotion asks for. Takes an administrator's key."""
    status = accept(mill, body, principal=administrator)
    worker.wake()
    return JSONResponse(status, 202, headers={"Location": f"/v1/evaluations/{status['id']}"})


@router.get("", summary="List evaluations", responses=declared(404), response_model=EvaluationsPage)
def list_evaluations(
    mill: Mill,
    administrator: Administrator,
    collection: Annotated[str | None, Query(min_length=1, max_length=128)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=64, description="`next` of the page before.")] = None,
) -> Response:
    """List gates and runs of the key's own tenant, those of the command line too, the newest first. Takes an administrator's key."""
    found = mill.evaluations(administrator.tenant).list(collection=collection, limit=limit + 1, after=cursor)
    page = found[:limit]
    return JSONResponse({"evaluations": page, "next": page[-1]["id"] if len(found) > limit else None})


@router.get(
    "/{evaluation_id}", summary="Show an evaluation", responses=declared(404), response_model=ReportedEvaluation
)
def show(evaluation_id: str, mill: Mill, administrator: Administrator) -> Response:
    """Tell how it stands and, once it is done, its report.json. Takes an administrator's key."""
    store = mill.evaluations(administrator.tenant)
    status = store.status(evaluation_id)
    if status is None:
        return _not_found()
    mill.evaluation_seen(administrator, "read", evaluation_id)
    return JSONResponse({**status, "report": store.report(evaluation_id)})


@router.delete("/{evaluation_id}", status_code=204, summary="Cancel or delete an evaluation", responses=declared(404))
def delete(evaluation_id: str, mill: Mill, administrator: Administrator, worker: EvaluationsOf) -> Response:
    """Cancel one that has not ended; remove one that has, with its report. Takes an administrator's key."""
    store = mill.evaluations(administrator.tenant)
    if store.cancel(evaluation_id):
        worker.end(administrator.tenant, evaluation_id)
        mill.evaluation_seen(administrator, "cancel", evaluation_id)
    elif store.delete(evaluation_id):
        mill.evaluation_seen(administrator, "delete", evaluation_id)
    else:
        return _not_found()
    return Response(status_code=204)


def _not_found() -> Response:
    return problem(404, detail="no such evaluation")
