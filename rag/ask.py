"""The spine of answering: retrieve -> pack -> generate -> verify. Whatever generator wrote it, a sentence leaves only with spans that support it.

And only while all that was shown for it may still be read: rights may change while an answer is written, and an answer may be kept.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from indexes.errors import ConfigError
from indexes.settings import Settings
from indexes.vocabulary import Principal
from rag.answer import Answer, AnswerEvent
from rag.attempt import Asked, Lost, Moved, Writer, attempt
from rag.generate import make_generator
from rag.guard import Guard
from rag.prompts import answer_prompt
from rag.question import parts, standalone
from rag.releases import generator_settings
from rag.reply import Reply
from rag.retrieve import Retriever, Served

GENERATORS = ("extractive", "openai", "gguf")
CHANGED = "What you may read changed while this answer was written; it was made anew from what you may read now."
"""Notice of an answer some of whose passages were lost before it was complete."""
_TRIES = 4

log = logging.getLogger("loremill.ask")


def ask(
    question: str,
    *,
    retriever: Retriever,
    settings: Settings,
    collection: str,
    principal: Principal,
    generator: str | None = None,
    history: Sequence[Mapping[str, str]] = (),
    release: str | None = None,
) -> Answer:
    """Return the answer that `ask_events` ends with. Arguments and errors as there."""
    answer: Answer | None = None
    for event in _events(
        question, retriever=retriever, settings=settings, collection=collection, principal=principal,
        generator=generator, history=history, release=release,
    ):  # fmt: skip
        if isinstance(event, Answer):
            answer = event
    assert answer is not None
    return answer


def ask_events(
    question: str,
    *,
    retriever: Retriever,
    settings: Settings,
    collection: str,
    principal: Principal,
    generator: str | None = None,
    history: Sequence[Mapping[str, str]] = (),
    release: str | None = None,
) -> Iterator[AnswerEvent]:
    """Yield the making of an answer: `passages`, `token`s of a model, each verified `sentence`, and `answer` last.

    Where a passage is lost meanwhile, the answer is made anew, by extraction, and `notice` says so: sentences that were sent stay
    sent, but `answer` has only what may still be read.

    Args:
        history: earlier turns, oldest first. A question that leans on them ("and for interns?") is searched with the user's turn before.
            A model sees of the assistant's turns what `rag.history` lets through.
        generator: default the release's where promotion governs the collection or `release` is given, else the settings'.
        release: of the collection, to be asked in place of the live one.
    Raises:
        ConfigError: unknown or unconfigured generator, an empty question, or a prompt that is not what the release was made of.
        CollectionNotFound, ReleaseNotFound, AccessDenied, TooLarge: as `Retriever.search`; the first two also midway, and nothing follows.
    """
    for event in _events(
        question, retriever=retriever, settings=settings, collection=collection, principal=principal,
        generator=generator, history=history, release=release,
    ):  # fmt: skip
        yield AnswerEvent("answer", event.to_json()) if isinstance(event, Answer) else event


def _events(
    question: str,
    *,
    retriever: Retriever,
    settings: Settings,
    collection: str,
    principal: Principal,
    generator: str | None,
    history: Sequence[Mapping[str, str]],
    release: str | None,
) -> Iterator[AnswerEvent | Answer]:
    started = time.perf_counter()
    _check_generator(generator or settings.generator)
    wanted = tuple(dict.fromkeys(parts(standalone(question, history))))
    for part in wanted:
        retriever.check(part)
    guard = Guard(retriever, collection, principal, release=release)
    writers = _Writers(settings, generator, follows=release is not None)
    sent: set[str] = set()
    lost = False
    for _ in range(_TRIES):
        reply, served = Reply(), retriever.serves(guard.scope)
        asked = Asked(
            question=question,
            parts=wanted,
            retriever=retriever,
            collection=collection,
            principal=principal,
            release=served.release.id,
            passages=served.retrieval.passages,
            embedder=served.embedder,
            writer=None if lost else writers.of(served),
            history=history,
            today=date.today(),
        )
        try:
            for event in attempt(asked, guard, reply):
                what = reply.sentences[-1].text if event.kind == "sentence" else event.kind
                if not lost or what not in sent:
                    yield event
                sent.add(what)
            break
        except Lost:
            lost = True
            log.info("a passage was lost while an answer was written")
        except Moved:
            log.info("other documents went live before an answer was begun")
    else:
        reply, lost = Reply(release=guard.scope.release), True  # nothing held still for long enough
    if lost:
        reply.note(CHANGED)
    yield reply.answer(question, total_s=time.perf_counter() - started)


class _Writers:
    """Makes the model that a release is answered with, each but once."""

    def __init__(self, settings: Settings, generator: str | None, *, follows: bool) -> None:
        """`follows`: the release says which, whether promotion governs the collection or not."""
        self._settings = settings
        self._generator = generator
        self._follows = follows or settings.promotion == "gated"
        self._made: dict[str, Writer | None] = {}

    def of(self, served: Served) -> Writer | None:
        """Return the writer, None where sentences are extracted; ConfigError as `ask_events`."""
        if served.release.id not in self._made:
            self._made[served.release.id] = self._make(served)
        return self._made[served.release.id]

    def _make(self, served: Served) -> Writer | None:
        release, settings = served.release, self._settings
        follows = self._follows or served.governed
        name = self._generator or (release.generator if follows else settings.generator)
        _check_generator(name)
        if name == "extractive":
            return None
        if follows and name == release.generator:
            settings = generator_settings(settings, name, release.generation)
        template = answer_prompt(release.prompt, home=settings.home.expanduser())
        if release.prompt_hash not in ("", template.content_hash):
            raise ConfigError(
                f"prompt {release.prompt} was changed since release {release.id} was made of it: put the old text back, and give "
                "the new one a version of its own"
            )
        return Writer(name, make_generator(name, settings), template, settings.max_answer_tokens)


def _check_generator(name: str) -> None:
    if name not in GENERATORS:
        raise ConfigError(f"unknown generator {name!r}: use {', '.join(GENERATORS)}")
