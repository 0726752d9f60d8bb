"""OpenAI's two routes, read as its clients read them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

Headers = Callable[[str], dict[str, str]]
QUESTION = {"role": "user", "content": "How long is parental leave?"}


def chat(client: TestClient, headers: dict[str, str], *messages: dict[str, Any], **more: Any) -> Any:
    return client.post(
        "/v1/chat/completions", json={"model": "company", "messages": list(messages), **more}, headers=headers
    )


def test_models_are_the_collections_in_which_one_may_read(client: TestClient, as_: Headers) -> None:
    for who, expected in (("alice", ["company"]), ("mia", ["plans"])):
        body = client.get("/v1/models", headers=as_(who)).json()
        assert [model["id"] for model in body["data"]] == expected


def test_a_completion_is_the_cited_answer(client: TestClient, as_: Headers) -> None:
    body = chat(client, as_("bob"), QUESTION, temperature=0.2, user="alice").json()
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["finish_reason"] == "stop"
    assert "20 weeks" in body["choices"][0]["message"]["content"]
    assert "20 weeks" in body["citations"][0]["quote"]
    assert body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]


def test_streamed_chunks_add_up_to_the_answer(client: TestClient, as_: Headers) -> None:
    whole = chat(client, as_("bob"), QUESTION).json()
    options = {"stream": True, "stream_options": {"include_usage": True}}
    lines = [line for line in chat(client, as_("bob"), QUESTION, **options).text.splitlines() if line]
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"])
    assert text.split() == whole["choices"][0]["message"]["content"].split()
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert [chunk["citations"] for chunk in chunks if "citations" in chunk] == [whole["citations"]]
    assert chunks[-1]["usage"] == whole["usage"]
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_the_last_user_message_is_the_question(client: TestClient, as_: Headers) -> None:
    earlier = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who are you?"})
    parts = {"role": "user", "content": [{"type": "text", "text": QUESTION["content"]}]}
    body = chat(client, as_("bob"), *earlier, {"role": "assistant", "content": "A mill."}, parts).json()
    assert "20 weeks" in body["choices"][0]["message"]["content"]


def test_an_abstention_streams_its_text_too(client: TestClient, as_: Headers) -> None:
    forbidden = {"role": "user", "content": "How large is the marketing budget for 2026?"}
    whole = chat(client, as_("bob"), forbidden).json()
    assert whole["abstained"]
    streamed = chat(client, as_("bob"), forbidden, stream=True).text
    assert json.dumps(whole["choices"][0]["message"]["content"], ensure_ascii=False) in streamed
    assert "340,000" not in streamed


@pytest.mark.parametrize("messages", [[{"role": "system", "content": "x"}], [{"role": "user", "content": " "}]])
def test_messages_without_a_question_are_refused(client: TestClient, as_: Headers, messages: list[Any]) -> None:
    response = chat(client, as_("bob"), *messages)
    assert response.status_code == 400
    assert "user message" in response.json()["detail"]


def test_another_tenants_model_is_unknown(client: TestClient, as_: Headers) -> None:
    body = {"model": "plans", "messages": [QUESTION]}
    assert client.post("/v1/chat/completions", json=body, headers=as_("alice")).status_code == 404
