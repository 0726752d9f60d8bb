"""A judge to be scripted: an OpenAI-compatible server in the test's process, competent unless it is told to misbehave."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from eval.judge import JudgeOptions
from ingest.sentences import sentence_spans
from rag.words import STOP_WORDS, words

Fault = Callable[["Exchange"], bool]
_FENCED = re.compile(r"<<<MATERIAL (\w+)>>>\n(.*)\n<<<END \1>>>", re.DOTALL)


class Exchange:
    """One request: what it shows, and the ways to answer it."""

    def __init__(self, handler: BaseHTTPRequestHandler, body: dict[str, Any], number: int) -> None:
        self.handler, self.body, self.number = handler, body, number
        self.text = "\n".join(message["content"] for message in body["messages"])
        self._ended = False

    def ends(self) -> None:
        """No longer under way; said before the answer goes out, since its reader may ask again at once."""
        server = self.handler.server
        assert isinstance(server, JudgeServer)
        with server.lock:
            server.under_way -= not self._ended
            self._ended = True

    @property
    def material(self) -> dict[str, Any]:
        """The input, from our fence or from the end of ragas's own prompt."""
        fenced = _FENCED.search(self.text)
        if fenced:
            return dict(json.loads(fenced[2]))
        return dict(json.JSONDecoder().raw_decode(self.text[self.text.rindex("\ninput: ") + len("\ninput: ") :])[0])

    def says(self, content: str, finish: str = "stop") -> bool:
        message = {"role": "assistant", "content": content}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        return self.sends(
            200, {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        )

    def sends(self, status: int, body: dict[str, Any] | bytes, **headers: str) -> bool:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.ends()
        self.handler.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.send_header("content-length", str(len(data)))
        self.handler.end_headers()
        self.handler.wfile.write(data)
        return True


class JudgeServer(ThreadingHTTPServer):
    """Answers each request by `fault` if that says so, else with the right verdict."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fault: Fault = lambda exchange: False
        self.requests: list[dict[str, Any]] = []
        self.released = threading.Event()
        self.under_way = self.most_under_way = 0
        self.lock = threading.Lock()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def options(self, **changes: Any) -> JudgeOptions:
        settings: dict[str, Any] = {"timeout_s": 10.0, "retries": 2, "backoff_s": 0.01, **changes}
        return JudgeOptions(self.base_url, "scripted", **settings)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, JudgeServer)
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with server.lock:
            server.requests.append(body)
            server.under_way += 1
            server.most_under_way = max(server.most_under_way, server.under_way)
            exchange = Exchange(self, body, len(server.requests))
        try:
            if not server.fault(exchange):
                exchange.says(json.dumps(right_output(exchange.text, exchange.material)))
        except OSError:
            pass  # the client has left
        finally:
            exchange.ends()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def judge_server() -> Iterator[JudgeServer]:
    with JudgeServer() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.released.set()
        server.shutdown()


def right_output(task: str, material: dict[str, Any]) -> dict[str, Any]:
    """What a competent judge returns: statements are sentences, and one is supported where the context has all its content words."""
    if "atomicity" in material:
        return {"claims": _sentences(material["response"])}
    if "statements" in material:
        return {"statements": [_verdict(statement, material["context"]) for statement in material["statements"]]}
    if '"classifications"' in task:
        judged = [_verdict(statement, material["context"]) for statement in _sentences(material["answer"])]
        return {"classifications": [{**one, "attributed": one.pop("verdict")} for one in judged]}
    if '"noncommittal"' in task:
        response = material["response"]
        return {"question": f"What about {response}", "noncommittal": int("don't know" in response)}
    if '"rating"' in task:
        full = 4 if "user_answer" in material else 2
        text = material.get("user_answer") or material.get("response") or material["user_input"]
        return {"rating": full * _supported(text, material.get("context") or material["reference_answer"])}
    if "context" in material:
        return {"reason": "r", "verdict": _supported(material["answer"], material["context"])}
    return {"statements": _sentences(material["answer"])}


def _verdict(statement: str, context: str) -> dict[str, Any]:
    return {"statement": statement, "reason": "r", "verdict": _supported(statement, context)}


def _supported(statement: str, context: str) -> int:
    return int(set(words(statement)) - STOP_WORDS <= set(words(context)))


def _sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]
