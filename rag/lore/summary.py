"""A session in a few sentences: those that say most, in the order in which they were said; by a configured model where there is one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from indexes.errors import GeneratorError
from ingest.injection import addresses_model, tainted_spans
from rag.generate import draft
from rag.lore.clauses import sentences
from rag.lore.derive import derive
from rag.lore.drafting import NOBODY
from rag.lore.items import Episode, Role
from rag.lore.llm_derive import LlmOptions
from rag.lore.statements import specific
from rag.prompts import load_prompt
from rag.support import SUPPORTED, check_support
from rag.words import stem

Summarise = Callable[[Sequence[Episode], int], str]

_PROMPT = "summary@1"
_LEAST = 3
"""Concrete words of a sentence that says anything on its own."""


def summarise(episodes: Sequence[Episode], most: int) -> str:
    """Return at most `most` sentences of a session; empty where none says anything concrete.

    What the rules derive stands alone and goes first; then what was said, with who said it. A sentence is worth the concrete words that
    no chosen one has yet, rarer ones more, against the square root of its length; ties go to the earlier. What speaks to a model is
    never chosen. The same episodes give the same summary.
    Cost: O(most * sentences).
    """
    told = _candidates(episodes)
    words = [frozenset(stem(word.lower()) for word in specific(text)) for text in told]
    rarity = Counter(word for one in words for word in one)
    weight = {word: math.log1p(len(told) / count) for word, count in rarity.items()}
    chosen: list[int] = []
    covered: set[str] = set()
    while len(chosen) < most:
        best = max(
            (at for at in range(len(told)) if at not in chosen),
            key=lambda at: (sum(weight[word] for word in words[at] - covered) / math.sqrt(len(words[at]) + 3), -at),
            default=None,
        )
        if best is None or len(words[best] - covered) < 1:
            break
        chosen.append(best)
        covered |= words[best]
    return " ".join(told[at] for at in sorted(chosen))


def _candidates(episodes: Sequence[Episode]) -> list[str]:
    facts = [one.text for one in derive(episodes) if not one.negated]
    if facts:
        return list(dict.fromkeys(facts))
    return [
        f"{episode.speaker or NOBODY}: {text}"
        for episode in episodes
        if episode.role in {Role.USER, Role.ASSISTANT} and not tainted_spans(episode.text)
        for text in sentences(episode.text)
        if not text.endswith("?") and len(specific(text)) >= _LEAST
    ]


@dataclass
class LlmSummariser:
    """Summarises with a configured model; sentences that the session does not bear out are dropped.

    `failed` counts the sessions that fell back to `summarise`: the model could not be reached, or nothing it wrote was borne out.
    """

    options: LlmOptions
    failed: int = field(default=0)

    def __call__(self, episodes: Sequence[Episode], most: int) -> str:
        """See `summarise`; never raises for what the model does."""
        said = [f"{one.speaker or NOBODY} said: {one.text}" for one in episodes if not tainted_spans(one.text)]
        prompt = load_prompt(_PROMPT).render(
            episodes="\n".join(" ".join(line.split()) for line in said), most=str(most)
        )
        try:
            written = draft(self.options.generator, prompt, max_tokens=self.options.max_tokens).text
        except GeneratorError:
            written = ""
        passages = [*said, *(one.text for one in derive(episodes))]
        kept = [
            sentence.text
            for sentence in check_support(written, passages).sentences
            if sentence.support >= SUPPORTED and not addresses_model(sentence.text)
        ][:most]
        if not kept:
            self.failed += 1
            return summarise(episodes, most)
        return " ".join(kept)
