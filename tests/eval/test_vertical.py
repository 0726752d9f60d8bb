"""The evaluation over a real, tiny home: the check passes on the real mill, and fails once its filter is cheated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eval.datasets import Dataset, Sample
from eval.leaks import check_leaks
from eval.oracle import read_oracle
from eval.retrieval import evaluate_retrieval
from eval.run import evaluate_answers
from indexes.vocabulary import Hit, Principal
from rag.loremill import Loremill

pytestmark = pytest.mark.slow

ALICE = Principal("halden", "user:alice")
INGRID = Principal("halden", "user:ingrid", ("group:board",))
MALLORY = Principal("rival", "user:mallory", ("group:board",))
QUESTIONS = ["When does the canteen in Brno open?", "What is the base pay of the chief executive?"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("company")
    (folder / "board").mkdir()
    (folder / "acl.yaml").write_text(
        "tenant: halden\ndefault: {allow: [everyone]}\nrules:\n  - {path: board/**, allow: [group:board]}\n"
    )
    (folder / "canteen.md").write_text("# Canteen\n\nThe canteen in Brno opens at 7:15 on every working day.\n")
    (folder / "board/pay.md").write_text(
        "# Board minutes\n\nThe base pay of the chief executive was raised to EUR 342,000 from 1 April 2026.\n"
    )
    return folder


@pytest.fixture(scope="module")
def mill(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loremill]:
    with Loremill.open(tmp_path_factory.mktemp("home")) as mill:
        mill.ingest(folder, collection="company")
        yield mill


class Cheated:
    """The real mill behind a door that lets everyone of the tenant in as the board."""

    def __init__(self, mill: Loremill) -> None:
        self.mill = mill

    def search(self, query: str, *, principal: Principal, **options: Any) -> list[Hit]:
        return self.mill.search(query, principal=INGRID, **options)

    def ask(self, question: str, *, principal: Principal, **options: Any) -> Any:
        return self.mill.ask(question, principal=INGRID, **options)


def test_the_real_mill_leaks_nothing_to_anyone_and_a_cheated_one_is_caught(mill: Loremill, folder: Path) -> None:
    principals = {"alice": ALICE, "ingrid": INGRID, "mallory": MALLORY}
    oracle = read_oracle(folder)
    modes = ("dense", "lexical", "hybrid")
    options: dict[str, Any] = {
        "collection": "company",
        "questions": QUESTIONS,
        "principals": principals,
        "modes": modes,
    }
    honest, cheated = check_leaks(mill, oracle, **options), check_leaks(Cheated(mill), oracle, **options)
    assert honest.ok, honest.to_json()
    assert (honest.pairs, honest.refused) == (6, 2)
    assert honest.hits > 0 < honest.answers
    assert {(leak.principal, leak.document_id) for leak in cheated.leaks} >= {("alice", "board/pay.md")}
    assert {leak.where for leak in cheated.leaks} == {"hit", "citation", "answer"}


def test_answers_are_scored_for_each_principal_with_its_rights(mill: Loremill, folder: Path) -> None:
    pay = (("EUR 342,000",),)
    dataset = Dataset(
        "tiny",
        (
            Sample("open", QUESTIONS[0], principal="halden/user:alice", reference_facts=(("7:15",),)),
            Sample("board", QUESTIONS[1], principal="halden/user:ingrid,group:board", reference_facts=pay),
            Sample(
                "not",
                QUESTIONS[1],
                principal="halden/user:alice",
                answerable=False,
                tags=("forbidden",),
                reference_facts=pay,
            ),
        ),
    )
    report = evaluate_answers(
        mill, dataset, collection="company", resolve_principal=mill.directory.resolve, oracle=read_oracle(folder)
    )
    assert [record.right for record in report.records] == [True, True, True], report.records
    assert report.records[1].cited == ("board/pay.md",)
    assert report.figures["leaks"].count == report.figures["failed"].count == 0


def test_retrieval_is_scored_as_the_principal_sees_it(mill: Loremill) -> None:
    qrels = {"q1": {"board/pay.md": 1}}
    options: dict[str, Any] = {"collection": "company", "queries": {"q1": QUESTIONS[1]}, "qrels": qrels}
    assert evaluate_retrieval(mill, principal=INGRID, **options).means["mrr@10"] == 1.0
    assert evaluate_retrieval(mill, principal=ALICE, **options).means["recall@100"] == 0.0
