"""Lines with a place and a size become the paragraphs, headings and tables that a reader sees."""

from __future__ import annotations

from ingest.parsers.layout import Line, body_size, page_blocks

FULL = "a line of ordinary text that fills the column"


def column(*lines: str, size: float = 10.0, top: float = 700.0) -> list[Line]:
    return [Line(text, size, top - 12 * number) for number, text in enumerate(lines)]


def test_a_line_that_covers_two_rows_of_the_page_ends_no_paragraph() -> None:
    lines = [
        *column(FULL, FULL),
        Line(f"{FULL} {FULL}", 10, 676, rows=2),
        *column(FULL, "and the end.", top=652),
        *column("Another paragraph.", top=610),
    ]
    assert page_blocks(lines) == [" ".join([FULL] * 5) + " and the end.", "Another paragraph."]


def test_large_type_that_runs_on_is_a_paragraph_and_a_short_line_of_it_a_heading() -> None:
    lines = column(*[FULL] * 6, size=14, top=800) + column(*[FULL] * 9, top=600) + column("Results", size=14, top=450)
    found = page_blocks(lines, body_size([lines]))
    assert not found[0].startswith("#")
    assert found[-1] == "## Results"


def test_a_heading_on_two_lines_is_one_heading() -> None:
    lines = column("What we found in", "the second year", size=20) + column(*[FULL] * 4, top=640)
    assert page_blocks(lines)[0] == "# What we found in the second year"
