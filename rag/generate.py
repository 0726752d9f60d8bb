"""The generator protocol, its factory, and the one way in which tokens become an iterator that cannot hang."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from indexes.errors import ConfigError, GeneratorError
from indexes.settings import Settings
from rag.prompts import Prompt


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the backend counted them; 0 where it does not say."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Draft:
    """What a generator wrote, before any sentence of it is verified."""

    text: str
    usage: Usage
    model: str


class Generator(Protocol):
    """A language model behind one call. `name` is the backend's, `model` the model's."""

    name: str
    model: str

    def stream(self, prompt: Prompt, *, max_tokens: int) -> Iterator[str | Usage]:
        """Yield the text in pieces, then one Usage.

        Raises:
            GeneratorError: the backend cannot be reached, refuses, breaks off, or sends nothing for
            `generator_timeout_s`.
        """


def make_generator(name: str, settings: Settings) -> Generator:
    """Return the backend called `name`; ConfigError names the setting that is missing or the names that exist."""
    if name == "openai":
        from rag.openai import OpenAIGenerator

        return OpenAIGenerator.from_settings(settings)
    if name == "gguf":
        from rag.gguf import GgufGenerator

        return GgufGenerator.from_settings(settings)
    raise ConfigError(f"unknown generator {name!r}: use extractive, openai or gguf (LOREMILL_GENERATOR)")


def draft(generator: Generator, prompt: Prompt, *, max_tokens: int) -> Draft:
    """Return the whole answer at once; errors as in `Generator.stream`."""
    text, usage = [], Usage()
    for piece in generator.stream(prompt, max_tokens=max_tokens):
        if isinstance(piece, Usage):
            usage = piece
        else:
            text.append(piece)
    return Draft("".join(text), usage, generator.model)


Emit = Callable[["str | Usage"], bool]  # hands one piece over; True says that nobody listens any more
_DONE: Final = object()


def pump(
    produce: Callable[[Emit], None], *, timeout_s: float, what: str, abandon: Callable[[], None] = lambda: None
) -> Iterator[str | Usage]:
    """Run `produce` in a thread and yield what it emits, waiting at most `timeout_s` for each piece.

    A thread, because neither a socket's read timeout (keep-alive comments reset it) nor a native callback bounds that
    wait.

    Args:
        produce: calls its argument with every piece, and stops when that returns True.
        what: names the backend in the error.
        abandon: frees what `produce` may be blocked on; called once the iterator ends, for whatever reason.
    Raises:
        GeneratorError: nothing came within `timeout_s`; and whatever `produce` raised.
    """
    inbox: queue.SimpleQueue[object] = queue.SimpleQueue()
    gone = threading.Event()

    def emit(piece: str | Usage) -> bool:
        inbox.put(piece)
        return gone.is_set()

    def work() -> None:
        try:
            produce(emit)
            inbox.put(_DONE)
        except BaseException as error:  # raised again where the iterator is consumed
            inbox.put(error)

    threading.Thread(target=contextvars.copy_context().run, args=(work,), name=f"loremill {what}", daemon=True).start()
    try:
        while True:
            try:
                piece = inbox.get(timeout=timeout_s)
            except queue.Empty:
                raise GeneratorError(
                    f"{what} sent nothing for {timeout_s:g} s; "
                    "check that it runs, or set LOREMILL_GENERATOR_TIMEOUT_S higher"
                ) from None
            if piece is _DONE:
                return
            if isinstance(piece, BaseException):
                raise piece
            assert isinstance(piece, str | Usage)
            yield piece
    finally:
        gone.set()
        abandon()
