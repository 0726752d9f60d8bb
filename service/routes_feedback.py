"""/v1/feedback: rate an answer one got; read and take back ratings. An administrator sees those of its tenant, anyone else their own."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import JSONResponse, Response

from service.auth import Asker, Mill, SeesEverything
from service.problems import declared, problem
from service.schemas import FeedbackPage, FeedbackRequest, RatingResponse

router = APIRouter(prefix="/v1/feedback", tags=["feedback"])


@router.post("", status_code=201, summary="Rate an answer", responses=declared(404), response_model=RatingResponse)
def rate(body: FeedbackRequest, mill: Mill, asker: Asker) -> Response:
    """Keep what the key's principal thought of an answer it got. A chunk or document that it may not read is as one that is not there."""
    told = {"question": body.question, "answer": body.answer, "release": body.release}
    made = mill.feedback(
        told | {"citations": [one if isinstance(one, str) else one.chunk_id for one in body.citations]},
        collection=body.collection,
        principal=asker,
        rating=body.rating,
        comment=body.comment,
        correction=body.correction,
        correct_document_ids=body.correct_document_ids,
        answerable=body.answerable,
    )
    return JSONResponse(made.to_json(), 201)


@router.get("", summary="List ratings", response_model=FeedbackPage)
def list_ratings(
    mill: Mill,
    asker: Asker,
    sees_everything: SeesEverything,
    collection: Annotated[str | None, Query(min_length=1, max_length=128)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=64, description="`next` of the page before.")] = None,
) -> Response:
    """List ratings, the oldest first: to an administrator its tenant's, to anyone else their own.

    `answer` is null where it cites what one may not read now.
    """
    found = mill.ratings(
        principal=asker, collection=collection, everyone=sees_everything, limit=limit + 1, after=cursor
    )
    page = found[:limit]
    following = page[-1].id if len(found) > limit else None
    return JSONResponse({"ratings": [one.to_json() for one in page], "next": following})


@router.delete("/{rating_id}", status_code=204, summary="Delete a rating", responses=declared(404))
def delete(rating_id: str, mill: Mill, asker: Asker, sees_everything: SeesEverything) -> Response:
    """Delete one's own rating, as an administrator anyone's of its tenant."""
    if not mill.delete_rating(rating_id, principal=asker, everyone=sees_everything):
        return problem(404, detail="no such rating")
    return Response(status_code=204)
