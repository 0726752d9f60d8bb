"""How much of what memory promotes to facts is junk, and how much of what people state becomes a fact, on LoCoMo's conversations.

    python -m eval.bench.memory_junk --data ../shared/data/locomo/locomo_first5.json
    python -m eval.bench.memory_junk --data ... --show facts      # the sample, to label by hand
    python -m eval.bench.memory_junk --data ... --show turns

The rule, written before labelling. A fact is GOOD if a reader who sees that one sentence, and nothing else, learns something of a named
person, or of somebody or something of theirs, that could answer a question months later: an event, a plan, a state, a possession, a
relation, a taste, a habit, a skill, concrete enough to be told from other people's. It is JUNK if it

    - only says how somebody feels, hopes, values or encourages ("wants to make a difference"), in words that fit anyone
    - is courtesy, praise, agreement, or about the conversation itself
    - hangs in the air: its object is "it", "that", "this" or a place "there", and nothing else in it is concrete
    - says what was not said: another subject, a denial lost, a supposition or a question made a fact, a wrong date
    - breaks off, or is no sentence that can be understood

Clumsy grammar alone is not junk. A TURN counts for recall if, by the same rule, it states at least one such fact about its speaker; it is
found if at least one good fact comes of it (any fact, here: the share of junk is measured beside it).

Samples are those with the smallest salted digests, so that a change of the rules changes few members. The labels are digests of texts and
turn ids: no sentence of the data set is kept here.
"""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eval.report import table
from indexes.vocabulary import digest
from rag.lore.derive import derive
from rag.lore.items import Action, Episode
from rag.lore.ledger import Ledger

LABELS = Path(__file__).with_name("memory_junk_labels.json")
SALT = "memory junk 3"
FACTS, TURNS, SHOWN = 200, 100, 450
_PROMOTED = frozenset({Action.ADD, Action.CLOSE, Action.CONFLICT})


@dataclass(frozen=True, slots=True)
class Fact:
    """A promoted fact: the conversation and turn it comes from, and its text."""

    turn: str
    text: str

    @property
    def key(self) -> str:
        """What its label stands under."""
        return digest(self.turn, self.text)[:16]

    @property
    def place(self) -> str:
        """Its place in the order of sampling."""
        return digest(SALT, self.key)


def conversations(path: Path) -> Iterator[tuple[str, list[Episode]]]:
    """Yield the name and the turns of each conversation of a LoCoMo file; a session's turns carry its time."""
    for sample in json.loads(path.read_text(encoding="utf-8")):
        talk, name = sample["conversation"], sample["sample_id"]
        episodes = []
        for session in sorted((key for key in talk if _is_session(key)), key=lambda key: int(key.split("_")[1])):
            at = datetime.strptime(talk[f"{session}_date_time"], "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)
            episodes += [_episode(turn, name, session, at) for turn in talk[session]]
        yield name, episodes


def _is_session(key: str) -> bool:
    return key.startswith("session_") and key.split("_")[1].isdigit() and key.count("_") == 1


def _episode(turn: Mapping[str, Any], name: str, session: str, at: datetime) -> Episode:
    return Episode(f"{name}/{turn['dia_id']}", turn["text"], turn["speaker"], f"{name}/{session}", at, "user")


def promoted(episodes: Sequence[Episode], ledger: Ledger) -> list[Fact]:
    """Return the facts that a conversation adds to the ledger, in order."""
    decisions = ledger.add(episodes)
    return [Fact(one.draft.sources[0], one.draft.text) for one in decisions if one.action in _PROMOTED]


def sample_facts(facts: Sequence[Fact]) -> list[Fact]:
    """Return the facts to label: those with the smallest keys."""
    return sorted(facts, key=lambda fact: fact.place)[:FACTS]


def turn_order(episodes: Sequence[Episode]) -> list[Episode]:
    """Return the turns in the order in which they are looked at for stating something."""
    return sorted(episodes, key=lambda episode: turn_key(episode))


def turn_key(episode: Episode) -> str:
    """What the label of a turn stands under."""
    return digest("memory junk 1", "turn", episode.id, episode.text)[:16]


def main() -> None:
    """Print the measures, or what is to be labelled."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a LoCoMo file")
    parser.add_argument("--show", choices=["facts", "turns"])
    chosen = parser.parse_args()
    talks = dict(conversations(chosen.data))
    facts: list[Fact] = []
    again = 0
    began = time.process_time()
    for episodes in talks.values():
        derive(episodes)
    milliseconds = 1000 * (time.process_time() - began) / sum(map(len, talks.values()))
    for episodes in talks.values():
        ledger = Ledger()
        facts += promoted(episodes, ledger)
        again += len(promoted(episodes, ledger))
    turns = [episode for episodes in talks.values() for episode in episodes]
    labels = json.loads(LABELS.read_text(encoding="utf-8")) if LABELS.exists() else {"facts": {}, "turns": {}}
    if chosen.show == "facts":
        print(
            *(f"{fact.key} {labels['facts'].get(fact.key, '?')} {fact.text}" for fact in sample_facts(facts)), sep="\n"
        )
    elif chosen.show == "turns":
        print(
            *(
                f"{turn_key(one)} {labels['turns'].get(turn_key(one), '?')} {one.speaker}: {one.text}"
                for one in turn_order(turns)[:SHOWN]
            ),
            sep="\n",
        )
    else:
        print(table(["measure", "value"], _measures(facts, turns, labels, again, milliseconds)))


def _measures(
    facts: Sequence[Fact],
    turns: Sequence[Episode],
    labels: Mapping[str, Mapping[str, int]],
    again: int,
    milliseconds: float,
) -> list[list[str]]:
    sample = sample_facts(facts)
    judged = [labels["facts"][fact.key] for fact in sample if fact.key in labels["facts"]]
    stating = [one for one in turn_order(turns) if labels["turns"].get(turn_key(one))][:TURNS]
    found = {fact.turn for fact in facts}
    return [
        ["turns", str(len(turns))],
        ["facts promoted", str(len(facts))],
        ["facts promoted per 100 turns", f"{100 * len(facts) / len(turns):.1f}"],
        ["new facts when the conversation is added again", str(again)],
        ["labelled of the sample", f"{len(judged)} of {len(sample)}"],
        ["junk among them", f"{sum(judged) / max(1, len(judged)):.3f}"],
        ["turns that state something, labelled", str(len(stating))],
        ["of which a fact comes", f"{sum(one.id in found for one in stating) / max(1, len(stating)):.2f}"],
        ["ms of derivation per turn", f"{milliseconds:.2f}"],
    ]


if __name__ == "__main__":
    main()
