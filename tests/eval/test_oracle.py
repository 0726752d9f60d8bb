"""The independent judge: its own reading of acl.yaml as a matrix of rule x path, and where a text was taken from."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.oracle import Oracle, Rights, matches, read_oracle, read_rules
from indexes.errors import DatasetError
from indexes.vocabulary import Principal

ACL = """
tenant: halden
default: {allow: [everyone]}
rules:
  - path: "finance/**"
    allow: [group:finance]
  - path: "finance/cost-centres.csv"
    allow: [everyone]
  - path: "hr/**"
    allow: [group:hr]
  - path: "hr/cases/**"
    deny: [user:eve]
  - path: "secret.md"
    allow: []
"""
ALICE = Principal("halden", "user:alice")
CAROL = Principal("halden", "user:carol", ("group:finance",))
DAVE = Principal("halden", "user:dave", ("group:hr",))
EVE = Principal("halden", "user:eve", ("group:hr",))
MALLORY = Principal("rival", "user:mallory", ("group:finance", "group:hr"))

PUBLIC = "The canteen in Brno opens at seven and closes at half past two on every working day."
PAY = "The base pay of the chief executive was raised to three hundred thousand euro from April."
ORACLE = Oracle(
    {"canteen.md": f"Canteen\n\n{PUBLIC}", "pay.md": f"Board minutes\n\n{PAY} Bonus pool: EUR 42,000."},
    {"canteen.md": Rights("halden", frozenset({"everyone"})), "pay.md": Rights("halden", frozenset({"group:board"}))},
)
OPEN = frozenset({"canteen.md"})


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("finance/**", "finance/a/b.md", True),
        ("finance/**", "finance", False),
        ("finance/**", "old/finance/a.md", False),
        ("**/drafts/*", "drafts/a.md", True),
        ("**/drafts/*", "x/y/drafts/a.md", True),
        ("**/drafts/*", "drafts/a/b.md", False),
        ("a/**/z.md", "a/z.md", True),
        ("a/**/z.md", "a/b/c/z.md", True),
        ("*.csv", "deep/down/a.csv", True),
        ("/*.csv", "deep/a.csv", False),
        ("password-policy-*.txt", "security/password-policy-2026.txt", True),
        ("hr", "hr/cases/1.md", True),
        ("hr/", "hr/cases/1.md", True),
        ("hr/", "hr", False),
        ("a?.md", "ab.md", True),
        ("a?.md", "a/.md", False),
        ("a[1].md", "a[1].md", True),
        ("a[1].md", "a1.md", False),
    ],
)
def test_patterns_mean_what_the_acl_files_documentation_says(pattern: str, path: str, expected: bool) -> None:
    assert matches(pattern, path) is expected


@given(
    st.lists(st.sampled_from(["a", "b", "*", "**", "?", "a*"]), min_size=1, max_size=4).map("/".join),
    st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=4).map("/".join),
)
def test_two_independent_readings_of_a_pattern_agree(pattern: str, path: str) -> None:
    """The serving code translates to regular expressions, the oracle walks the segments."""
    from indexes.path_pattern import compile_pattern

    assert matches(pattern, path) == bool(compile_pattern(pattern).fullmatch(path)), (pattern, path)


@pytest.mark.parametrize(
    ("path", "readers"),
    [
        ("handbook/a.md", {"alice", "carol", "dave", "eve"}),
        ("finance/budget.xlsx", {"carol"}),
        ("finance/cost-centres.csv", {"alice", "carol", "dave", "eve"}),
        ("hr/bands.md", {"dave", "eve"}),
        ("hr/cases/1.md", {"dave"}),
        ("secret.md", set()),
    ],
)
def test_the_last_rule_wins_deny_beats_allow_and_no_tenant_is_crossed(
    tmp_path: Path, path: str, readers: set[str]
) -> None:
    (tmp_path / "acl.yaml").write_text(ACL)
    rights = read_rules(tmp_path / "acl.yaml").rights(path)
    everyone = {"alice": ALICE, "carol": CAROL, "dave": DAVE, "eve": EVE, "mallory": MALLORY}
    assert {name for name, principal in everyone.items() if rights.admit(principal)} == readers


@pytest.mark.parametrize(
    "text", ["- just a list", "rules: 3\ntenant: t", "tenant: [", "default: {allow: [everyone]}", ""]
)
def test_a_file_that_is_no_acl_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "acl.yaml").write_text(text)
    with pytest.raises(DatasetError, match="not an ACL file"):
        read_rules(tmp_path / "acl.yaml")


def test_a_missing_acl_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="No such file"):
        read_rules(tmp_path / "acl.yaml")


@pytest.mark.parametrize(
    "text",
    [
        PAY,
        f"{PUBLIC} {PAY}",
        "So: THE BASE PAY, of the **chief executive**, was raised to three hundred thousand (sic).",
        "Bonus pool: EUR 42,000.",
        "Board minutes",
    ],
)
def test_a_text_that_only_an_unreadable_document_has_is_traced_to_it(text: str) -> None:
    assert ORACLE.foreign(text, OPEN) == {"pay.md"}
    assert ORACLE.foreign(text, OPEN | {"pay.md"}) == frozenset()


@pytest.mark.parametrize(
    "text", [PUBLIC, "", "[1]", "I could not find an answer.", "The canteen in Brno opens at seven."]
)
def test_a_text_of_readable_documents_or_of_none_is_no_leak(text: str) -> None:
    assert ORACLE.foreign(text, OPEN) == frozenset()


def test_the_askers_own_words_betray_nothing() -> None:
    assert ORACLE.foreign("Bonus pool: EUR 42,000.", OPEN, known="Is the bonus pool EUR 42,000?") == frozenset()


def test_a_folder_is_read_with_titles_texts_and_rights(tmp_path: Path) -> None:
    (tmp_path / "acl.yaml").write_text(ACL)
    (tmp_path / "finance").mkdir()
    (tmp_path / "finance/budget.md").write_text("# Budget 2026\n\nTravel is cut by half.\n")
    (tmp_path / "rows.jsonl").write_text('{"id": "r", "text": "Row text.", "acl": {"allow": ["user:dave"]}}\n')
    oracle = read_oracle(tmp_path)
    assert oracle.readable(CAROL) == {"finance/budget.md"}
    assert oracle.readable(DAVE) == {"rows.jsonl#r"}
    assert oracle.foreign("Travel is cut by half", frozenset()) == {"finance/budget.md"}
    assert oracle.foreign("Budget 2026", frozenset()) == {"finance/budget.md"}
