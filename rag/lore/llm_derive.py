"""Facts with the help of a configured language model, of which nothing is taken on trust.

The episodes go to the model fenced, as data. What comes back is read strictly and checked against the episodes it names: every fact must
follow from what was said, dates are resolved by our own table, and only known relations may close each other. A model that fails, or
writes what cannot be read, leaves what the rules find.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from indexes.errors import GeneratorError
from ingest.injection import addresses_model, tainted_spans
from rag.facts import facts
from rag.generate import Generator, draft, make_generator
from rag.lore.derive import derive, listener
from rag.lore.drafting import NOBODY, as_draft, dated, sentence
from rag.lore.english import AHEAD
from rag.lore.items import Episode, FactDraft, Kind, Role
from rag.lore.normal import relation_key, same_value
from rag.lore.relation import Relation
from rag.lore.rewrite import expanded, third_person
from rag.lore.statements import Statement
from rag.prompts import LEFT_OUT, load_prompt
from rag.support import SUPPORTED, check_support
from rag.words import content_words

if TYPE_CHECKING:
    from indexes.settings import Settings

_PROMPT = "facts@1"
_SINGLE = frozenset(
    {"lives in", "job", "works at", "marital status", "age", "name", "birthday", "diet", "phone number"}
)
"""Relations whose values close each other; a model does not decide that."""
_FIELDS = {"sources": list, "subject": str, "relation": str, "value": str, "text": str, "negated": bool, "ended": bool}
_LONGEST = 300
_OVER = re.compile(r"\b(?:no longer|any ?more|stopped|quit|gave up|used to|former|ex)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LlmOptions:
    """How a model is asked.

    Args:
        generator: as made by `rag.generate.make_generator`.
        max_tokens: of one reply; one that is cut off there cannot be read and counts as failed.
        batch: most episodes in one request.
    """

    generator: Generator
    max_tokens: int = 2000
    batch: int = 20

    @classmethod
    def from_settings(cls, settings: Settings) -> LlmOptions:
        """Read the settings `openai_*` and `generator_*`; ConfigError names what is missing."""
        return cls(make_generator("openai", settings))


@dataclass
class LlmCounts:
    """What came of asking: requests, those that failed, facts that were kept, and facts that were not borne out."""

    asked: int = 0
    failed: int = 0
    kept: int = 0
    dropped: int = 0


@dataclass
class LlmDeriver:
    """Derives facts as `rag.lore.derive.derive` does, from the rules and from a model together.

    `counts` grow over its life. `why` is the last failure, in words.
    """

    options: LlmOptions
    counts: LlmCounts = field(default_factory=LlmCounts)
    why: str = ""

    def __call__(self, episodes: Sequence[Episode], *, context: Sequence[Episode] = ()) -> list[FactDraft]:
        """See `rag.lore.derive.derive`; never raises for what the model does.

        Cost: one request for each `batch` episodes; some ten milliseconds of checking for each fact.
        """
        found = derive(episodes, context=context)
        said = [*context, *episodes]
        for start in range(0, len(episodes), self.options.batch):
            batch = episodes[start : start + self.options.batch]
            if not any(episode.role is Role.USER for episode in batch):
                continue
            for candidate in self._ask(batch, said):
                if not any(_repeats(candidate, known) for known in found):
                    found.append(candidate)
        order = {episode.id: at for at, episode in enumerate(episodes)}
        return sorted(found, key=lambda one: order[one.sources[0]])

    def _ask(self, batch: Sequence[Episode], said: Sequence[Episode]) -> Iterator[FactDraft]:
        self.counts.asked += 1
        prompt = load_prompt(_PROMPT).render(episodes="\n".join(_line(at, one) for at, one in enumerate(batch, 1)))
        try:
            items = _read(draft(self.options.generator, prompt, max_tokens=self.options.max_tokens).text)
        except (GeneratorError, ValueError) as error:
            self.counts.failed += 1
            self.why = " ".join(str(error).split())[:300]
            return
        for item in items:
            if checked := _checked(item, batch, said):
                self.counts.kept += 1
                yield checked
            else:
                self.counts.dropped += 1


def _line(number: int, episode: Episode) -> str:
    """One message on one line; what in it speaks to a model is left out."""
    text, at = "", 0
    for start, end in tainted_spans(episode.text):
        text += f"{episode.text[at:start]}{LEFT_OUT}"
        at = end
    text += episode.text[at:]
    who = episode.speaker or NOBODY
    return f"{number}. {who if episode.role is Role.USER else f'{who} ({episode.role.value})'} said: {' '.join(text.split())}"


def _read(reply: str) -> list[Any]:
    """Return the facts of the one JSON object in a reply; ValueError where it is none."""
    start = reply.find("{")
    if start < 0:
        raise ValueError("the model wrote no JSON object")
    try:
        value, _ = json.JSONDecoder().raw_decode(reply, start)
    except RecursionError as error:
        raise ValueError("the model's JSON is nested too deeply") from error
    found = value.get("facts")
    if not isinstance(found, list):
        raise ValueError("the model's JSON has no list of facts")
    return found[:200]


def _checked(item: Any, batch: Sequence[Episode], said: Sequence[Episode]) -> FactDraft | None:
    """Return the fact as a draft, or None if it has another shape or the episodes it names do not bear it out."""
    if not isinstance(item, dict) or any(not isinstance(item.get(name), kind) for name, kind in _FIELDS.items()):
        return None
    sources = _sources(item["sources"], batch)
    text, value, relation = (" ".join(item[name].split()) for name in ("text", "value", "relation"))
    if not sources or not text or len(text) > _LONGEST or not 0 < len(relation) <= 40 or not value:
        return None
    if addresses_model(text) or tainted_spans(text) or any(tainted_spans(one.text) for one in sources):
        return None
    passages = [_as_said(one, said) for one in sources]
    names = {name for one in sources for name in content_words(one.speaker or NOBODY)}
    words = {word for passage in passages for word in content_words(passage)}
    subject = item["subject"].strip()
    if (
        not subject
        or not set(content_words(subject)) <= words | names
        or not set(content_words(value)) <= words | names
    ):
        return None
    denied = any(_denies(passage) for passage in passages)
    if check_support(text, passages).score < SUPPORTED or (
        not denied and (_denies(text) or item["negated"] or item["ended"])
    ):
        return None
    return _as_draft(item, sources, relation=relation.lower(), value=value, text=text, subject=subject)


def _denies(text: str) -> bool:
    return bool(facts(text).denied) or _OVER.search(text) is not None


def _sources(numbers: list[Any], batch: Sequence[Episode]) -> list[Episode]:
    """The episodes with these numbers, from 1; none where one of them is not there or was not said by a user."""
    if not numbers or any(type(number) is not int or not 1 <= number <= len(batch) for number in numbers):
        return []
    chosen = [batch[number - 1] for number in dict.fromkeys(numbers)]
    return chosen if all(one.role is Role.USER for one in chosen) else []


def _as_said(episode: Episode, said: Sequence[Episode]) -> str:
    """The message in the third person, as a fact of it is worded."""
    at = next(at for at, one in enumerate(said) if one.id == episode.id)
    return third_person(expanded(episode.text), speaker=episode.speaker or NOBODY, other=listener(said, at))


def _as_draft(
    item: dict[str, Any], sources: list[Episode], *, relation: str, value: str, text: str, subject: str
) -> FactDraft:
    newest = max(sources, key=lambda one: one.time)
    key = relation_key(relation)
    profile = key in _SINGLE or key in {"likes", "dislikes", "has", "speaks"}
    negated = item["negated"] or item["ended"]
    event = not profile and not negated and key not in {"is from", "studies"}
    read = Relation(
        key, value, key in _SINGLE, negated, Kind.PROFILE if profile else Kind.FACT, ended=item["ended"], event=event
    )
    said = dated(text.rstrip("."), newest.time)
    tense = "past" if event and not AHEAD.search(text) else "present"
    made = as_draft(read, Statement(subject, key, tense, negated, value), said, newest, text=sentence(said.reads))
    return replace(
        made,
        subject=subject,
        sources=tuple(one.id for one in sources),
        trust=min(one.trust for one in sources),
        confidence=0.7,
    )


def _repeats(candidate: FactDraft, known: FactDraft) -> bool:
    """Whether a rule found the same already: of one episode, with one value inside the other."""
    if not set(candidate.sources) & set(known.sources):
        return False
    one, other = set(content_words(candidate.text)), set(content_words(known.text))
    return same_value(candidate.value, known.value) or len(one & other) >= 0.7 * min(len(one), len(other))
