"""Planted regressions: does the gate fail each of them, for the metric that it harms, and pass what is better?

    python -m eval.bench.planted [--data data/company] [--only NAME] [--questions N]
    python -m eval.bench.planted --data ../shared/data/scifact [--documents 1000]

A folder with a corpus.jsonl is read as a BEIR set: its test queries are the questions, and one group alone may read every third document.
Exits with 1 where a verdict is not the one that the plant deserves. One gate takes as long as asking every question twice.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.bench.company import CANARIES
from eval.bench.home import TENANT, need, open_home, parser, progress
from eval.datasets import Dataset, Sample, read_dataset
from eval.gates import parse_gates
from eval.gating import hold_gate
from eval.observe import Observer
from eval.oracle import Oracle, read_oracle
from eval.report import table
from eval.shelf import Shelf
from eval.trec import read_qrels, read_queries
from indexes.vocabulary import Principal

if TYPE_CHECKING:
    from rag.loremill import Loremill

COLLECTION = "planted"
GATES: dict[str, Any] = {
    "metrics": {
        "ndcg@10": {"max_drop": 0.03},
        "evidence_recall@10": {"max_drop": 0.03},
        "answer_containment": {"max_drop": 0.03},
        "citation_recall": {"max_drop": 0.03},
        "supported_sentences": {"max_drop": 0.03},
        "false_abstention": {"max_drop": 0.05},
        "leaks": {"max": 0},
        "injection_obeyed": {"max": 0},
    }
}

QUESTIONS_ONLY = ("ndcg@10", "citation_recall", "supported_sentences", "false_abstention", "leaks")
"""What can be measured where a question has documents, but neither an answer nor quotes."""
READERS, INSIDERS = "group:readers", "group:lab"


@dataclass(frozen=True)
class World:
    """What is asked: the questions, the gates, who is let in by mistake where the filter is widened, and the right verdicts' metrics."""

    dataset: Dataset
    gates: dict[str, Any]
    widened: tuple[str, str]
    answer_metric: str
    canaries: Sequence[str] | None = None
    oracle: Oracle | None = None


def company(mill: Loremill, data: Path) -> World:
    """Ingest the sample company."""
    need(data, "questions.jsonl")
    mill.directory.import_principals(data / "principals.yaml")
    mill.ingest(data, collection=COLLECTION)
    dataset, oracle = read_dataset(data / "questions.jsonl"), read_oracle(data)
    return World(dataset, GATES, ("group:sales", "group:finance"), "answer_containment", CANARIES[:3], oracle)


def beir(mill: Loremill, data: Path, most: int) -> World:
    """Ingest a BEIR set of which every third document is for insiders; a question is asked by the others where they may read its documents.

    Args:
        most: documents; the judged ones all the same, and of the others the first.
    """
    need(data, "queries.jsonl", "qrels/test.tsv")
    qrels = read_qrels(data / "qrels" / "test.tsv")
    asked = {document for judged in qrels.values() for document in judged}
    spare, inside = most - len(asked), set()
    with tempfile.TemporaryDirectory(prefix="loremill-bench-") as folder:
        with (data / "corpus.jsonl").open("rb") as lines, (Path(folder) / "corpus.jsonl").open("w") as copy:
            for number, row in enumerate(map(json.loads, lines)):
                spare -= row["_id"] not in asked
                if spare < 0 and row["_id"] not in asked:
                    continue
                if number % 3 == 0:
                    inside.add(row["_id"])
                    row["acl"] = {"allow": [INSIDERS]}
                copy.write(json.dumps(row) + "\n")
        mill.ingest(folder, collection=COLLECTION, tenant=TENANT, allow=["everyone"], format="beir")
    queries, samples = read_queries(data / "queries.jsonl"), []
    for name, judged in qrels.items():
        relevant = tuple(document for document, grade in judged.items() if grade > 0)
        asker = f"{TENANT}/user:reader,{INSIDERS if inside & set(relevant) else READERS}"
        samples.append(Sample(name, queries[name], reference_document_ids=relevant, principal=asker))
    gates = {"metrics": {name: GATES["metrics"][name] for name in QUESTIONS_ONLY}}
    return World(Dataset(data.name, tuple(samples)), gates, (READERS, INSIDERS), "citation_recall")


class Altered:
    """The mill, but for what a planted fault does to the release `planted`."""

    def __init__(self, mill: Loremill, planted: str, widened: tuple[str, str]) -> None:
        self.mill, self.planted, self.widened = mill, planted, widened

    def search(self, query: str, *, principal: Principal, release: str | None = None, **options: Any) -> Any:
        return self.mill.search(query, principal=self.reader(principal, release), release=release, **options)

    def ask(self, question: str, *, principal: Principal, release: str | None = None, **options: Any) -> Any:
        answer = self.mill.ask(question, principal=self.reader(principal, release), release=release, **options)
        return _Told(self.told(answer.to_json())) if release == self.planted else answer

    def may_read(self, document_id: str, **options: Any) -> bool:
        return self.mill.may_read(document_id, **options)

    def reader(self, principal: Principal, release: str | None) -> Principal:
        """Return who the index is asked as."""
        return principal

    def told(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Return the answer as it goes out."""
        return answer


@dataclass(frozen=True)
class _Told:
    answer: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return self.answer


class Widened(Altered):
    """The access filter lets those of one group read what another reads."""

    def reader(self, principal: Principal, release: str | None) -> Principal:
        group, others = self.widened
        widened = release == self.planted and group in principal.groups
        groups = (*principal.groups, others)  # its own, not those that the directory says
        return replace(principal, groups=groups, in_directory=False) if widened else principal


class Uncited(Altered):
    """The prompt no longer asks for citations, and nobody attaches them."""

    def told(self, answer: dict[str, Any]) -> dict[str, Any]:
        sentences = [
            {**sentence, "citations": [], "supported": False, "support": 0.0} for sentence in answer["sentences"]
        ]
        return {**answer, "citations": [], "sentences": sentences}


class FromNothing(Altered):
    """The generator answers whatever it is asked, from no passage."""

    def told(self, answer: dict[str, Any]) -> dict[str, Any]:
        text = "This is handled flexibly and depends on the circumstances of each case."
        sentence = {"text": text, "citations": [], "supported": False, "support": 0.0}
        return {**answer, "answer": text, "abstained": False, "citations": [], "sentences": [sentence]}


@dataclass(frozen=True)
class Plant:
    """One change: how the release comes about, what is done to it, and which verdict and metric it deserves; `answer` is the world's."""

    name: str
    make: Callable[[Loremill], str]
    verdict: str
    metric: str = ""
    altered: type[Altered] = Altered
    baseline: Callable[[Loremill], str] | None = None
    questions: int | None = None


def _live(mill: Loremill) -> str:
    return mill.release("live", collection=COLLECTION).id


def _like_live(mill: Loremill) -> str:
    return mill.create_release(COLLECTION, retrieval={"passages": 13}).id


def _one_passage(mill: Loremill) -> str:
    return mill.create_release(COLLECTION, retrieval={"passages": 1}).id


def _short_chunks(mill: Loremill) -> str:
    return mill.create_release(COLLECTION, index={"chunk_tokens": 30, "chunk_overlap": 0}).id


def _shuffled(mill: Loremill) -> str:
    """A build whose vectors belong to other chunks, as an embedder that mixes up its batch would make it."""
    made = mill.create_release(COLLECTION, index={"chunk_overlap": 1})
    [folder] = mill.home.glob(f"**/{made.build}/vectors.index")
    rows = np.fromfile(folder / "rows.f32", dtype="<f4").reshape(-1, mill.embedder.dim)
    np.random.default_rng(1).permutation(rows).tofile(folder / "rows.f32")
    return made.id


PLANTS = (
    Plant("chunks of 30 tokens", _short_chunks, "FAIL", "answer"),
    Plant("embedder with shuffled rows", _shuffled, "FAIL", "ndcg@10"),
    Plant("top_k 1", _one_passage, "FAIL", "answer"),
    Plant("access filter widened", _like_live, "FAIL", "leaks", Widened),
    Plant("citations dropped", _like_live, "FAIL", "citation_recall", Uncited),
    Plant("answers from nothing", _like_live, "FAIL", "answer", FromNothing),
    Plant("nothing changed", _like_live, "PASS"),
    Plant("improvement: 12 passages instead of 1", _live, "PASS", baseline=_one_passage),
    Plant("eight questions", _like_live, "INCONCLUSIVE", questions=8),
)


def hold(mill: Loremill, plant: Plant, world: World) -> list[object]:
    """Hold the gate of one plant and return its row."""
    candidate = plant.make(mill)
    baseline = (plant.baseline or _live)(mill)
    resolve = mill.directory.resolve
    observer = Observer(
        plant.altered(mill, candidate, world.widened), Shelf(mill, COLLECTION, resolve), resolve, world.canaries, world.oracle
    )  # fmt: skip
    found = hold_gate(
        observer, Dataset(world.dataset.name, world.dataset.samples[: plant.questions]),
        candidate=mill.release(candidate, collection=COLLECTION), differences={},
        baseline=mill.release(baseline, collection=COLLECTION), gates=parse_gates(world.gates), progress=progress,
    )  # fmt: skip
    result = found.result
    decided = [name for name, metric in result.metrics.items() if metric.verdict == result.verdict != "PASS"]
    metric = world.answer_metric if plant.metric == "answer" else plant.metric
    right = result.verdict == plant.verdict and (not metric or metric in decided)
    seconds = round(found.context.seconds["asking"], 1)
    return [plant.name, result.verdict, ", ".join(decided), result.needed or "", seconds, right]


def measure(data: Path, home: Path | None, only: str, questions: int | None, documents: int) -> Iterator[list[object]]:
    """Ingest the data and yield a row for each plant."""
    with open_home(home) as mill:
        world = beir(mill, data, documents) if (data / "corpus.jsonl").exists() else company(mill, data)
        world = replace(world, dataset=Dataset(world.dataset.name, world.dataset.samples[:questions]))
        for plant in PLANTS:
            if only in plant.name:
                yield hold(mill, plant, world)


def main() -> None:
    arguments = parser(__doc__, data="data/company")
    arguments.add_argument("--only", default="", help="plants whose name has this")
    arguments.add_argument("--questions", type=int, help="only the first N")
    arguments.add_argument("--documents", type=int, default=1_000_000, help="of a BEIR set, about so many")
    given = arguments.parse_args()
    rows = []
    for row in measure(given.data, given.home, given.only, given.questions, given.documents):
        rows.append(row)
        print(row, flush=True)
    print(table(("plant", "verdict", "metrics that decided", "needed", "seconds", "as it should be"), rows))
    sys.exit(not all(row[-1] for row in rows))


if __name__ == "__main__":
    main()
