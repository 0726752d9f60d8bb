"""SQuAD 2.0 through `ask`: does a short answer contain a gold answer, does its quote, does it abstain where none is?

    python -m eval.bench.squad --data ../shared/data/squad_v2

All paragraphs are one collection, so the paragraph has to be found first. Only an answer's first two sentences count.
Source: Rajpurkar et al., arXiv:1806.03822.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.answers import Share, contains, share
from eval.bench.home import READER, TENANT, need, open_home, parser, progress
from eval.jsonl import read_objects
from eval.measures import latency
from eval.report import table

if TYPE_CHECKING:
    from rag.loremill import Loremill

SENTENCES = 2


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its gold answers; none where the paragraphs do not answer it."""

    text: str
    golds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an answer was worth. `length` counts all its sentences."""

    abstained: bool
    answered: bool
    quoted: bool
    length: int
    total_ms: float


def draw(data: Path, *, answerable: int, unanswerable: int, seed: int) -> tuple[list[Question], list[Question]]:
    """Draw questions with and without gold answers, the same ones for the same seed."""
    pools: tuple[list[Question], list[Question]] = ([], [])
    for _, row in read_objects(data / "queries.jsonl"):
        golds = tuple(row["metadata"].get("answers") or ())
        pools[not golds].append(Question(row["text"], golds))
    chosen = random.Random(seed)
    with_gold = chosen.sample(pools[0], min(answerable, len(pools[0])))
    return with_gold, chosen.sample(pools[1], min(unanswerable, len(pools[1])))


def judge(answer: Mapping[str, Any], golds: Sequence[str]) -> Outcome:
    """Judge the JSON of an answer by its first two sentences and the quotes that these cite."""
    sentences = [] if answer["abstained"] else answer["sentences"][:SENTENCES]
    cited = {marker for sentence in sentences for marker in sentence["citations"]}
    quotes = [citation["quote"] for citation in answer["citations"] if citation["marker"] in cited]
    return Outcome(
        abstained=answer["abstained"],
        answered=contains(" ".join(sentence["text"] for sentence in sentences), golds),
        quoted=any(contains(quote, golds) for quote in quotes),
        length=len(answer["sentences"]),
        total_ms=answer["timings_ms"]["total"],
    )


def measure(mill: Loremill, questions: Sequence[Question]) -> list[Outcome]:
    """Ask each question in order."""
    outcomes = []
    for done, question in enumerate(questions, start=1):
        answer = mill.ask(question.text, collection="squad", principal=READER)
        outcomes.append(judge(answer.to_json(), question.golds))
        progress(done, len(questions))
    return outcomes


def figures(answerable: Sequence[Outcome], unanswerable: Sequence[Outcome]) -> list[tuple[str, Share | float]]:
    """Return the rows of the table."""
    times = latency([outcome.total_ms for outcome in (*answerable, *unanswerable)])
    return [
        (f"answer of at most {SENTENCES} sentences contains gold", share(o.answered for o in answerable)),
        ("cited quote contains gold", share(o.quoted for o in answerable)),
        ("false abstention", share(o.abstained for o in answerable)),
        (f"answers longer than {SENTENCES} sentences, cut", share(o.length > SENTENCES for o in answerable)),
        ("abstention on unanswerable", share(o.abstained for o in unanswerable)),
        ("ask p50 ms", times["p50"]),
        ("ask p95 ms", times["p95"]),
    ]


def main() -> None:
    arguments = parser(__doc__, data="../shared/data/squad_v2")
    arguments.add_argument("--answerable", type=int, default=500)
    arguments.add_argument("--unanswerable", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=20261121)
    given = arguments.parse_args()
    need(given.data, "corpus.jsonl", "queries.jsonl")
    drawn = draw(given.data, answerable=given.answerable, unanswerable=given.unanswerable, seed=given.seed)
    with open_home(given.home) as mill:
        mill.ingest(given.data, collection="squad", tenant=TENANT, allow=["everyone"], format="beir")
        outcomes = [measure(mill, questions) for questions in drawn]
    print(f"SQuAD 2.0, {len(drawn[0])} answerable and {len(drawn[1])} unanswerable questions, seed {given.seed}\n")
    print(table(("figure", "value"), figures(*outcomes)))


if __name__ == "__main__":
    main()
