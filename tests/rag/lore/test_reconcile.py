from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from rag.lore.items import Action, FactDraft
from rag.lore.ledger import Ledger
from rag.lore.reconcile import holds, reconcile

START = datetime(2020, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def state(
    day: int, value: str, *, relation: str = "lives in", subject: str = "Ann", trust: float = 1.0, single: bool = True
) -> FactDraft:
    told = START + day * DAY
    text = f"{subject} {relation} {value}."
    return FactDraft(
        text,
        subject,
        relation,
        value,
        (f"{day}-{value}-{relation}",),
        single=single,
        valid_from=told,
        told=told,
        trust=trust,
    )


def ledger(drafts: Sequence[FactDraft]) -> Ledger:
    kept = Ledger()
    for draft in drafts:
        kept.take(draft)
    return kept


def history(kept: Ledger) -> set[tuple[object, ...]]:
    return {
        (one.draft.relation, one.draft.value, one.draft.valid_from, one.draft.valid_to) for one in kept.known.values()
    }


DAYS = st.integers(0, 400)
CHAIN = st.lists(DAYS, min_size=1, max_size=6, unique=True).map(
    lambda days: [state(day, f"Town{at}") for at, day in enumerate(days)]
)
ROWS = st.tuples(DAYS, st.sampled_from(["Ann", "Bo", "Cy"]), st.sampled_from(["job", "age", "diet", "lives in"]))
APART = st.lists(ROWS, max_size=8, unique_by=lambda one: one[1:]).map(
    lambda rows: [state(day, f"value{day}", relation=relation, subject=subject) for day, subject, relation in rows]
)


@given(st.data(), APART)
def test_the_order_of_arrival_of_independent_facts_does_not_matter(
    data: st.DataObject, drafts: list[FactDraft]
) -> None:
    assert history(ledger(data.draw(st.permutations(drafts)))) == history(ledger(drafts))


@given(st.data(), CHAIN)
def test_values_that_replace_each_other_come_to_one_history_in_whatever_order_they_are_told(
    data: st.DataObject, drafts: list[FactDraft]
) -> None:
    told = ledger(data.draw(st.permutations(drafts)))
    assert history(told) == history(ledger(sorted(drafts, key=lambda one: one.told or START)))
    assert not told.conflicts


@given(CHAIN)
def test_as_of_any_moment_one_value_holds_the_last_one_told_before_it(drafts: list[FactDraft]) -> None:
    told = ledger(drafts)
    for draft in drafts:
        assert draft.told is not None
        assert [one.draft.value for one in told.holding(draft.told)] == [draft.value]
        assert [one.draft.value for one in told.holding(draft.told + DAY / 2)] == [draft.value]


@given(CHAIN | APART)
def test_the_same_again_adds_nothing(drafts: list[FactDraft]) -> None:
    once = ledger(drafts)
    before = dict(once.known)
    actions = {once.take(draft).action for draft in drafts}
    assert actions <= {Action.REINFORCE, Action.IGNORE}
    assert history(once) == {
        (one.draft.relation, one.draft.value, one.draft.valid_from, one.draft.valid_to) for one in before.values()
    }


@settings(max_examples=60)
@given(st.lists(st.tuples(DAYS, st.sampled_from(["Rome", "Oslo"]), st.sampled_from([0.2, 1.0])), max_size=8))
def test_what_is_less_trusted_never_shortens_what_is_more_trusted(rows: list[tuple[int, str, float]]) -> None:
    kept = Ledger()
    for day, value, trust in rows:
        decision = reconcile(state(day, value, trust=trust), list(kept.known.values()), now=START)
        closed = [kept.known[id].trust for id in decision.about if decision.action in {Action.CLOSE, Action.RETRACT}]
        assert all(trust >= other for other in closed)
        kept.take(state(day, value, trust=trust))


def test_many_values_of_one_relation_stand_side_by_side() -> None:
    kept = ledger([state(1, "jazz", relation="likes", single=False), state(2, "opera", relation="likes", single=False)])
    assert {one.draft.value for one in kept.holding(START + 3 * DAY)} == {"jazz", "opera"}


def test_a_part_of_what_is_denied_is_a_conflict() -> None:
    kept = ledger([state(1, "two cats and a dog", relation="has", single=False)])
    told = START + 5 * DAY
    denial = FactDraft(
        "Ann no longer has a dog.", "Ann", "has", "a dog", ("x",), negated=True, ended=True, valid_from=told, told=told
    )
    assert kept.take(denial).action is Action.CONFLICT


def test_an_implied_denial_of_nothing_known_is_dropped() -> None:
    denial = FactDraft(
        "Ann sold the car.", "Ann", "has", "car", ("x",), negated=True, ended=True, told=START, confidence=0.4
    )
    assert reconcile(denial, [], now=START).action is Action.IGNORE


def test_a_change_within_a_stretch_that_reaches_past_what_is_known_closes_it() -> None:
    known = state(3, "Rome")
    moved = FactDraft(
        "Ann moved to Oslo.", "Ann", "lives in", "Oslo", ("x",), single=True, valid_from=START, began_by=START + 7 * DAY, told=START + 8 * DAY
    )  # fmt: skip
    kept = ledger([known, moved])
    assert [one.draft.value for one in kept.holding(START + 5 * DAY)] == ["Rome"]
    assert [one.draft.value for one in kept.holding(START + 7 * DAY)] == ["Oslo"]


def test_an_event_of_which_only_the_end_is_known_counts_from_then_on() -> None:
    event = FactDraft("Ann adopted a cat.", "Ann", "adopt", "a cat", ("x",), event=True, valid_to=START)
    assert not holds(event, START - DAY)
    assert holds(event, START)
    assert holds(event, START + 999 * DAY)


def test_a_decision_says_why() -> None:
    kept = ledger([state(1, "Rome")])
    for draft in (state(2, "Oslo"), state(1, "Rome"), state(0, "Bonn")):
        assert reconcile(draft, list(kept.known.values()), now=START).reason
