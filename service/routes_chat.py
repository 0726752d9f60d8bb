"""POST /v1/chat/completions and GET /v1/models as OpenAI's clients call them. The model is a collection."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from indexes.errors import ConfigError
from service import sse
from service.auth import Asker, MetricsOf, Mill
from service.problems import declared
from service.schemas import ChatMessage, ChatRequest

if TYPE_CHECKING:
    from rag.answer import AnswerEvent

router = APIRouter(prefix="/v1", tags=["openai"])


@router.get("/models", summary="List collections as models")
def models(mill: Mill, asker: Asker) -> Response:
    """Return the collections in which the key's principal may read something."""
    names = mill.collections(principal=asker)
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "loremill"} for name in names]
    return JSONResponse({"object": "list", "data": data})


@router.post(
    "/chat/completions",
    summary="Answer a conversation's last question",
    responses={**declared(400, 404, 501, 502), 200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
def chat(body: ChatRequest, mill: Mill, asker: Asker, metrics: MetricsOf) -> Response:
    """Answer the last user message; earlier user and assistant messages are history, others have no say.

    Only verified sentences are sent, also when streaming. `citations`, `abstained` and `release` come beside OpenAI's
    fields: in the response, or in the last chunk.
    """
    question, history = _question(body.messages)
    completion = _Completion(body.model)
    if not body.stream:
        answer = mill.ask(question, collection=body.model, principal=asker, history=history).to_json()
        metrics.answered(answer)
        return JSONResponse(completion.whole(answer))

    usage = body.stream_options is not None and body.stream_options.include_usage

    def written(event: AnswerEvent) -> Iterator[str]:
        if event.kind == "sentence":
            yield from completion.sentence(event.data)
        elif event.kind == "answer":
            metrics.answered(event.data)
            yield from completion.last(event.data, usage=usage)

    events = mill.ask_stream(question, collection=body.model, principal=asker, history=history)
    return sse.stream(events, written, error=lambda fault: sse.event({"error": {**fault, "message": fault["detail"]}}))


def _question(messages: list[ChatMessage]) -> tuple[str, list[dict[str, str]]]:
    """Return the last user message and the turns before it.

    Raises:
        ConfigError: there is no user message with text.
    """
    turns = [(message.role, _text(message)) for message in messages]
    asked = [place for place, (role, text) in enumerate(turns) if role == "user" and text.strip()]
    if not asked:
        raise ConfigError("messages must have a user message with text: it is the question")
    before = turns[: asked[-1]]
    history = [
        {"role": role, "content": text} for role, text in before if role in {"user", "assistant"} and text.strip()
    ]
    return turns[asked[-1]][1], history


def _text(message: ChatMessage) -> str:
    if isinstance(message.content, list):
        return "\n".join(part.text for part in message.content if part.type == "text")
    return message.content or ""


class _Completion:
    """One completion: its id, and how its pieces are written."""

    def __init__(self, model: str) -> None:
        self._head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": model}
        self._sent = ""

    def whole(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        message = {"role": "assistant", "content": answer["answer"], "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [choice],
            "usage": _usage(answer),
            **_grounds(answer),
        }

    def sentence(self, sentence: Mapping[str, Any]) -> Iterator[str]:
        yield self._delta((" " if self._sent else "") + sentence["text"])

    def last(self, answer: Mapping[str, Any], *, usage: bool) -> Iterator[str]:
        if not self._sent:
            yield self._delta(answer["answer"])
        yield self._chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}], **_grounds(answer))
        if usage:
            yield self._chunk([], usage=_usage(answer))
        yield sse.event("[DONE]")

    def _delta(self, text: str) -> str:
        delta = {"content": text} if self._sent else {"role": "assistant", "content": text}
        self._sent += text
        return self._chunk([{"index": 0, "delta": delta, "finish_reason": None}])

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> str:
        return sse.event({**self._head, "object": "chat.completion.chunk", "choices": choices, **more})


def _usage(answer: Mapping[str, Any]) -> dict[str, int]:
    prompt, completion = answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _grounds(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {name: answer[name] for name in ("citations", "abstained", "release")}
