"""What a question asks for, how it falls into parts, and what it takes from the turn before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.question import Asked, frames, parts, read_question, standalone


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("How many days of leave do I get?", Asked.NUMBER),
        ("How long is parental leave?", Asked.NUMBER),
        ("What percentage of sales is paid as commission?", Asked.NUMBER),
        ("What does the heat pump cost?", Asked.NUMBER),
        ("What is the minimum order?", Asked.NUMBER),
        ("When does the office close?", Asked.MOMENT),
        ("By which date must expenses be filed?", Asked.MOMENT),
        ("Which quarter was the best?", Asked.MOMENT),
        ("Who approves travel?", Asked.NAME),
        ("Where is the depot?", Asked.NAME),
        ("Which supplier makes the valve?", Asked.NAME),
        ("What is a gasket?", Asked.ANYTHING),
        ("How do I reset my password?", Asked.ANYTHING),
        ("Describe the onboarding process.", Asked.ANYTHING),
        ("", Asked.ANYTHING),
    ],
)
def test_the_kind_of_thing_asked_for_is_read_from_the_wording(question: str, asked: Asked) -> None:
    assert read_question(question).asked is asked


@pytest.mark.parametrize(
    ("asked", "answer", "other"),
    [
        (Asked.NUMBER, "It is 20 weeks.", "It is long."),
        (Asked.NUMBER, "Every year has twelve of them.", "Every year has some."),
        (Asked.MOMENT, "It closes on Friday.", "It closes with a key."),
        (Asked.MOMENT, "It begins in March.", "It begins slowly."),
        (Asked.NAME, "It is made by Berger.", "It is made by hand."),
        (Asked.NAME, "The managers approve it.", "It needs approval."),
    ],
)
def test_an_answer_of_the_kind_is_told_from_one_without_it(asked: Asked, answer: str, other: str) -> None:
    assert asked.has(answer)
    assert not asked.has(other)


@given(st.text())
def test_any_text_can_answer_what_asks_for_anything(text: str) -> None:
    assert Asked.ANYTHING.has(text)


@pytest.mark.parametrize(
    ("question", "codes"),
    [
        ("What does the HV-40 cost?", ("hv-40",)),
        ("How fast are P1 and P2 tickets answered?", ("p1", "p2")),
        ("Is it certified to ISO-9001?", ("iso-9001",)),
        ("What is in the room for 40 people?", ()),
        ("Who wrote the FAQ of 2026?", ()),
    ],
)
def test_designations_of_letters_and_digits_are_codes_in_lower_case(question: str, codes: tuple[str, ...]) -> None:
    assert read_question(question).codes == codes


@pytest.mark.parametrize(
    ("question", "years"),
    [
        ("What changed from 1999 to 2026?", {"1999", "2026"}),
        ("What was the price in 2025 and again in 2025?", {"2025"}),
        ("What costs 2150 or 1850 euros, or 20260?", set()),
    ],
)
def test_years_of_the_last_and_this_century_are_read(question: str, years: set[str]) -> None:
    assert read_question(question).years == years


@pytest.mark.parametrize(
    ("question", "looks_back"),
    [
        ("What was the travel allowance?", True),
        ("What is the previous price?", True),
        ("How long did parental leave last year last?", True),
        ("What is the travel allowance?", False),
        ("How long is parental leave?", False),
    ],
)
def test_a_question_about_what_held_earlier_looks_back(question: str, looks_back: bool) -> None:
    assert read_question(question).looks_back is looks_back


@pytest.mark.parametrize(
    ("question", "wants_two"),
    [
        ("What changed in the travel policy?", True),
        ("Compare the price lists of 2025 and 2026.", True),
        ("How did the allowance rise?", True),
        ("What did it cost, and what does it cost now?", True),
        ("What is the allowance?", False),
        ("Which rules hold for trains and flights?", False),
    ],
)
def test_a_comparison_or_a_second_question_wants_two_things(question: str, wants_two: bool) -> None:
    assert read_question(question).wants_two is wants_two


@pytest.mark.parametrize(
    ("word", "framing"),
    [
        ("now", True),
        ("Previous", True),
        ("changed", True),
        ("difference", True),
        ("price", False),
        ("nowhere", False),
        ("exchange", False),
        ("", False),
    ],
)
def test_words_that_set_in_time_or_compare_frame_a_question(word: str, framing: bool) -> None:
    assert frames(word) is framing


@pytest.mark.parametrize(
    ("question", "split"),
    [
        (
            "How long is parental leave, and who decides on sabbatical requests?",
            ["How long is parental leave", "who decides on sabbatical requests?"],
        ),
        (
            "How long is parental leave and how many weeks of notice are needed?",
            ["How long is parental leave", "how many weeks of notice are needed?"],
        ),
        (
            "Where is the main depot, and at what time does the canteen open?",
            ["Where is the main depot", "at what time does the canteen open?"],
        ),
        (
            "How long is leave, and who pays the travel costs, and when does the canteen open?",
            ["How long is leave", "who pays the travel costs", "when does the canteen open?"],
        ),
    ],
)
def test_questions_that_and_joins_are_parts_in_order(question: str, split: list[str]) -> None:
    assert parts(question) == split


@pytest.mark.parametrize(
    "question",
    [
        "How long is parental leave?",
        "How long is parental leave, and who decides on it?",
        "What did the pump cost, and what does it cost now?",
        "Who may book flights, and why?",
        "Where is the office, and at what time does it open?",
        "How long is leave, and who pays the travel costs, and when do they end?",
        "Which rules hold for trains and flights?",
        "Describe the onboarding of interns and apprentices.",
    ],
)
def test_a_question_whose_parts_lean_on_each_other_stays_whole(question: str) -> None:
    assert parts(question) == [question]


WORDS = st.sampled_from(["how", "who", "what", "is", "the", "and", "it", "now", "leave", "price,", "?", "pay", "for"])


@given(st.lists(WORDS, max_size=20))
def test_parts_keep_the_words_of_the_question_in_order(words: list[str]) -> None:
    question = " ".join(words).replace(",", " ")
    left = iter(question.split())
    assert all(word in left for part in parts(question) for word in part.split())


HISTORY = [
    {"role": "user", "content": "Who leads sales?"},
    {"role": "assistant", "content": "Ines Falk does [1]."},
    {"role": "user", "content": "How many days of leave do employees get?"},
    {"role": "assistant", "content": "They get 30 days [1]."},
]


@pytest.mark.parametrize(
    "question",
    [
        "And for interns?",
        "And what do the interns of the factory get?",
        "What about the people in the factory?",
        "How about all temporary workers there?",
        "Who decides on it when a manager is away?",
        "For interns?",
    ],
)
def test_a_question_that_leans_on_the_turn_before_is_searched_with_it(question: str) -> None:
    assert standalone(question, HISTORY) == f"How many days of leave do employees get?\n{question}"


def test_a_question_that_stands_alone_is_searched_alone() -> None:
    question = "What does a train ticket to Basel cost?"
    assert standalone(question, HISTORY) == question


@pytest.mark.parametrize(
    "history",
    [
        [],
        [{"role": "assistant", "content": "They get 30 days."}],
        [{"role": "user", "content": " "}],
        [{"role": "user"}],
    ],
)
def test_without_an_earlier_question_nothing_is_put_in_front(history: list[dict[str, str]]) -> None:
    assert standalone("And for interns?", history) == "And for interns?"


@given(st.text(), st.lists(st.tuples(st.sampled_from(["user", "assistant", "system"]), st.text()), max_size=5))
def test_only_the_users_turns_enter_what_is_searched_for(question: str, turns: list[tuple[str, str]]) -> None:
    history = [{"role": role, "content": content} for role, content in turns]
    users = [turn for turn in history if turn["role"] == "user"]
    assert standalone(question, history) == standalone(question, users)
