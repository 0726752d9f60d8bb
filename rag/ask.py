"""The spine of answering: retrieve -> pack -> generate -> verify. Whatever generator wrote it, a sentence leaves only with spans that support it.

And only while all that was shown for it may still be read: rights may change while an answer is written, and an answer may be kept.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from indexes.embedder import Embedder
from indexes.errors import ConfigError
from indexes.settings import Settings
from indexes.vocabulary import Principal
from rag.answer import Answer, AnswerEvent
from rag.attempt import Asked, Lost, attempt
from rag.generate import make_generator
from rag.guard import Guard
from rag.question import parts, standalone
from rag.reply import Reply
from rag.retrieve import Retriever

GENERATORS = ("extractive", "openai", "gguf")
CHANGED = "What you may read changed while this answer was written; it was made anew from what you may read now."
"""Notice of an answer some of whose passages were lost before it was complete."""
_TRIES = 4

log = logging.getLogger("loremill.ask")


def ask(
    question: str,
    *,
    retriever: Retriever,
    embedder: Embedder,
    settings: Settings,
    collection: str,
    principal: Principal,
    generator: str | None = None,
    history: Sequence[Mapping[str, str]] = (),
) -> Answer:
    """Return the answer that `ask_events` ends with. Arguments and errors as there."""
    answer: Answer | None = None
    for event in _events(
        question, retriever=retriever, embedder=embedder, settings=settings, collection=collection,
        principal=principal, generator=generator, history=history,
    ):  # fmt: skip
        if isinstance(event, Answer):
            answer = event
    assert answer is not None
    return answer


def ask_events(
    question: str,
    *,
    retriever: Retriever,
    embedder: Embedder,
    settings: Settings,
    collection: str,
    principal: Principal,
    generator: str | None = None,
    history: Sequence[Mapping[str, str]] = (),
) -> Iterator[AnswerEvent]:
    """Yield the making of an answer: `passages`, `token`s of a model, each verified `sentence`, and `answer` last.

    Where a passage is lost meanwhile, the answer is made anew, by extraction, and `notice` says so: sentences that were sent stay
    sent, but `answer` has only what may still be read.

    Args:
        history: earlier turns, oldest first. A question that leans on them ("and for interns?") is searched with the user's turn before.
            A model sees of the assistant's turns what `rag.history` lets through.
        generator: default the settings'.
    Raises:
        ConfigError: unknown or unconfigured generator, or an empty question.
        CollectionNotFound, AccessDenied, TooLarge: as `Retriever.search`; the first two also midway, and nothing follows.
    """
    for event in _events(
        question, retriever=retriever, embedder=embedder, settings=settings, collection=collection,
        principal=principal, generator=generator, history=history,
    ):  # fmt: skip
        yield AnswerEvent("answer", event.to_json()) if isinstance(event, Answer) else event


def _events(
    question: str,
    *,
    retriever: Retriever,
    embedder: Embedder,
    settings: Settings,
    collection: str,
    principal: Principal,
    generator: str | None,
    history: Sequence[Mapping[str, str]],
) -> Iterator[AnswerEvent | Answer]:
    started = time.perf_counter()
    name = generator or settings.generator
    if name not in GENERATORS:
        raise ConfigError(f"unknown generator {name!r}: use {', '.join(GENERATORS)}")
    model = None if name == "extractive" else make_generator(name, settings)
    asked = Asked(
        question=question,
        parts=tuple(dict.fromkeys(parts(standalone(question, history)))),
        retriever=retriever,
        embedder=embedder,
        max_tokens=settings.max_answer_tokens,
        collection=collection,
        principal=principal,
        generator=name,
        history=history,
        today=date.today(),
    )
    for part in asked.parts:
        retriever.check(part)
    guard = Guard(retriever, collection, principal)
    sent: set[str] = set()
    for tries in range(_TRIES):
        reply = Reply()
        try:
            for event in attempt(asked, None if tries else model, guard, reply):
                what = reply.sentences[-1].text if event.kind == "sentence" else event.kind
                if not tries or what not in sent:
                    yield event
                sent.add(what)
            break
        except Lost:
            log.info("a passage was lost while an answer was written")
    else:
        reply = Reply(release=guard.scope.release)  # nothing held still for long enough
    if tries:
        reply.note(CHANGED)
    yield reply.answer(question, total_s=time.perf_counter() - started)
