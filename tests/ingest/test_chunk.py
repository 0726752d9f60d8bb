"""Chunks are exact spans in reading order that lose nothing and follow the document's structure."""

from __future__ import annotations

import re
import time
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from indexes.errors import ConfigError
from indexes.vocabulary import Chunk, Document
from ingest.chunk import chunk, chunk_many


def count_tokens(texts: list[str]) -> list[int]:
    """Words and marks, as a word-piece tokenizer sees them before it looks into the words."""
    return [len(re.findall(r"\w+|[^\w\s]", text)) for text in texts]


def count_letters(texts: list[str]) -> list[int]:
    """As hard as a tokenizer can be: each letter is as many tokens as bytes."""
    return [len(re.sub(r"\s", "", text).encode("utf-8", "surrogatepass")) for text in texts]


def split(text: str, max_tokens: int = 50, overlap: int = 0) -> list[Chunk]:
    document = Document("d", "file:///d.md", "", text, "md")
    return chunk(document, max_tokens=max_tokens, overlap=overlap, count_tokens=count_tokens)


lines = st.one_of(
    st.sampled_from(
        ["# One", "## Two", "### Three", "```", "~~~~", "| a | b |", "| --- | --- |", "- item", "1. item", "", ""]
    ),
    st.sampled_from(
        ["A sentence. Another one! A third?", "word " * 40, "x" * 300, "  - deeper", "a | b", "#", "日本語。" * 9]
    ),
    st.text(max_size=60),
)
markdown = st.lists(lines, max_size=25).map("\n".join)


@settings(max_examples=300, deadline=None)
@given(markdown, st.integers(1, 60))
def test_spans_are_exact_disjoint_and_in_order_and_lose_no_character(text: str, max_tokens: int) -> None:
    for counter in (count_tokens, count_letters):
        document = Document("d", "", "", text, "md")
        chunks = chunk(document, max_tokens=max_tokens, overlap=0, count_tokens=counter)
        covered = 0
        for ordinal, piece in enumerate(chunks):
            assert piece.ordinal == ordinal
            assert text[piece.start : piece.end] == piece.text != ""
            assert piece.start >= covered
            assert not text[covered : piece.start].strip()
            covered = piece.end
            assert counter([piece.text])[0] <= max(max_tokens, 4)
        assert not text[covered:].strip()


@settings(deadline=None)
@given(markdown, st.integers(5, 40), st.integers(1, 4))
def test_an_overlap_repeats_the_end_of_the_chunk_before_and_keeps_the_limit(
    text: str, limit: int, overlap: int
) -> None:
    before: Chunk | None = None
    for piece in split(text, limit, overlap):
        assert text[piece.start : piece.end] == piece.text
        assert count_tokens([piece.text])[0] <= limit
        if before is not None:
            assert before.start < piece.start
            assert before.end < piece.end
            shared = text[piece.start : max(before.end, piece.start)]
            assert count_tokens([shared])[0] <= overlap
        before = piece


def test_an_overlap_is_there() -> None:
    text = " ".join(f"Sentence number {number} ends here." for number in range(40))
    chunks = split(text, 50, 10)
    assert len(chunks) > 1
    assert all(a.end - b.start > 20 for a, b in pairwise(chunks))


@settings(deadline=None)
@given(markdown)
def test_a_document_that_fits_is_one_chunk(text: str) -> None:
    assume("x" * 100 not in text)  # so long a word weighs more than the tokenizer says
    size = count_tokens([text])[0]
    if text.strip() and size:
        assert len(split(text, size)) == 1


def test_a_blank_document_has_no_chunk() -> None:
    assert split(" \n\t\n") == []


def test_headings_start_chunks_and_give_the_path() -> None:
    body = "Some words that fill the section. " * 10
    text = f"# Handbook\n\n{body}\n\n## Leave\n\n{body}\n\n### Parental\n\n{body}\n\n## Travel\n\n{body}"
    chunks = split(text, 80)
    assert [piece.headings for piece in chunks] == [
        ("Handbook",),
        ("Handbook", "Leave"),
        ("Handbook", "Leave", "Parental"),
        ("Handbook", "Travel"),
    ]
    assert chunks[2].text.startswith("### Parental")


def test_a_heading_goes_with_its_text_also_when_another_heading_stands_between() -> None:
    text = "# Title\n\n## Section\n\n" + "Words of the section. " * 12 + "\n\n## Next\n\n" + "Other words there. " * 12
    first, second = split(text, 80)
    assert first.text.startswith("# Title\n\n## Section\n\nWords")
    assert first.headings == ("Title", "Section")
    assert second.headings == ("Title", "Next")


def test_tiny_sections_join_their_siblings() -> None:
    text = "# Glossary\n\n" + "\n\n".join(f"## Term {number}\n\nMeaning of it." for number in range(30))
    chunks = split(text, 60)
    sizes = count_tokens([piece.text for piece in chunks])
    assert min(sizes[:-1]) > 40
    assert all(piece.headings[0] == "Glossary" for piece in chunks)


def test_a_tiny_section_does_not_join_one_under_another_parent() -> None:
    body = "Words that fill the section well enough to stand. " * 5
    text = f"# A\n\n{body}\n\n## A1\n\nTiny.\n\n# B\n\n{body}"
    assert [piece.text[:3] for piece in split(text, 60)] == ["# A", "# B"]


def test_a_hash_in_fenced_code_is_no_heading() -> None:
    text = "# Real\n\n```sh\n# a comment\n" + "run this thing\n" * 30 + "```\n\nAfter it."
    assert {piece.headings for piece in split(text, 40)} == {("Real",)}


def test_blocks_that_fit_are_not_torn() -> None:
    table = "| Item | Price |\n| --- | --- |\n" + "\n".join(f"| thing {n} | {n} |" for n in range(5))
    items = "\n".join(f"- point {n}" for n in range(8))
    code = "```\nfirst line\n\nsecond line\n```"
    text = "\n\n".join(["Intro words here. " * 8, table, "More words here. " * 8, items, code])
    chunks = split(text, 60)
    for block in (table, items, code):
        assert any(block in piece.text for piece in chunks)


def test_a_long_table_is_cut_between_rows_and_names_its_header() -> None:
    text = "# Prices\n\n| Item | Price |\n| --- | --- |\n" + "\n".join(f"| thing {n} | {n} |" for n in range(60))
    chunks = split(text, 50)
    assert len(chunks) > 3
    assert all(line.startswith("|") and line.endswith("|") for piece in chunks[1:] for line in piece.text.split("\n"))
    assert all(piece.headings == ("Prices", "Item | Price") for piece in chunks[1:])


def test_long_prose_is_cut_between_sentences_into_parts_of_like_size() -> None:
    text = " ".join(f"This is the sentence with number {n}." for n in range(20))
    chunks = split(text, 50)
    assert all(piece.text.endswith(".") for piece in chunks)
    sizes = count_tokens([piece.text for piece in chunks])
    assert max(sizes) - min(sizes) <= 16


def test_setext_free_text_and_unclosed_fences_lose_nothing() -> None:
    text = "Intro\n\n```\n" + "line of code here\n" * 40
    assert "".join(piece.text for piece in split(text, 30)).count("line of code") == 40


def test_counting_goes_in_few_calls() -> None:
    calls = 0

    def counted(texts: list[str]) -> list[int]:
        nonlocal calls
        calls += 1
        return count_tokens(texts)

    text = "# A\n\n" + "\n\n".join("Words in a paragraph. " * 30 for _ in range(50))
    chunk(Document("d", "", "", text, "md"), max_tokens=50, overlap=0, count_tokens=counted)
    assert calls <= 4


marks = ("word ", "# ", "`", "| ", "[", ". ", "= ", "It. ", "|\n" + " " * 50 + "x")


@pytest.mark.parametrize("text", ["a" * 5_000_000, *(mark * 60_000 for mark in marks)])
def test_time_is_linear_in_a_single_line_of_megabytes(text: str) -> None:
    started = time.process_time()  # the machine may be busy with other things
    chunks = split(text, 200)
    assert time.process_time() - started < 10
    assert sum(len(re.sub(r"\s", "", piece.text)) for piece in chunks) == len(re.sub(r"\s", "", text))


@pytest.mark.parametrize(("max_tokens", "overlap"), [(0, 0), (10, 10), (10, -1)])
def test_limits_that_cannot_be_kept_are_refused(max_tokens: int, overlap: int) -> None:
    with pytest.raises(ConfigError, match="overlap"):
        split("text", max_tokens, overlap)


@settings(deadline=None)
@given(st.lists(markdown, max_size=4), st.integers(5, 60), st.integers(0, 4))
def test_many_documents_at_once_are_cut_as_each_alone(texts: list[str], max_tokens: int, overlap: int) -> None:
    documents = [Document(f"d{number}", "", "", text, "md") for number, text in enumerate(texts)]
    together = chunk_many(documents, max_tokens=max_tokens, overlap=overlap, count_tokens=count_tokens)
    alone = [chunk(one, max_tokens=max_tokens, overlap=overlap, count_tokens=count_tokens) for one in documents]
    assert together == alone


def test_counting_goes_in_few_calls_for_many_documents() -> None:
    calls = 0

    def counted(texts: list[str]) -> list[int]:
        nonlocal calls
        calls += 1
        return count_tokens(texts)

    documents = [Document(str(number), "", "", "Words in a paragraph. " * 40, "md") for number in range(100)]
    assert len(chunk_many(documents, max_tokens=50, overlap=0, count_tokens=counted)) == 100
    assert calls <= 4


def test_wiki_headings_give_the_path_too() -> None:
    body = "Some words that fill the section. " * 10
    chunks = split(f" = Chess = \n{body}\n = = Rules = = \n{body}\n== Openings ==\n{body}", 80)
    assert [piece.headings for piece in chunks] == [("Chess",), ("Chess", "Rules"), ("Chess", "Openings")]


def test_an_equation_is_no_heading() -> None:
    body = "Some words that fill the section. " * 10
    text = f"= x = y\n\n{body}\n\n= = =\n\n====\n\na = b = c\n\n{body}"
    assert {piece.headings for piece in split(text, 80)} == {()}


def test_paragraphs_that_fit_are_not_torn_even_where_no_blank_line_parts_them() -> None:
    paragraphs = [f"Paragraph {n} says one thing. It says it in {n} ways. Then it ends." for n in range(40)]
    chunks = split("\n".join(paragraphs), 60)
    assert all(any(paragraph in piece.text for piece in chunks) for paragraph in paragraphs)


def test_a_line_that_leads_in_goes_with_what_it_leads_to() -> None:
    filler = "Words that fill the chunk up to the brim of it."
    text = "\n\n".join([filler] * 3 + ["The limits are as follows:", "- ten hours\n- two days"] + [filler] * 3)
    assert any("as follows:\n\n- ten hours" in piece.text for piece in split(text, 45))


def test_chunks_are_of_like_size() -> None:
    text = "\n\n".join("A paragraph of eight words stands right here." for _ in range(100))
    sizes = count_tokens([piece.text for piece in split(text, 100)])
    assert max(sizes) - min(sizes) <= 18
