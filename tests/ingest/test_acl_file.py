"""acl.yaml: what opens, what closes, and that no mistake in it opens anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.errors import ConfigFileError
from indexes.path_pattern import compile_pattern
from indexes.vocabulary import NOBODY, Acl
from ingest.acl_file import AclRules

RULES = """\
tenant: halden
default: {allow: [everyone]}
rules:
  - path: "finance/**"
    allow: [group:finance, group:executives]
  - path: "hr/cases/**"
    allow: [group:hr]
    deny: [user:eve]
  - path: "hr/cases/public.md"
    allow: [everyone]
  - path: "*.draft.md"
    deny: [group:sales]
"""


@pytest.mark.parametrize(
    ("path", "allow", "deny"),
    [
        ("handbook/leave.md", ("everyone",), ()),
        ("finance/q1.pdf", ("group:executives", "group:finance"), ()),
        ("finance/2026/q1.pdf", ("group:executives", "group:finance"), ()),
        ("hr/cases/a.md", ("group:hr",), ("user:eve",)),
        ("hr/cases/public.md", ("everyone",), ()),
        ("finance/plan.draft.md", ("group:executives", "group:finance"), ("group:sales",)),
        ("hr/cases/x.draft.md", ("group:hr",), ("group:sales", "user:eve")),
        ("hr/interview.md", ("everyone",), ()),
    ],
)
def test_the_last_matching_rule_wins_and_a_deny_only_rule_narrows(path: str, allow: object, deny: object) -> None:
    acl, reason = AclRules.parse(RULES).resolve(path)
    assert (acl.allow, acl.deny) == (allow, deny)
    assert "acl.yaml" in reason


def test_the_reason_names_the_line_of_the_rule_that_decided() -> None:
    assert AclRules.parse(RULES).resolve("finance/q1.pdf")[1] == "acl.yaml:4: finance/**"


def test_without_a_default_nobody_may_read() -> None:
    assert AclRules.parse("rules: []").resolve("a.md") == (NOBODY, "acl.yaml: default")


def test_a_deny_only_rule_above_everything_opens_nothing() -> None:
    acl, _ = AclRules.parse("rules: [{path: '**', deny: ['user:eve']}]").resolve("a.md")
    assert acl == Acl((), ("user:eve",))


def test_composed_and_decomposed_letters_in_paths_are_the_same() -> None:
    rules = AclRules.parse("default: {allow: [everyone]}\nrules: [{path: 'bu\u0308ro/**', allow: [group:hr]}]")
    assert rules.resolve("b\xfcro/a.md")[0].allow == ("group:hr",)
    assert rules.resolve("bu\u0308ro/a.md")[0].allow == ("group:hr",)


@pytest.mark.parametrize(
    ("pattern", "matches", "misses"),
    [
        ("finance/**", ["finance/a", "finance/b/c"], ["finance", "x/finance/a", "finances/a"]),
        ("**/secret.md", ["secret.md", "a/secret.md", "a/b/secret.md"], ["a/notsecret.md"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b", "a/b/c"], ["ab", "a/xb"]),
        ("docs/*", ["docs/a.md"], ["docs/sub/a.md", "docs"]),
        ("*.pdf", ["a.pdf", "x/y/a.pdf"], ["a.pdf.txt"]),
        ("/README.md", ["README.md"], ["x/README.md"]),
        ("cases/", ["cases/a", "hr/cases/a/b"], ["cases"]),
        ("hr/cases/", ["hr/cases/a"], ["x/hr/cases/a"]),
        ("secret", ["secret", "x/secret", "x/secret/a.md"], ["secrets", "x/secret.md"]),
        ("hr/cases", ["hr/cases", "hr/cases/a.md"], ["hr/cases2/a.md"]),
        ("a?c.md", ["abc.md"], ["ac.md", "a/c.md"]),
        ("[draft].md", ["[draft].md"], ["d.md"]),
        ("**", ["a", "a/b"], []),
        ("a\nb*", ["a\nbc"], ["ab"]),
    ],
)
def test_patterns_match_as_in_codeowners(pattern: str, matches: list[str], misses: list[str]) -> None:
    regex = compile_pattern(pattern)
    assert [path for path in matches if not regex.fullmatch(path)] == []
    assert [path for path in misses if regex.fullmatch(path)] == []


names = st.text("ab.-[(+ü", min_size=1, max_size=4).filter(lambda name: name not in {".", ".."})
paths = st.lists(names, min_size=1, max_size=4)


@given(paths)
def test_a_plain_path_matches_itself_and_what_lies_below_and_nothing_beside(parts: list[str]) -> None:
    path = "/".join(parts)
    regex = compile_pattern(f"/{path}")
    assert regex.fullmatch(path)
    assert regex.fullmatch(f"{path}/below")
    assert not regex.fullmatch(f"{path}x")
    assert not regex.fullmatch(f"above/{path}")


@given(paths, paths)
def test_two_stars_span_any_depth_and_one_star_none(above: list[str], below: list[str]) -> None:
    folder, rest = "/".join(above), "/".join(below)
    assert compile_pattern(f"{folder}/**").fullmatch(f"{folder}/{rest}")
    assert compile_pattern(f"{folder}/**/{rest}").fullmatch(f"{folder}/{rest}")
    assert compile_pattern(f"**/{rest}").fullmatch(f"{folder}/{rest}")
    assert bool(compile_pattern(f"/{folder}/*").fullmatch(f"{folder}/{rest}")) == (len(below) == 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "must be a mapping"),
        ("- a", "must be a mapping"),
        ("default: {alow: [everyone]}", "acl.yaml:1: unknown key 'alow'"),
        ("defalt: {allow: [everyone]}", "unknown key 'defalt'"),
        ("default: {allow: everyone}", "acl.yaml:1: allow must be a list"),
        ("default: {allow: [all]}", "'all'"),
        ("default: {allow: [1]}", "must be text"),
        ("default: {allow: }", "nobody is []"),
        ("rules: {path: a}", "rules must be a list"),
        ("rules:\n  - path: a", "acl.yaml:2: a rule needs"),
        ("rules:\n  - allow: [everyone]", "acl.yaml:2: a rule needs"),
        ("rules:\n  - path: '!a'\n    allow: [everyone]", "acl.yaml:2"),
        ("rules:\n  - path: 'a\\b'\n    allow: [everyone]", "backslashes"),
        ("rules:\n  - path: '../a'\n    allow: [everyone]", "match nothing"),
        ("rules:\n  - path: ''\n    allow: [everyone]", "match nothing"),
        ("rules:\n  - path: a\n    allow: [group:x]\n    allow: [everyone]", "acl.yaml:4: 'allow' stands there twice"),
        ("rules:\n  - path: a\n   allow: [everyone]", "not valid YAML"),
        ("tenant: ../x", "tenant"),
        ("tenant: 5", "must be text"),
        ("? [a, b]\n: c", "unknown key"),
    ],
)
def test_a_malformed_file_is_an_error_that_says_where_and_what(text: str, expected: str) -> None:
    with pytest.raises(ConfigFileError) as caught:
        AclRules.parse(text)
    assert expected in str(caught.value)


def test_a_missing_or_binary_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigFileError, match=r"acl\.yaml"):
        AclRules.load(tmp_path / "acl.yaml")
    (tmp_path / "acl.yaml").write_bytes(b"\xff\xfe\x00default")
    with pytest.raises(ConfigFileError, match=r"acl\.yaml"):
        AclRules.load(tmp_path / "acl.yaml")


def test_a_file_is_read_with_its_tenant(tmp_path: Path) -> None:
    (tmp_path / "acl.yaml").write_text("\ufeff" + RULES, encoding="utf-8")
    assert AclRules.load(tmp_path / "acl.yaml").tenant == "halden"
