"""POST /v1/search and POST /v1/ask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from service import sse
from service.auth import Asker, MetricsOf, Mill, SeesEverything, who_curates
from service.problems import declared
from service.schemas import AskRequest, AskResponse, SearchRequest, SearchResponse

if TYPE_CHECKING:
    from rag.answer import AnswerEvent

router = APIRouter(prefix="/v1", tags=["ask"])


@router.post("/search", summary="Find passages", responses=declared(404), response_model=SearchResponse)
def search(
    body: SearchRequest,
    mill: Mill,
    asker: Asker,
    metrics: MetricsOf,
    sees_everything: SeesEverything,
    request: Request,
) -> Response:
    """Return the passages that the key's principal may read and that match best, best first."""
    result = mill.search_result(
        body.query,
        collection=body.collection,
        principal=asker,
        top_k=body.top_k,
        mode=body.mode,
        where=body.where,
        release=_tried(body.release, request),
    )
    metrics.searched(len(result.hits))
    return JSONResponse(result.to_json(whole_plan=sees_everything))


@router.post(
    "/ask",
    summary="Answer a question with citations",
    response_model=AskResponse,
    responses={
        **declared(404, 501, 502),
        200: {
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
            "description": 'The answer; with `"stream": true` the events passages, token, sentence, answer (the whole '
            "answer, last) and error. Tokens are a model's draft; only sentences and the answer are verified.",
        },
    },
)
def ask(body: AskRequest, mill: Mill, asker: Asker, metrics: MetricsOf, request: Request) -> Response:
    """Answer from what the key's principal may read, each sentence with its citations, or abstain."""
    release = _tried(body.release, request)
    history = [turn.model_dump() for turn in body.history]
    if not body.stream:
        answer = mill.ask(
            body.question,
            collection=body.collection,
            principal=asker,
            generator=body.generator,
            history=history,
            release=release,
        )
        data = answer.to_json()
        metrics.answered(data)
        return JSONResponse(data)

    def written(event: AnswerEvent) -> Iterator[str]:
        if event.kind == "answer":
            metrics.answered(event.data)
        yield sse.event(event.data, event.kind)

    events = mill.ask_stream(
        body.question,
        collection=body.collection,
        principal=asker,
        generator=body.generator,
        history=history,
        release=release,
    )
    return sse.stream(events, written, error=lambda fault: sse.event(fault, "error"))


def _tried(release: str | None, request: Request) -> str | None:
    """Return the release that is to be asked in place of the live one. Raises AccessDenied without the role curator."""
    if release is not None:
        who_curates(request)
    return release
