"""What asking again costs: the same search and the same question, the first time and once more, as the same person.

    python -m eval.bench.cache --data data/company

Prints one JSON object. Exits with 1 where a repeated search or answer takes, at the median, more than a fifth of the first.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from eval.bench.home import need, open_home, parser, progress
from eval.datasets import read_dataset
from eval.measures import percentile
from indexes.vocabulary import Principal

if TYPE_CHECKING:
    from rag.loremill import Loremill

COLLECTION = "company"
MOST = 0.2
"""Of the first time, for the repetition."""
Figures = dict[str, float]


def twice(call: Callable[[str], object], questions: Sequence[str], *, repeats: int) -> Figures:
    """Time the first call for each question, and the `repeats` calls after it, in milliseconds."""
    first, repeated = [], []
    for number, question in enumerate(questions, start=1):
        first.append(_milliseconds(call, question))
        repeated += [_milliseconds(call, question) for _ in range(repeats)]
        progress(number, len(questions))
    figures = {"first_p50_ms": percentile(first, 50), "repeated_p50_ms": percentile(repeated, 50)}
    figures["repeated_p95_ms"] = percentile(repeated, 95)
    figures["ratio"] = figures["repeated_p50_ms"] / figures["first_p50_ms"]
    return {name: round(value, 3) for name, value in figures.items()}


def measure(mill: Loremill, principal: Principal, questions: Sequence[str], *, repeats: int) -> dict[str, Figures]:
    """Measure searches, then answers, each on an empty cache and with every model loaded."""

    def search(question: str) -> object:
        return mill.search(question, collection=COLLECTION, principal=principal)

    def ask(question: str) -> object:
        return mill.ask(question, collection=COLLECTION, principal=principal, generator="extractive")

    ask("Who knows what is served in the canteen?")
    cache = mill._tenant(principal.tenant).retriever.cache
    figures = {}
    for name, call in (("search", search), ("ask", ask)):
        cache.forget(COLLECTION)
        figures[name] = twice(call, questions, repeats=repeats)
    return figures


def _milliseconds(call: Callable[[str], object], question: str) -> float:
    started = time.perf_counter()
    call(question)
    return (time.perf_counter() - started) * 1e3


def main() -> None:
    arguments = parser(__doc__, data="data/company")
    arguments.add_argument("--as", dest="as_", default="alice", metavar="PRINCIPAL")
    arguments.add_argument("--n", type=int, default=40, help="most questions")
    arguments.add_argument("--repeats", type=int, default=5)
    given = arguments.parse_args()
    need(given.data, "questions.jsonl", "acl.yaml", "principals.yaml")
    texts = dict.fromkeys(sample.user_input for sample in read_dataset(given.data / "questions.jsonl"))
    questions = list(texts)[:: max(len(texts) // given.n, 1)][: given.n]
    with open_home(given.home) as mill:
        mill.directory.import_principals(given.data / "principals.yaml")
        mill.ingest(given.data, collection=COLLECTION)
        figures = measure(mill, mill.directory.resolve(given.as_), questions, repeats=given.repeats)
    print(json.dumps({"questions": len(questions), **figures}))
    raise SystemExit(0 if all(kind["ratio"] <= MOST for kind in figures.values()) else 1)


if __name__ == "__main__":
    main()
