"""Made-up input that the property tests of several folders share."""

from __future__ import annotations

from hypothesis import strategies as st

MARKDOWN = st.lists(
    st.sampled_from(
        [
            "# H",
            "- a b",
            "| a | b |",
            "|---|---|",
            "```",
            "> q",
            "Text. More",
            "e.g. x",
            "",
            " ",
            "\n",
            "\n\n",
            "A.",
            "---",
            "[1]",
            "é",
        ]
    )
    | st.text(max_size=6)
).map("".join)
