"""What is embedded of a chunk."""

from __future__ import annotations

import pytest

from ingest.embed import embedding_text


@pytest.mark.parametrize(
    ("title", "headings", "text", "embedded"),
    [
        ("Leave", ("Parents", "Weeks"), "20 weeks.", "Leave > Parents > Weeks\n\n20 weeks."),
        ("Leave", ("Leave", "Weeks"), "20 weeks.", "Leave > Weeks\n\n20 weeks."),
        ("Leave", (), "# Leave\n\n20 weeks.", "# Leave\n\n20 weeks."),  # it says so itself
        ("", (), "20 weeks.", "20 weeks."),
    ],
)
def test_a_chunk_is_embedded_with_the_place_it_stands_in(
    title: str, headings: tuple[str, ...], text: str, embedded: str
) -> None:
    assert embedding_text(title, headings, text) == embedded
