"""Human output: whatever documents hold, terminals stay unharmed."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from service import render


def shown(picture: Any) -> str:
    console = Console(width=100, color_system=None)
    with console.capture() as capture:
        console.print(picture)
    return capture.get()


def hit(**change: Any) -> dict[str, Any]:
    return {"rank": 1, "score": 0.5, "document_id": "d", "uri": "u", "title": "t", "text": "text", **change}


def search(query: str, *hits: dict[str, Any]) -> dict[str, Any]:
    return {"query": query, "hits": list(hits), "principal": "user:a", "timings_ms": {"total": 1.0}}


@given(text=st.text(max_size=400), query=st.text(max_size=40))
def test_no_control_character_of_a_document_reaches_the_terminal(text: str, query: str) -> None:
    out = shown(render.found(search(query, hit(text=text + "\x1b]0;owned\x07", title=text, uri=text))))
    assert not any(ord(character) < 32 and character != "\n" for character in out.replace("\t", ""))
    assert "\x9b" not in out


def test_markup_in_a_document_is_text() -> None:
    assert "[red]stop[/red] [/nonsense]" in shown(render.found(search("x", hit(text="[red]stop[/red] [/nonsense]"))))


def test_the_snippet_shows_the_words_asked_for_and_marks_them() -> None:
    text = render.snippet("filler " * 200 + "the marketing budget is large " + "filler " * 200, "marketing budget?")
    assert "marketing budget" in text.plain
    assert len(text.plain) < 300
    assert {text.plain[span.start : span.end] for span in text.spans} == {"marketing", "budget"}


def test_nothing_found_says_so() -> None:
    assert "Nothing found" in shown(render.found(search("x")))


def test_an_unsupported_sentence_is_flagged() -> None:
    answer = {
        "answer": "Yes.",
        "abstained": False,
        "sentences": [{"text": "Yes.", "supported": False}],
        "citations": [],
        "notice": "the model failed",
    }
    out = shown(render.answered(answer))
    assert "Not supported" in out
    assert "the model failed" in out
