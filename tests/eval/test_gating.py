"""A gate over a real mill: what is as good passes and can be promoted; what is worse fails for the metric that it is worse in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eval.datasets import Dataset, Sample, write_dataset
from eval.gate_command import Held, gate_releases
from eval.gates import parse_gates
from eval.gating import Gating, hold_gate
from eval.observe import Observer
from eval.shelf import Shelf
from indexes.errors import ConfigError, DatasetError, PromotionRefused, ReleaseNotFound
from indexes.vocabulary import Principal
from rag.loremill import Loremill

pytestmark = pytest.mark.slow

TOOLS = [f"{first}{second}" for first in ("Ar", "Bel", "Cor", "Dun", "Es", "Far", "Gol", "Hem") for second in (
    "bax", "dor", "fin", "gul", "kim", "lan", "mur", "pol", "vik")]  # fmt: skip
GATES = {"metrics": {"answer_containment": {"max_drop": 0.05}, "leaks": {"max": 0}, "ndcg@10": {"max_drop": 0.05}}}
BOARD = Principal("halden", "user:ingrid", ("group:board",))


@pytest.fixture(scope="module")
def mill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loremill]:
    """A collection with a document about each tool, of which the board alone may read what they cost."""
    folder = tmp_path_factory.mktemp("tools")
    (folder / "acl.yaml").write_text(
        "tenant: halden\ndefault: {allow: [everyone]}\nrules:\n  - {path: board/**, allow: [group:board]}\n"
    )
    (folder / "board").mkdir()
    for number, tool in enumerate(TOOLS):
        (folder / f"{tool}.md").write_text(
            f"# {tool}\n\nThe {tool} weighs {100 + number} kilograms when it is empty.\n"
        )
    (folder / "board/prices.md").write_text("# Prices\n\nThe board sold all tools for 7,431 euros in May.\n")
    with Loremill.open(tmp_path_factory.mktemp("home"), cache_entries=0) as mill:
        mill.ingest(folder, collection="tools")
        yield mill


@pytest.fixture(scope="module")
def candidate(mill: Loremill) -> str:
    """A release that answers as the live one does."""
    return mill.create_release("tools", retrieval={"passages": 11}).id


def questions(count: int = len(TOOLS)) -> Dataset:
    samples = [
        Sample(
            f"q{number:03}", f"How much does the {tool} weigh when it is empty?", f"{100 + number} kilograms",
            (f"The {tool} weighs {100 + number} kilograms when it is empty.",), (f"{tool}.md",), "halden/user:x",
        )
        for number, tool in enumerate(TOOLS[:count])
    ]  # fmt: skip
    return Dataset("tools", tuple(samples))


def held(mill: Any, real: Loremill, candidate: str, dataset: Dataset | None = None, concurrency: int = 1) -> Gating:
    observer = Observer(mill, Shelf(real, "tools", real.directory.resolve), real.directory.resolve)
    return hold_gate(
        observer, dataset or questions(), candidate=real.release(candidate), baseline=real.release("live", collection="tools"),
        differences={}, gates=parse_gates(GATES), concurrency=concurrency,
    )  # fmt: skip


class Behind:
    """The real mill, but for what the candidate does."""

    def __init__(self, mill: Loremill, candidate: str) -> None:
        self.mill, self.candidate, self.asked = mill, candidate, 0

    def search(self, query: str, **options: Any) -> Any:
        return self.mill.search(query, **options)

    def ask(self, question: str, **options: Any) -> Any:
        self.asked += 1
        return self.mill.ask(question, **options)

    def document(self, document_id: str, **options: Any) -> Any:
        return self.mill.document(document_id, **options)


class Forgetful(Behind):
    """The candidate does not understand every third question."""

    def ask(self, question: str, *, release: str | None = None, **options: Any) -> Any:
        self.asked += 1
        lost = release == self.candidate and self.asked % 3 == 0
        return self.mill.ask("Who was the first king of Norway?" if lost else question, release=release, **options)


class Leaky(Behind):
    """The candidate searches as the board."""

    def search(self, query: str, *, principal: Principal, release: str | None = None, **options: Any) -> Any:
        reader = BOARD if release == self.candidate else principal
        return self.mill.search(query, principal=reader, release=release, **options)


def files(tmp_path: Path, dataset: Dataset, gates: str = json.dumps(GATES)) -> dict[str, Path]:
    write_dataset(tmp_path / "tools.jsonl", dataset.samples)
    (tmp_path / "gates.yaml").write_text(gates)
    return {"dataset": tmp_path / "tools.jsonl", "gates": tmp_path / "gates.yaml", "out": tmp_path / "out"}


def test_what_is_as_good_passes_leaves_a_record_and_is_promoted(mill: Loremill, candidate: str, tmp_path: Path) -> None:
    with pytest.raises(PromotionRefused):
        mill.promote(candidate, collection="tools")
    found: Held = gate_releases(mill, candidate, "live", **files(tmp_path, questions()))
    assert (found.result.verdict, found.result.exit_code) == ("PASS", 0)
    assert found.result.metrics["answer_containment"].candidate == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "junit.xml", "report.html", "report.json", "report.md",
    ]  # fmt: skip
    before = mill.release("live", collection="tools").id
    mill.promote(candidate, collection="tools")
    assert mill.release("live", collection="tools").id == candidate
    mill.rollback(collection="tools", reason="for the other tests")
    assert mill.release("live", collection="tools").id == before


def test_a_candidate_that_forgets_fails_for_what_it_does_not_answer(mill: Loremill, candidate: str) -> None:
    result = held(Forgetful(mill, candidate), mill, candidate).result
    assert (result.verdict, result.exit_code) == ("FAIL", 1)
    assert [reason.split(":")[0] for reason in result.reasons] == ["answer_containment"]
    assert result.metrics["ndcg@10"].verdict == "PASS", "it retrieves as before"


def test_one_document_that_comes_out_to_the_wrong_reader_fails(mill: Loremill, candidate: str) -> None:
    dataset = questions()
    about_money = replace(
        dataset.samples[0], id="money", user_input="What did the board sell all tools for in May?", answerable=False
    )
    dataset = Dataset("tools", (*dataset.samples, about_money))
    result = held(Leaky(mill, candidate), mill, candidate, dataset).result
    assert result.verdict == "FAIL"
    assert result.metrics["leaks"].verdict == "FAIL"
    assert held(mill, mill, candidate, dataset).result.metrics["leaks"].verdict == "PASS"


def test_eight_questions_settle_nothing_and_the_report_says_how_many_would(mill: Loremill, candidate: str) -> None:
    result = held(mill, mill, candidate, questions(8)).result
    assert (result.verdict, result.exit_code) == ("INCONCLUSIVE", 2)
    assert result.needed is not None
    assert 8 < result.needed <= 200


def test_what_a_gate_cannot_be_held_on_is_refused_before_a_question_is_asked(
    mill: Loremill, candidate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mill, "ask", lambda *arguments, **options: pytest.fail("a question was asked"))
    good = files(tmp_path, questions(3))
    with pytest.raises(ReleaseNotFound, match="rnone"):
        gate_releases(mill, "rnone", "live", **good)
    (tmp_path / "other").mkdir()
    samples = questions(3).samples
    for broken, said in (
        ((samples[0], replace(samples[1], principal="")), "no principal"),
        ((replace(samples[0], reference_document_ids=("gone.md",)),), "unknown document 'gone.md'"),
        ((replace(samples[0], reference_contexts=("This stands nowhere.",)),), "quote 1 stands in none"),
    ):
        with pytest.raises(DatasetError, match=said):
            gate_releases(mill, candidate, "live", **files(tmp_path / "other", Dataset("tools", broken)))
    unknown = files(tmp_path / "other", questions(3), '{"metrics": {"beauty": {"min": 0.5}}}')
    with pytest.raises(ConfigError, match="beauty"):
        gate_releases(mill, candidate, "live", **unknown)


def test_releases_of_two_collections_are_not_compared(mill: Loremill, candidate: str, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/acl.yaml").write_text("tenant: halden\ndefault: {allow: [everyone]}\n")
    (tmp_path / "docs/note.md").write_text("# Note\n\nThe door is blue.\n")
    mill.ingest(tmp_path / "docs", collection="notes")
    other = mill.release("live", collection="notes").id
    with pytest.raises(ConfigError, match="a gate compares releases of one collection"):
        gate_releases(mill, other, mill.release("live", collection="tools").id, **files(tmp_path, questions(3)))
