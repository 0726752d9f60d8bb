"""Embedding beside the reading: texts go in as documents are cut, vectors come to rest in staging, each text once.

A window of texts is sorted by length, so that batches hold little padding, and encoded in a thread of its own while the
next documents are read and parsed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from indexes.batches import batched
from indexes.embedder import Embedder
from indexes.staging import Staging

Progress = Callable[[str, int, int | None], None]
"""Called with (stage, done, total); total is None where it is not known."""

WINDOW = 4096
"""Texts sorted together: more waste memory, fewer waste padding."""
_FIRST = 512
"""From so many texts on, an encoder that has nothing to do begins."""
_SAVED_AT_ONCE = 1024
"""Texts between two writes to staging: what a crash can cost."""


class Encoder(Protocol):
    """Takes embedding texts by their hashes, the same one as often as it comes."""

    def offer(self, texts: Mapping[str, str]) -> None: ...

    def finish(self) -> int:
        """Wait until every text has its vector; return how many were encoded."""


class BackgroundEncoder:
    """Encodes what neither catalog nor staging has a vector of. A context manager: leaving it ends the thread.

    Raises (from any method): EmbedderError: the embedder failed; what was encoded before is kept.
    """

    def __init__(self, embedder: Embedder, staging: Staging, progress: Progress) -> None:
        self._embedder = embedder
        self._staging = staging
        self._progress = progress
        self._window: dict[str, str] = {}
        self._running: Future[int] | None = None
        self._encoded = 0
        self._offered = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encode")

    def __enter__(self) -> BackgroundEncoder:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    def offer(self, texts: Mapping[str, str]) -> None:
        self._window.update(texts)
        idle = self._running is None or self._running.done()
        if len(self._window) >= (min(_FIRST, WINDOW) if idle else WINDOW):
            self._launch()

    def finish(self) -> int:
        self._launch()
        self._collect()
        return self._encoded

    def _launch(self) -> None:
        self._collect()
        if self._window:
            self._running = self._thread.submit(self._encode, self._window)
            self._window = {}

    def _collect(self) -> None:
        if self._running is not None:
            self._encoded += self._running.result()
            self._running = None

    def _encode(self, texts: Mapping[str, str]) -> int:
        model_id = self._embedder.model_id
        missing = self._staging.missing(model_id, texts)
        done = self._encoded
        for names in batched(longest_first(missing, texts), _SAVED_AT_ONCE):
            self._staging.keep(model_id, names, self._embedder.embed_passages([texts[name] for name in names]))
            done += len(names)
            self._progress("embed", done, None)
        return len(missing)


def longest_first(names: set[str], texts: Mapping[str, str]) -> list[str]:
    """Order by falling length, ties by hash: batches of like length, in the same order in every run."""
    return sorted(names, key=lambda name: (-len(texts[name]), name))
