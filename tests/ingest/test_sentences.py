"""Sentences end where a reader ends them, as offsets into the text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sentences import sentence_spans
from tests.strategies import MARKDOWN


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    "text",
    [
        "See e.g. the handbook for i.e. all staff.",
        "Dr. Smith of Acme Inc. signed it.",
        "The U.S. office opens at 9 a.m. every day.",
        "Version 2.1 costs 3.50 euros.",
        "See p. 12 and No. 5 of the annex.",
        "J. R. Smith wrote it.",
        "It starts on 3. March 2026.",
        "Ask at example.com for more.",
    ],
)
def test_an_abbreviation_number_or_initial_does_not_end_a_sentence(text: str) -> None:
    assert sentences(text) == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One ends. Two starts.", ["One ends.", "Two starts."]),
        ("Really? Yes! Good.", ["Really?", "Yes!", "Good."]),
        ("It made 5 p.m. The end came.", ["It made 5 p.m.", "The end came."]),
        ("He said “stop.” Then he left.", ["He said “stop.”", "Then he left."]),
        ("Leave is 20 weeks. [1] More is paid [2].", ["Leave is 20 weeks. [1]", "More is paid [2]."]),
        ("No. The rule stands.", ["No.", "The rule stands."]),
        ("It began in 2026. Nobody knew.", ["It began in 2026.", "Nobody knew."]),
        ("这是一句。这是两句。", ["这是一句。", "这是两句。"]),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_a_hard_wrapped_paragraph_joins_across_its_lines() -> None:
    assert sentences("A sentence that runs\nover two lines. The next\none too.") == [
        "A sentence that runs\nover two lines.",
        "The next\none too.",
    ]


def test_headings_fenced_code_and_rules_are_no_sentences() -> None:
    text = "# Title\n\nText one.\n\nUnder\n-----\n\n```py\nx = 1. Foo\n```\n\n---\n\nText two."
    assert sentences(text) == ["Text one.", "Text two."]


def test_prose_after_an_unclosed_fence_is_not_lost() -> None:
    assert sentences("code()\n```\nProse after it.") == ["code()", "Prose after it."]


def test_list_items_stand_alone_without_their_markers() -> None:
    text = "Intro:\n- first item\n- second item. With more\n  on the next line\n1. step one\n2. [x] done"
    assert sentences(text) == [
        "Intro:",
        "first item",
        "second item.",
        "With more\n  on the next line",
        "step one",
        "done",
    ]


def test_table_rows_stand_alone_and_header_and_delimiter_are_left_out() -> None:
    text = "Before.\n\n| Product | Price |\n|---|--:|\n| HX-200 | 42. Or so |\n| HX-300 | 50 |\nAfter."
    assert sentences(text) == ["Before.", "| HX-200 | 42. Or so |", "| HX-300 | 50 |", "After."]


def test_lines_that_are_label_and_value_stand_alone() -> None:
    assert sentences("From: Anna\nTo: Bert\nSubject: The pump") == ["From: Anna", "To: Bert", "Subject: The pump"]


@given(MARKDOWN)
def test_spans_are_ordered_trimmed_apart_and_hold_something(text: str) -> None:
    last = 0
    for start, end in sentence_spans(text):
        assert last <= start < end <= len(text)
        assert text[start:end] == text[start:end].strip()
        assert any(char.isalnum() for char in text[start:end])
        last = end


@given(st.lists(st.text("abc", min_size=2, max_size=6).map(lambda word: f"The {word} works."), min_size=1, max_size=5))
def test_plain_sentences_come_back_as_they_went_in(parts: list[str]) -> None:
    assert sentences(" ".join(parts)) == parts


@pytest.mark.parametrize(
    "unit",
    [
        "A plain sentence of some length stands here. ",
        "| a | 1. b |\n",
        "> " * 8 + "x\n",
        ". [1] ",
        "|",
        "`" * 3 + "\n",
        "- ",
    ],
)
def test_time_grows_with_length_only(unit: str) -> None:
    """Ten times the text takes far less than a hundred times as long, whatever it consists of."""

    def seconds(length: int) -> float:
        text = (unit * (length // len(unit) + 1))[:length]
        taken = []
        for _ in range(3):  # the least of three: a collection of garbage may fall into one of them
            began = time.process_time()
            sentence_spans(text)
            taken.append(time.process_time() - began)
        return min(taken)

    assert seconds(200_000) < 40 * max(seconds(20_000), 0.002)
