from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.errors import ConfigError, GeneratorError
from indexes.settings import load_settings
from rag.generate import Usage, draft, make_generator
from rag.openai import OpenAIGenerator, retry_after
from rag.prompts import Prompt

PROMPT = Prompt(({"role": "user", "content": "Count from one to fifty in words."},))
Step = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers each request with the next step of the server's script."""

    protocol_version = "HTTP/1.0"

    def do_POST(self) -> None:
        script = self.server
        assert isinstance(script, Scripted)
        script.requests.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        script.steps.pop(0)(self)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def begin(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()

    def event(self, data: str) -> None:
        self.wfile.write(f"data: {data}\n\n".encode())
        self.wfile.flush()

    def token(self, text: str | None, finish: str | None = None, **more: Any) -> None:
        choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
        self.event(
            json.dumps(
                {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}
            )
        )


class Scripted(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.steps: list[Step] = []
        self.requests: list[dict[str, Any]] = []
        self.released = threading.Event()

    def generator(self, *steps: Step, timeout_s: float = 5.0, retries: int = 2) -> OpenAIGenerator:
        self.steps += steps
        base_url = f"http://127.0.0.1:{self.server_port}/v1"
        return OpenAIGenerator(base_url=base_url, model="m", timeout_s=timeout_s, retries=retries)


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as scripted:
        threading.Thread(target=scripted.serve_forever, args=(0.01,), daemon=True).start()
        yield scripted
        scripted.released.set()
        scripted.shutdown()


def status(code: int, said: str = "no", **headers: str) -> Step:
    def step(handler: Handler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(json.dumps({"error": {"message": said}}).encode())

    return step


def fine(handler: Handler) -> None:
    handler.begin()
    handler.token("Hello ")
    handler.token("world.", finish="stop", usage={"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9})
    handler.event("[DONE]")


def without_usage(handler: Handler) -> None:
    handler.begin()
    handler.token("Hi.", finish="stop")
    handler.event("[DONE]")


def stalls(handler: Handler) -> None:
    handler.begin()
    handler.token("Hello ")
    handler.server.released.wait(30)  # type: ignore[attr-defined]


def only_pings(handler: Handler) -> None:
    handler.begin()
    handler.token("Hello ")
    while not handler.server.released.wait(0.05):  # type: ignore[attr-defined]
        try:
            handler.wfile.write(b": ping\n\n")
            handler.wfile.flush()
        except OSError:
            handler.server.released.set()  # type: ignore[attr-defined]


def silent(handler: Handler) -> None:
    handler.server.released.wait(30)  # type: ignore[attr-defined]


def garbage(handler: Handler) -> None:
    handler.begin()
    handler.token("Hello ")
    handler.event("{not json")


def cut_short(handler: Handler) -> None:
    handler.begin()
    handler.token("Hello ")


def error_event(handler: Handler) -> None:
    handler.begin()
    handler.token("Hello ")
    handler.event(json.dumps({"error": {"message": "out of memory"}}))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "LOREMILL_OPENAI_BASE_URL"),
        ({"openai_base_url": "localhost:8000", "openai_model": "m"}, "LOREMILL_OPENAI_BASE_URL"),
        ({"openai_base_url": "http://localhost:8000/v1"}, "LOREMILL_OPENAI_MODEL"),
        ({"openai_base_url": "https://models.example/v1", "openai_model": "m"}, "LOREMILL_OPENAI_API_KEY"),
    ],
)
def test_the_setting_that_is_missing_or_wrong_is_named(settings: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        make_generator("openai", load_settings(**settings))


def test_an_unknown_generator_is_refused_with_the_ones_that_exist() -> None:
    with pytest.raises(ConfigError, match="extractive, openai or gguf"):
        make_generator("oracle", load_settings())


def test_tokens_stream_in_order_and_usage_comes_last(server: Scripted) -> None:
    assert list(server.generator(fine).stream(PROMPT, max_tokens=9)) == ["Hello ", "world.", Usage(7, 2)]
    assert server.requests[0]["messages"] == list(PROMPT.messages)
    assert server.requests[0]["max_tokens"] == 9


def test_usage_counts_as_zero_where_the_server_does_not_say(server: Scripted) -> None:
    assert draft(server.generator(without_usage), PROMPT, max_tokens=9).usage == Usage(0, 0)


def test_a_server_error_before_the_first_token_is_tried_again(server: Scripted) -> None:
    assert draft(server.generator(status(500), fine), PROMPT, max_tokens=9).text == "Hello world."
    assert len(server.requests) == 2


def test_retries_end_and_say_what_the_server_said(server: Scripted) -> None:
    with pytest.raises(GeneratorError, match="overloaded"):
        draft(server.generator(status(503, "overloaded"), status(503, "overloaded"), retries=1), PROMPT, max_tokens=9)
    assert len(server.requests) == 2


def test_a_shortretry_after_is_waited_for(server: Scripted) -> None:
    began = time.monotonic()
    assert draft(server.generator(status(429, retry_after="0.3"), fine), PROMPT, max_tokens=9).text == "Hello world."
    assert time.monotonic() - began >= 0.3


def test_aretry_after_beyond_the_timeout_is_handed_on_at_once(server: Scripted) -> None:
    began = time.monotonic()
    with pytest.raises(GeneratorError) as caught:
        draft(server.generator(status(429, retry_after="120")), PROMPT, max_tokens=9)
    assert caught.value.retry_after_s == 120
    assert time.monotonic() - began < 3
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("code", "hint"), [(401, "LOREMILL_OPENAI_API_KEY"), (404, "LOREMILL_OPENAI_MODEL"), (400, "too long")]
)
def test_a_refusal_is_not_tried_again_and_says_what_to_check(server: Scripted, code: int, hint: str) -> None:
    with pytest.raises(GeneratorError, match=hint):
        draft(server.generator(status(code, "too long")), PROMPT, max_tokens=9)
    assert len(server.requests) == 1


def test_a_parameter_that_the_server_refuses_by_name_is_left_out(server: Scripted) -> None:
    refusals = (status(400, "unknown field stream_options"), status(400, "use max_completion_tokens instead"))
    assert draft(server.generator(*refusals, fine), PROMPT, max_tokens=9).text == "Hello world."
    assert "stream_options" not in server.requests[2]
    assert server.requests[2]["max_completion_tokens"] == 9


@pytest.mark.parametrize("step", [stalls, only_pings, silent])
def test_a_server_that_falls_silent_ends_in_an_error_within_the_timeout(server: Scripted, step: Step) -> None:
    began = time.monotonic()
    with pytest.raises(GeneratorError, match=r"0\.5 s"):
        draft(server.generator(step, timeout_s=0.5), PROMPT, max_tokens=9)
    assert time.monotonic() - began < 2.5


@pytest.mark.parametrize("step", [garbage, cut_short, error_event])
def test_a_stream_that_breaks_off_is_an_error_after_its_first_tokens_and_not_tried_again(
    server: Scripted, step: Step
) -> None:
    stream = server.generator(step).stream(PROMPT, max_tokens=9)
    assert next(stream) == "Hello "
    with pytest.raises(GeneratorError, match="the server at"):
        list(stream)
    assert len(server.requests) == 1


def test_a_server_that_is_not_there_is_a_clear_error() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as gone:
        port = gone.server_port
    generator = OpenAIGenerator(base_url=f"http://127.0.0.1:{port}/v1", model="m", retries=0, timeout_s=5)
    with pytest.raises(GeneratorError, match=f"cannot connect to http://127.0.0.1:{port}"):
        draft(generator, PROMPT, max_tokens=9)


def test_an_abandoned_stream_closes_its_connection(server: Scripted) -> None:
    stream = server.generator(only_pings, timeout_s=20).stream(PROMPT, max_tokens=9)
    assert next(stream) == "Hello "
    stream.close()  # type: ignore[attr-defined]
    assert server.released.wait(10), "the server never saw the connection close"


def test_the_key_is_sent_and_never_shown(server: Scripted) -> None:
    server.steps.append(status(401, "bad key"))
    generator = OpenAIGenerator(base_url=f"http://127.0.0.1:{server.server_port}/v1", model="m", api_key="sk-hidden")
    with pytest.raises(GeneratorError) as caught:
        draft(generator, PROMPT, max_tokens=9)
    assert "sk-hidden" not in str(caught.value)


def testretry_after_may_be_a_date() -> None:
    assert 50 < (retry_after(formatdate(time.time() + 60, usegmt=True)) or 0) <= 60


@given(st.text(max_size=20))
def test_anyretry_after_header_is_seconds_or_nothing(header: str) -> None:
    seconds = retry_after(header)
    assert seconds is None or seconds >= 0


@pytest.mark.slow
def test_a_real_local_server_streams_tokens_and_counts_them(local_llm_server: Any) -> None:
    generator = OpenAIGenerator(base_url=local_llm_server.base_url, model=local_llm_server.model)
    *pieces, usage = generator.stream(PROMPT, max_tokens=12)
    assert len(pieces) > 3
    assert isinstance(usage, Usage)
    assert usage.completion_tokens == 12
    assert usage.prompt_tokens > 5


@pytest.mark.slow
def test_a_real_server_killed_mid_stream_is_an_error_at_once(
    serve_llm: Callable[[], AbstractContextManager[Any]],
) -> None:
    with serve_llm() as server:
        stream = OpenAIGenerator(base_url=server.base_url, model=server.model, timeout_s=30).stream(
            PROMPT, max_tokens=2000
        )
        assert next(stream)
        server.process.kill()
        began = time.monotonic()
        with pytest.raises(GeneratorError):
            list(stream)
        assert time.monotonic() - began < 5
