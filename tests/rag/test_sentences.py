"""Sentences lose their markup when they are read; table rows gain the names of their columns."""

from __future__ import annotations

import pytest
from hypothesis import given

from rag.sentences import plain, readable, sentence_spans, table_context
from tests.strategies import MARKDOWN


def test_quoted_lines_join_without_their_marks_at_the_ends() -> None:
    text = "> quoted text goes\n> on here. And ends."
    assert [readable(text, span) for span in sentence_spans(text)] == ["quoted text goes on here.", "And ends."]


def test_a_table_row_reads_as_header_and_cell() -> None:
    text = "| Product | | Price |\n|---|---|---|\n| **HX-200** | new \\| shiny | |\n| HX-300 | | 50 |"
    first, second = sentence_spans(text)
    assert readable(text, first) == "Product: HX-200; new | shiny"
    assert readable(text, second) == "Product: HX-300; Price: 50"
    assert table_context(text, second[0]) == "Product |  | Price"


def test_a_row_cut_from_its_header_still_reads_as_its_cells() -> None:
    assert readable("| HX-300 | 50 |", (0, 15)) == "HX-300; 50"
    assert table_context("| HX-300 | 50 |", 0) == ""


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("**Bold** and *slanted* and `code`", "Bold and slanted and code"),
        ('see [the page](https://example.com/a_(b) "t") now', "see the page now"),
        ("![a chart](chart.png) shows", "a chart shows"),
        ("- [x] done &amp; dusted<br>now", "done & dusted now"),
        ("snake_case_name and 2 * 3 * 4", "snake_case_name and 2 * 3 * 4"),
    ],
)
def test_plain_text_keeps_the_words_and_drops_the_markup(markdown: str, expected: str) -> None:
    assert plain(markdown) == expected


@given(MARKDOWN)
def test_readable_text_is_one_line(text: str) -> None:
    for span in sentence_spans(text):
        assert "\n" not in readable(text, span)
