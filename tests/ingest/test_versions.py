"""Whether a document says that it is superseded, and since when."""

from __future__ import annotations

import pytest

from ingest.versions import superseded


@pytest.mark.parametrize(
    ("text", "since"),
    [
        (
            "# Leave\n\nVersion 2. Effective 1 January 2023. Status: superseded by version 3 from 1 January 2026.",
            "2026-01-01",
        ),
        (
            "Document HB-031, version 1. Effective 1 May 2022. Superseded by the policy 2025 on 1 September 2025.",
            "2025-09-01",
        ),
        ("Status: superseded by the travel policy 2026 (HB-017, version 4) from March 3, 2026.", "2026-03-03"),
        ("This price list was replaced by the list 2027 on 2027-01-01.", "2027-01-01"),
        ("# Old form\n\nStatus: archived", ""),
        ("This policy is no longer in force.", ""),
    ],
)
def test_a_document_that_says_so_is_superseded(text: str, since: str) -> None:
    assert superseded(text) == since


@pytest.mark.parametrize(
    "text",
    [
        "Version 3. Effective 1 January 2026. This policy supersedes the parental leave policy 2023.",
        "The pump was replaced by a new one on 3 March 2026.",
        "The form EX-6 has been replaced by EX-7.",
        "Thresholds were replaced.",
        "x" * 2000 + "\nStatus: superseded by version 3.",
        "",
    ],
)
def test_a_document_that_speaks_of_others_is_not(text: str) -> None:
    assert superseded(text) is None


def test_an_impossible_date_is_no_date() -> None:
    assert superseded("Status: superseded by version 3 from 31 February 2026.") == ""
