"""The real server process, over a real socket."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.server import listen

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def url(place: Any) -> Iterator[str]:
    command = [sys.executable, "-m", "service.cli", "serve", "--port", "0", "--home", str(place.home), "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())["url"]
        server.terminate()
        assert server.wait(timeout=30) in {0, -15}


@pytest.mark.slow
def test_an_answer_streams_as_server_sent_events(url: str, place: Any) -> None:
    headers = {"Authorization": f"Bearer {place.keys['bob']}"}
    body = {"question": "How long is parental leave?", "collection": "company", "stream": True}
    with httpx.stream("POST", f"{url}/v1/ask", json=body, headers=headers, timeout=60) as response:
        assert response.status_code == 200
        lines = list(response.iter_lines())
    kinds = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert kinds[-1] == "answer"
    last = json.loads([line for line in lines if line.startswith("data: ")][-1].removeprefix("data: "))
    assert "20 weeks" in last["answer"]


@pytest.mark.slow
def test_a_client_that_leaves_at_once_does_no_harm(url: str, place: Any) -> None:
    headers = {"Authorization": f"Bearer {place.keys['bob']}"}
    body = {"question": "How long is parental leave?", "collection": "company", "stream": True}
    for _ in range(3):
        with httpx.stream("POST", f"{url}/v1/ask", json=body, headers=headers, timeout=60) as response:
            next(response.iter_lines())
    assert httpx.get(f"{url}/readyz", timeout=10).text == "ok"
    assert httpx.post(f"{url}/v1/search", json={"query": "leave", "collection": "company"}).status_code == 401


@pytest.mark.slow
def test_a_port_in_use_is_a_usage_error(url: str, place: Any) -> None:
    port = url.rsplit(":", 1)[1]
    command = [sys.executable, "-m", "service.cli", "serve", "--port", port, "--home", str(place.home), "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 64
    assert "cannot listen" in json.loads(ran.stdout)["error"]["detail"]


@pytest.mark.slow
def test_openais_own_client_lists_models_and_chats(url: str, place: Any) -> None:
    openai = pytest.importorskip("openai", reason="the extra `llm` is not installed")
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=place.keys["bob"], max_retries=0)
    assert [model.id for model in client.models.list()] == ["company"]
    messages = [{"role": "user", "content": "How long is parental leave?"}]
    whole = client.chat.completions.create(model="company", messages=messages)
    chunks = list(client.chat.completions.create(model="company", messages=messages, stream=True))
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert streamed.split() == whole.choices[0].message.content.split()
    assert "20 weeks" in streamed
    assert whole.citations[0]["marker"] == 1
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{url}/v1", api_key="lm_0_wrong", max_retries=0).models.list()
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="nowhere", messages=messages)


def test_answers_do_not_wait_for_the_clients_acknowledgement() -> None:
    async def no_delay() -> int:
        options: list[int] = []
        done = asyncio.Event()

        async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted = writer.get_extra_info("socket")
            options.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()
            done.set()

        with listen("127.0.0.1", 0) as listener:
            server = await asyncio.start_server(answer, sock=listener)
            _, client = await asyncio.open_connection(*listener.getsockname())
            await done.wait()
            client.close()
            server.close()
        return options[0]

    assert asyncio.run(no_delay())
