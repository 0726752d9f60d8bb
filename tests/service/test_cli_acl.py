"""`loremill acl` and `loremill explain` on a real home; every test leaves the rights as it found them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]
LEAVE = ("search", "parental leave weeks", "--collection", "company", "--mode", "lexical", "--json")


def found(run: Run, who: str) -> set[str]:
    return {hit["document_id"] for hit in run(*LEAVE, "--as", who).json["hits"]}


@pytest.fixture
def closed(run: Run) -> Any:
    """The leave policy is the finance department's, by a rule."""
    done = run("acl", "set", "--collection", "company", "--path", "leave.md", "--allow", "group:finance", "--json")
    yield done.json
    run("acl", "unset", str(done.json["rule"]["rule_id"]), "--collection", "company")


def test_a_rule_holds_for_the_next_search_and_is_listed(run: Run, closed: Any) -> None:
    assert closed["documents"] == 1
    assert (found(run, "bob"), found(run, "alice")) == (set(), {"leave.md"})
    rules = run("acl", "list", "--collection", "company", "--json").json["rules"]
    assert [(rule["path"], rule["allow"], rule["deny"]) for rule in rules] == [("leave.md", ["group:finance"], [])]
    assert "leave.md" in run("acl", "list", "--collection", "company").out


def test_without_its_rule_everything_is_as_the_source_says(run: Run, closed: Any) -> None:
    undone = run("acl", "unset", str(closed["rule"]["rule_id"]), "--collection", "company", "--json").json
    assert (undone["documents"], found(run, "bob")) == (1, {"leave.md"})
    assert run("acl", "list", "--collection", "company", "--json").json["rules"] == []


def test_an_ingestion_in_between_does_not_undo_the_rule(run: Run, closed: Any, place: Any) -> None:
    run("ingest", str(place.documents / "company"), "--collection", "company", "--full")
    assert found(run, "bob") == set()


def test_a_rule_that_says_nothing_or_is_malformed_is_a_usage_error(run: Run) -> None:
    for wrong in (["--path", "**"], ["--allow", "everyone"], ["--path", "**", "--allow", "finance"]):
        done = run("acl", "set", "--collection", "company", *wrong, "--json")
        assert (done.code, done.json["error"]["type"]) == (64, "ConfigError")


def test_explain_names_the_rule_and_the_way_through_the_groups(run: Run) -> None:
    allowed = run("explain", "finance/budget.md", "--as", "alice", "--json")
    (one,) = allowed.json["explained"]
    assert (allowed.code, one["readable"]) == (0, True)
    assert one["because"] == "allowed: group:finance is on the allow list"
    assert one["group_path"] == ["user:alice", "group:finance"]
    (rule,) = one["rules"]
    assert rule.startswith("acl.yaml of ")
    assert rule.endswith(": finance/**")
    refused = run("explain", "finance/budget.md", "--as", "bob", "--json")
    assert (refused.code, refused.json["explained"][0]["because"]) == (1, "denied: not on the allow list")


def test_explain_names_what_was_set_above_the_source(run: Run, closed: Any) -> None:
    said = run("explain", "leave.md", "--as", "bob", "--json").json["explained"][0]["rules"]
    assert said[0].endswith(": default")
    assert said[1].startswith(f"rule {closed['rule']['rule_id']}, set ")
    assert said[1].endswith(": leave.md")
    assert "may not read" in run("explain", "leave.md", "--as", "bob").out


def test_explain_of_a_document_that_is_not_there_is_an_error(run: Run) -> None:
    assert run("explain", "never.md", "--as", "alice").code == 64
