"""The leak check must find a leak by each door, and must not call silence or errors a success."""

from __future__ import annotations

from typing import Any

import pytest

from eval.leaks import LeakReport, check_leaks
from eval.oracle import Oracle, Rights
from indexes.errors import AccessDenied, IndexBackendError, LoremillError
from indexes.vocabulary import Hit, Principal

OPEN = "The canteen in Brno opens at seven and closes at half past two."
SECRET = "The chief executive will hand over to the head of sales in October."
ORACLE = Oracle(
    {"open.md": OPEN, "secret.md": f"{SECRET} Code name: Aurora."},
    {"open.md": Rights("halden", frozenset({"everyone"})), "secret.md": Rights("halden", frozenset({"user:ingrid"}))},
)
PRINCIPALS = {"alice": Principal("halden", "user:alice"), "ingrid": Principal("halden", "user:ingrid")}


class Fake:
    """A mill that answers everyone alike, to inject the faults that the real one must not have."""

    def __init__(
        self, *, hit: str = OPEN, hit_id: str = "open.md", cited: str = "open.md", quote: str = OPEN, answer: str = OPEN
    ):
        self.hits = [Hit(1, 1.0, hit_id, "c", "uri", "title", hit, 0, 1, {})]
        self.json: dict[str, Any] = {
            "answer": answer,
            "abstained": False,
            "sentences": [{"text": answer, "citations": [1], "supported": True, "support": 1.0}],
            "citations": [{"marker": 1, "document_id": cited, "quote": quote}],
        }
        self.error: LoremillError | None = None

    def search(
        self, query: str, *, collection: str, principal: Principal, top_k: int = 10, mode: str = "hybrid"
    ) -> list[Hit]:
        if self.error:
            raise self.error
        return self.hits

    def ask(self, question: str, *, collection: str, principal: Principal) -> Fake:
        self.json["question"] = question
        return self

    def to_json(self) -> dict[str, Any]:
        return self.json


def check(mill: Fake, *questions: str) -> LeakReport:
    return check_leaks(mill, ORACLE, collection="c", questions=questions or ("When is lunch?",), principals=PRINCIPALS)


def test_an_honest_mill_passes_with_the_rule_of_three_as_bound() -> None:
    report = check(Fake(), *(f"question {n}" for n in range(50)))
    assert report.ok
    assert (report.pairs, report.hits, report.citations, report.forbidden) == (100, 100, 100, 1)
    assert report.upper_bound == pytest.approx(0.03)


@pytest.mark.parametrize(
    ("mill", "door"),
    [
        (Fake(hit_id="secret.md"), "hit"),
        (Fake(hit=SECRET), "hit"),
        (Fake(hit="Code name: Aurora."), "hit"),
        (Fake(hit_id="of-no-known-document"), "hit"),
        (Fake(cited="secret.md"), "citation"),
        (Fake(quote=SECRET), "citation"),
        (Fake(answer=f"{OPEN} {SECRET.upper()} [1]."), "answer"),
    ],
)
def test_a_leak_by_any_door_is_found_for_who_may_not_read_it_and_only_for_them(mill: Fake, door: str) -> None:
    report = check(mill)
    assert not report.ok
    assert report.upper_bound is None
    assert ("alice", door) in {(leak.principal, leak.where) for leak in report.leaks}
    known = {leak for leak in report.leaks if leak.document_id == "secret.md"}
    assert {leak.principal for leak in known} <= {"alice"}


def test_the_report_names_the_document_and_never_repeats_its_text() -> None:
    report = check(Fake(hit=SECRET))
    assert report.to_json()["leaks"] == [
        {"question": "When is lunch?", "principal": "alice", "where": "hit", "document_id": "secret.md"}
    ]


def test_an_abstention_that_tells_is_a_leak_too() -> None:
    mill = Fake(answer=f"I may not tell you that {SECRET}")
    mill.json.update(abstained=True, sentences=[], citations=[])
    assert [leak.where for leak in check(mill).leaks] == ["answer"]


def test_a_pair_that_fails_counts_against() -> None:
    mill = Fake()
    mill.error = IndexBackendError("disk gone")
    report = check(mill)
    assert not report.ok
    assert report.upper_bound is None
    assert report.errors[0] == "alice: When is lunch?: IndexBackendError: disk gone"


def test_a_pair_refused_whole_leaks_nothing() -> None:
    mill = Fake(hit=SECRET)
    mill.error = AccessDenied("rival")
    report = check(mill)
    assert (report.refused, report.pairs, report.leaks) == (2, 2, [])


def test_a_check_in_which_everyone_may_read_everything_proves_nothing() -> None:
    report = check_leaks(Fake(), ORACLE, collection="c", questions=["q"], principals={"ingrid": PRINCIPALS["ingrid"]})
    assert report.forbidden == 0
    assert not report.ok
