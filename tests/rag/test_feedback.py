"""An answer is rated by who got it; nobody but the rater and administrators sees that, and no text comes out by it that may not be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from indexes.errors import AccessDenied, CollectionNotFound, ConfigError, ReleaseNotFound, TooLarge
from indexes.vocabulary import Principal
from rag.answer import Answer
from rag.auditing import Caller, caller
from rag.loremill import Loremill

ALICE = Principal("halden", "user:alice", ("group:finance",))
BOB = Principal("halden", "user:bob")
ADA = Principal("halden", "user:ada")
MIA = Principal("rival", "user:alice", ("group:finance",))
DOCS: dict[str, str | bytes | None] = {
    "acl.yaml": "tenant: halden\ndefault: {allow: [everyone]}\nrules:\n  - {path: budget.md, allow: [group:finance]}\n",
    "budget.md": "# Marketing budget\n\nThe marketing budget for 2026 is 340,000 euros.\n",
    "leave.md": "# Parental leave\n\nParental leave is 20 weeks for every employee.\n",
}
QUESTION = "What is the marketing budget for 2026?"


@pytest.fixture
def mill(open_mill: Callable[..., Loremill], write_tree: Callable[..., Path]) -> Loremill:
    opened = open_mill()
    opened.ingest(write_tree(DOCS), collection="company")
    opened.ingest(write_tree({"x.md": "X."}, "rival"), collection="plans", tenant="rival", allow=["everyone"])
    return opened


@pytest.fixture
def budget(mill: Loremill) -> Answer:
    """What Alice was told of the budget."""
    answer = mill.ask(QUESTION, collection="company", principal=ALICE)
    assert "340,000" in answer.answer
    return answer


def rate(mill: Loremill, answer: Any, principal: Principal = ALICE, rating: str | int = "down", **said: Any) -> Any:
    return mill.feedback(answer, collection="company", principal=principal, rating=rating, **said)


def own(mill: Loremill, principal: Principal, **options: Any) -> list[Any]:
    return mill.ratings(principal=principal, **options)


def test_a_rating_keeps_what_was_rated_and_what_was_said_of_it(mill: Loremill, budget: Answer) -> None:
    made = rate(
        mill, budget, comment="last year's", correction="It is 400,000.", correct_document_ids=["leave.md"], rating=2
    )
    assert own(mill, ALICE) == [made]
    assert own(mill, ADA, everyone=True, collection="company")[0].id == made.id
    data = made.to_json()
    assert (data["principal"], data["rating"], data["release"]) == (
        "halden/user:alice,group:finance",
        2,
        budget.release,
    )
    assert data["citations"] == [{"chunk_id": budget.citations[0].chunk_id, "document_id": "budget.md"}]
    assert (data["question"], data["answer"], data["correction"]) == (QUESTION, budget.answer, "It is 400,000.")
    again = rate(mill, budget.to_json(), rating="up")
    assert again.answer_id == made.answer_id, "the same answer, whether as object or as JSON"
    assert rate(mill, replace(budget, answer="Else.")).answer_id != made.answer_id


def test_others_see_nothing_of_it_and_cannot_delete_it(mill: Loremill, budget: Answer) -> None:
    made = rate(mill, budget)
    for other in (BOB, MIA):
        assert own(mill, other) == []
        assert not mill.delete_rating(made.id, principal=other)
        with pytest.raises(ConfigError, match="no page begins there"):
            mill.ratings(principal=other, after=made.id)
    assert not mill.delete_rating("0" * 32, principal=ALICE)
    assert not mill.delete_rating(made.id, principal=MIA, everyone=True), "an administrator of another tenant"
    assert mill.delete_rating(made.id, principal=ALICE)
    assert own(mill, ALICE) == []


def test_an_administrator_reads_what_was_said_but_not_an_answer_out_of_what_it_may_not_read(
    mill: Loremill, budget: Answer
) -> None:
    rate(mill, budget, comment="is this right?")
    (seen,) = own(mill, ADA, everyone=True)
    assert (seen.comment, seen.answer, seen.answer_id, seen.citations) == ("is this right?", None, None, ())
    assert "340,000" not in str(seen.to_json())


def test_an_answer_leaves_a_rating_when_its_right_is_taken_away_also_from_the_rater(
    mill: Loremill, budget: Answer
) -> None:
    rate(mill, budget)
    assert own(mill, ALICE)[0].answer == budget.answer
    mill.set_acl(collection="company", document_id="budget.md", allow=["user:bob"])
    assert own(mill, ALICE)[0].answer is None
    assert own(mill, BOB, everyone=True)[0].answer == budget.answer


def test_what_may_not_be_read_is_refused_as_what_is_not_there(mill: Loremill, budget: Answer) -> None:
    chunk = budget.citations[0].chunk_id
    said = []
    for principal, citations, documents in (
        (BOB, [chunk], []),
        (ALICE, ["0" * 32], []),
        (BOB, [], ["budget.md"]),
        (ALICE, [], ["gone.md"]),
    ):
        told = budget.to_json() | {"citations": citations}
        with pytest.raises(ConfigError) as caught:
            rate(mill, told, principal, correct_document_ids=documents)
        said.append(str(caught.value).replace((citations + documents)[0], "IT"))
    assert len(set(said)) == 1, said
    assert own(mill, ADA, everyone=True) == []


def test_what_is_not_there_or_not_as_it_should_be_is_told(mill: Loremill, budget: Answer) -> None:
    good = budget.to_json()
    with pytest.raises(ReleaseNotFound):
        rate(mill, good | {"release": "r0"})
    with pytest.raises(CollectionNotFound):
        mill.feedback(good, collection="plans", principal=ALICE, rating="up")
    for changes, said in (
        ({"question": " "}, '"question" must be a text'),
        ({"citations": "abc"}, '"citations" must be a list'),
        ({"citations": [{}]}, '"citations" must be a list of ids'),
        ({"answer": 3}, '"answer" must be a text'),
    ):
        with pytest.raises(ConfigError, match=said):
            rate(mill, good | changes)
    for rating in (0, 6, True, "better", None, 1.5):
        with pytest.raises(ConfigError, match='"rating" must be'):
            rate(mill, good, rating=rating)  # type: ignore[arg-type]
    for option in ({"comment": "x" * 4_001}, {"correct_document_ids": ["leave.md"] * 101}):
        with pytest.raises(TooLarge):
            rate(mill, good, **option)
    with pytest.raises(ConfigError, match="cannot be written as a literal"):
        rate(mill, good | {"citations": []}, Principal("halden", "user:x,group:finance"))
    assert own(mill, ADA, everyone=True) == []


def test_a_deactivated_rater_reads_nothing_and_the_log_says_who_rated_read_and_deleted(
    mill: Loremill, budget: Answer, write_tree: Callable[..., Path]
) -> None:
    from indexes.audit import AuditLog

    before = caller.set(Caller("key:1", "user:root"))
    try:
        made = rate(mill, budget)
    finally:
        caller.reset(before)
    assert made.actor == "user:root"
    own(mill, ADA, everyone=True)
    mill.delete_rating(made.id, principal=ADA, everyone=True)
    log = AuditLog.of(mill.home / "tenants/halden", mill.settings)
    records = [(one["subject"], one["actor"], one["detail"]["action"]) for one in log.read(kind="feedback")]
    assert records == [
        ("user:alice", "user:root", "rate"), ("user:ada", None, "read"), ("user:ada", None, "delete"),
    ]  # fmt: skip
    people = write_tree({"principals.yaml": "alice: {tenant: halden, active: false}\n"}, "people")
    mill.directory.import_principals(people / "principals.yaml")
    with pytest.raises(AccessDenied):
        own(mill, ALICE)


def test_pages_show_each_rating_once(mill: Loremill, budget: Answer) -> None:
    told = budget.to_json() | {"citations": [], "answer": ""}
    made = [rate(mill, told, (ALICE, BOB)[number % 2]).id for number in range(7)]
    pages, after = [], None
    while page := mill.ratings(principal=ADA, everyone=True, limit=3, after=after):
        pages.append([one.id for one in page])
        after = page[-1].id
    assert [name for page in pages for name in page] == made
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [one.id for one in own(mill, BOB, limit=2)] == made[1:4:2]
