"""Markdown tables: numbers, gaps and characters that would break them."""

from __future__ import annotations

from eval.report import table


def test_a_table_formats_floats_gaps_and_escapes_what_would_break_a_row() -> None:
    assert (
        table(("a", "b"), [(0.12345, None), ("x|y\nz", 3)])
        == "| a | b |\n| --- | --- |\n| 0.123 | - |\n| x\\|y z | 3 |\n"
    )
