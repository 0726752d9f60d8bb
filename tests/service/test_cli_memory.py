"""`loremill memory` on a real home, as one principal after another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from indexes.minilm import MiniLM

Run = Callable[..., Any]
ALICE, BOB = ("--as", "halden/user:alice"), ("--as", "halden/user:bob")


@pytest.fixture(autouse=True)
def _loaded(minilm: MiniLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands share the loaded embedder: loading it is most of what one takes."""
    monkeypatch.setattr("indexes.embedder.make_embedder", lambda *_, **__: minilm)


@pytest.fixture
def memory(run: Run) -> Iterator[Run]:
    """Run `loremill memory ... --json`; what alice remembered is gone afterwards."""
    yield lambda *arguments: run("memory", *arguments, "--json")
    run("memory", "forget", "--scope", "user", *ALICE)


def test_what_is_remembered_is_recalled_with_the_fields_of_the_contract(memory: Run) -> None:
    said = memory("remember", "I live in Lisbon.", "--session", "s1", "--time", "2025-06-01", *ALICE)
    assert said.code == 0
    (episode,) = said.json["episodes"]
    found = memory("recall", "Where do I live?", *ALICE).json["memories"]
    assert episode["id"] in {one["id"] for one in found}
    contract = {
        "id",
        "kind",
        "text",
        "score",
        "scope",
        "time",
        "valid_from",
        "valid_to",
        "trust",
        "metadata",
        "provenance",
    }
    assert all(contract <= one.keys() for one in found)
    assert any(one["kind"] != "episode" for one in found), "facts are derived before the command ends"
    assert memory("recall", "Where do I live?", *BOB).json["memories"] == []


def test_messages_come_from_a_file_of_lines_or_of_one_list(memory: Run, tmp_path: Path) -> None:
    talk = [{"role": "user", "content": f"Kiln {number} is red."} for number in range(3)]
    lines, whole = tmp_path / "talk.jsonl", tmp_path / "talk.json"
    lines.write_text("\n".join(map(json.dumps, talk)) + "\n\n")
    whole.write_text(json.dumps(talk, indent=1))
    for file, session in ((lines, "a"), (whole, "b")):
        done = memory("remember", "--file", str(file), "--session", session, *ALICE)
        assert [one["text"] for one in done.json["episodes"]] == [one["content"] for one in talk]
    assert len(memory("list", "--session", "a", "--kind", "episode", *ALICE).json["memories"]) == 3


def test_a_correction_is_told_and_undone(memory: Run) -> None:
    name = memory("remember", "The meeting is on Monday.", *ALICE).json["episodes"][0]["id"]
    assert memory("update", name, "The meeting is on Friday.", *ALICE).json["memory"]["text"].endswith("Friday.")
    events = memory("history", name, *ALICE).json["events"]
    assert memory("restore", events[-1]["id"], *ALICE).json["memory"]["text"].endswith("Monday.")
    assert memory("get", name, *ALICE).json["memory"]["text"].endswith("Monday.")


def test_what_is_forgotten_is_gone_and_the_receipt_tells_no_text(memory: Run) -> None:
    name = memory("remember", "My locker is number 17.", *ALICE).json["episodes"][0]["id"]
    receipt = memory("forget", name, *ALICE)
    assert receipt.json["counts"]["episode"] == 1
    assert "locker" not in receipt.out
    gone = memory("get", name, *ALICE)
    assert (gone.code, gone.json) == (1, {"memory": None})


def test_anothers_memory_reads_as_one_that_never_was(memory: Run) -> None:
    mine = memory("remember", "My pin is 7788.", *ALICE).json["episodes"][0]["id"]
    for command in (
        ("get",), ("history",), ("update", "It is 1."), ("share", "--scope", "user"), ("forget",), ("restore",),
    ):  # fmt: skip
        name, *more = command
        done = [memory(name, one, *more, *BOB) for one in (mine, "f" * 32)]
        told = [{**one.json, "id": None, "at": None, "salt": None, "seal": None} for one in done]
        assert (done[0].code, told[0]) == (done[1].code, told[1]), command
    assert memory("get", mine, *ALICE).json["memory"]["text"] == "My pin is 7788."


def test_writing_for_all_is_granted_and_taken_back(memory: Run) -> None:
    said = ("remember", "The office is closed on Mondays.", "--scope", "tenant", *ALICE)
    assert memory(*said).code == 64
    assert memory("grant", "tenant", "user:alice", "--tenant", "halden").json["granted"]
    assert memory(*said).code == 0
    assert memory("recall", "office closed", "--scope", "tenant", *BOB).json["memories"]
    memory("forget", "--scope", "tenant", *ALICE)
    assert not memory("grant", "tenant", "user:alice", "--tenant", "halden", "--revoke").json["granted"]
    assert memory(*said).code == 64


def test_consolidation_lets_expire_what_is_said_and_nothing_else(memory: Run) -> None:
    memory("remember", "The kiln was red.", "--time", "2020-01-01", *ALICE)
    assert memory("consolidate", *ALICE).json["expired"] == {}
    assert memory("consolidate", "--retention", "30", *ALICE).json["expired"] == {"retention": 1}
    assert memory("consolidate", "--retention", "0", *ALICE).code == 64


def test_a_prompt_is_one_text(memory: Run) -> None:
    memory("remember", "The lamp in room 7 is broken.", *ALICE)
    assert "lamp in room 7" in memory("recall", "lamp", "--prompt", "--max-tokens", "300", *ALICE).json["prompt"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("remember",), 64),
        (("remember", " "), 64),
        (("remember", "Hello there.", "--file", "x"), 64),
        (("remember", "--file", "/nowhere.json"), 65),
        (("remember", "Hello there.", "--scope", "planet"), 64),
        (("remember", "Hello there.", "--time", "yesterday"), 64),
        (("remember", "Hello there.", "--metadata", "[1]"), 64),
        (("remember", "Hello there.", "--metadata", "{"), 64),
        (("remember", "Hello there.", "--time", "2999-01-01"), 64),
        (("remember", "Hello there.", "--scope", "session"), 64),
        (("recall", " "), 64),
        (("forget", "--scope", "planet"), 64),
        (("forget", "--before", "long ago"), 64),
        (("recall", "lamp", "--as-of", "soon"), 64),
        (("recall", "lamp", "--kind", "dream"), 64),
        (("forget",), 64),
        (("restore", "never"), 65),
        (("update", "never", "Text."), 65),
    ],
    ids=str,
)
def test_what_is_wrong_is_told_with_its_exit_code(memory: Run, arguments: tuple[str, ...], code: int) -> None:
    done = memory(*arguments, *ALICE)
    assert done.code == code
    assert done.json["error"]["detail"]


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([{"content": "x" * 1_000_000}], "messages[0] has 1000000 characters, the limit is 100000"),
        ([{"content": "Fine."}] * 10_001, "10001 messages, the limit is 10000"),
        ([{"content": "Fine."}] * 50 + [{"content": ""}], "messages[50] is empty"),
        ([{"content": "Fine."}, {"content": "Not.", "time": "2026-13-45"}], "2026-13-45"),
        ([{"content": "Fine."}, {"content": "Not.", "time": "2999-01-01"}], "messages[1].time"),
        ([{"content": "Fine."}, "Not."], "messages[1] is no message"),
        ([{"content": "Fine."}, {"content": "Not.", "role": "king"}], "'king'"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_of_messages_of_which_one_is_wrong_none_is_remembered(
    memory: Run, tmp_path: Path, messages: list[Any], says: str
) -> None:
    file = tmp_path / "talk.json"
    file.write_text(json.dumps(messages))
    done = memory("remember", "--file", str(file), *ALICE)
    assert done.code in {64, 65}
    assert says in done.json["error"]["detail"]
    assert memory("list", *ALICE).json["memories"] == []


def test_a_line_that_is_no_json_is_named(memory: Run, tmp_path: Path) -> None:
    file = tmp_path / "talk.jsonl"
    file.write_text('{"content": "Fine."}\n{"content": \n')
    done = memory("remember", "--file", str(file), *ALICE)
    assert (done.code, f"{file}:2: no JSON" in done.json["error"]["detail"]) == (65, True)


def test_people_are_shown_text_without_what_would_steer_their_terminal(run: Run, memory: Run) -> None:
    name = memory("remember", "The kiln \x1b[31mglows\x1b[0m at night.", *ALICE).json["episodes"][0]["id"]
    for command in (("recall", "kiln"), ("list",), ("get", name), ("history", name), ("forget", name)):
        shown = run("memory", *command, *ALICE)
        assert shown.code == 0
        assert "\x1b[31m" not in shown.out
    assert "Nothing is remembered." in run("memory", "recall", "kiln", *ALICE).out
