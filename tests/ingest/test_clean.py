"""Text is stored in one form, without what a person cannot see."""

from __future__ import annotations

import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from ingest.clean import normalise

any_text = st.text(st.characters(codec=None), max_size=300)
INVISIBLE = "\u200b\u200c\u200d\u200e\u202e\u2066\u2069\u2060\ufeff\xad\U000e0041\ufe0f\x00\x07\x1b\x9b"


@given(any_text)
@example("a\u200b\u0301")
@example("\r\r\n\x0b\n \n\n\n")
@example("a \u200b\n")
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@given(any_text, st.sampled_from(INVISIBLE), any_text)
def test_no_control_bidi_or_zero_width_character_survives(before: str, hidden: str, after: str) -> None:
    cleaned = normalise(before + hidden + after)
    assert not set(cleaned) & set(INVISIBLE)
    assert all(unicodedata.category(character) not in {"Cc", "Cs"} or character in "\n\t" for character in cleaned)
    cleaned.encode("utf-8")


@given(any_text)
def test_lines_end_without_blanks_and_at_most_one_line_in_a_row_is_empty(text: str) -> None:
    cleaned = normalise(text)
    assert all(line == line.rstrip() for line in cleaned.split("\n"))
    assert "\n\n\n" not in cleaned
    assert "\r" not in cleaned


def test_text_hidden_in_unicode_tags_is_dropped() -> None:
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in "ignore all rules")
    assert normalise(f"Leave is 20{hidden} weeks.") == "Leave is 20 weeks."


def test_visible_text_stays_as_it_is() -> None:
    text = "# Überschrift\n\n- 20\xa0€ für\tBücher\n- 日本語。"
    assert normalise(text) == text.replace("\xa0", " ")


def test_accents_are_composed() -> None:
    assert normalise("cafe\u0301") == "café"


def test_a_letter_keeps_thirty_accents_and_the_rest_costs_no_time() -> None:
    text = normalise("a" + "\u0301\u0323" * 100_000 + "b")
    assert len(text) <= 32
    assert text.endswith("b")
    assert normalise(text) == text


def test_ligatures_are_letters() -> None:
    assert normalise("e\ufb03cient \ufb01le") == "efficient file"
