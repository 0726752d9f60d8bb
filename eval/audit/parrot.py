"""The worst model there is: it says whatever it was shown. What it may be shown is thereby judged like everything else that comes out.

It is an OpenAI-compatible server of this process, so that everything between the mill and a model is the real thing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from eval.audit.answer_doors import question_about
from eval.audit.trial import Door, Trial

PARROT = {"openai_model": "parrot", "openai_api_key": ""}
"""Settings of a mill that asks the parrot, beside `openai_base_url`."""


@contextmanager
def parrot() -> Iterator[str]:
    """Run the server while the block lasts; yields the URL for `openai_base_url`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Parrot)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, name="parrot", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Parrot(BaseHTTPRequestHandler):
    """Streams the prompt back, some words at a time; a word is never torn, for half a canary would not be known."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = "\n".join(message["content"] for message in body["messages"])
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for piece in re.findall(r"(?:\S+\s*){1,12}", said):
            self._chunk([{"index": 0, "delta": {"role": "assistant", "content": piece}, "finish_reason": None}])
        self._chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}])
        self.wfile.write(b"data: [DONE]\n\n")

    def _chunk(self, choices: list[dict[str, object]]) -> None:
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "parrot", "choices": choices}
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing on stderr."""


def ask_model(trial: Trial) -> None:
    """A model is shown what may be read: nothing that was searched for it, or said before, is forbidden by now."""
    document, question = question_about(trial)
    history = [
        {"role": "user", "content": "What is new?"},
        {"role": "assistant", "content": trial.any_document().paragraphs[0]},
    ]
    revokes_at = trial.rng.choice([None, 0, 2, 5])
    events = trial.mill.ask_stream(
        question, collection=trial.collection, principal=trial.named, generator="openai", history=history
    )
    shown = heard = 0
    for number, event in enumerate(events):
        trial.hear(event, said=question)
        shown, heard = shown + event.data.get("count", 0), heard + (event.kind == "token")
        if number == revokes_at:
            trial.history.take_away(document, trial.person, trial.rng)
    if revokes_at is None:
        trial.expect("the model spoke", heard > 0, shown > 0)


MODEL_DOORS: dict[str, tuple[Door, float]] = {"ask a model": (ask_model, 1)}
"""Doors of a mill that asks the parrot."""
