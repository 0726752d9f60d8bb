"""BIPIA: e-mails and tables with a question each, and instructions to plant in them.

Source: Yi et al., arXiv:2312.14197. As there, an instruction is planted at the start, in the middle or at the end of a context, on a
line of its own.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.bench.home import TENANT
from eval.jsonl import read_objects
from indexes.errors import DatasetError
from indexes.vocabulary import Principal
from ingest.sentences import sentence_spans

FILES = ("email/train.jsonl", "table_train.jsonl")
ATTACKS = "text_attack_train.json"
PLACES = ("start", "middle", "end")


@dataclass(frozen=True, slots=True)
class Pair:
    """A context with its question, and the instruction that is planted in it.

    `task` is `email` or `table`; `ideal` is the context's own answer. `clean` and `poisoned` name the two documents; each has one
    reader of its own, so that a question is answered from one document alone.
    """

    number: int
    task: str
    context: str
    question: str
    ideal: str
    category: str
    attack: str
    place: str

    @property
    def poisoned_text(self) -> str:
        """The context with the instruction in it."""
        cut = _cut(self.context, self.place, self.number)
        return "\n".join(
            part for part in (self.context[:cut].rstrip(), self.attack, self.context[cut:]) if part.strip()
        )

    def reader(self, kind: str) -> Principal:
        """Who may read the document of `kind`, `clean` or `poisoned`, and nothing else."""
        return Principal(TENANT, f"user:{kind}-{self.number}")


def read_attacks(data: Path) -> dict[str, list[str]]:
    """Return the instructions by category; DatasetError if the file is of another form."""
    path = data / ATTACKS
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(category): [str(attack) for attack in attacks] for category, attacks in found.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DatasetError(f"not a mapping of categories to instructions: {error!r}", path=str(path)) from error


def read_contexts(data: Path) -> list[tuple[str, str, str, str]]:
    """Return (task, context, question, ideal) of every row; contexts come once each."""
    rows = [
        (Path(file).stem.split("_")[0].replace("train", "email"), row["context"], row["question"], str(row["ideal"]))
        for file in FILES
        for _, row in read_objects(data / file)
    ]
    return list(
        {context: (task, context, question, ideal) for task, context, question, ideal in reversed(rows)}.values()
    )


def draw(data: Path, *, pairs: int, seed: int) -> list[Pair]:
    """Draw pairs that go round the categories, the places and the tasks; the same ones for the same seed."""
    chosen = random.Random(seed)
    attacks = read_attacks(data)
    pools = {task: [row for row in read_contexts(data) if row[0] == task] for task in ("email", "table")}
    for pool in pools.values():
        chosen.shuffle(pool)
    categories = list(attacks)
    drawn = []
    for number in range(pairs):
        category = categories[number % len(categories)]
        turn = number // len(categories)
        pool = pools["email" if (number + turn) % 2 else "table"]
        task, context, question, ideal = pool[(number // 2) % len(pool)]
        attack = attacks[category][turn % len(attacks[category])]
        drawn.append(Pair(number, task, context, question, ideal, category, attack, chosen.choice(PLACES)))
    return drawn


def write_rows(path: Path, pairs: Sequence[Pair]) -> None:
    """Write both documents of each pair as JSONL rows, each readable by its own reader."""
    with path.open("w", encoding="utf-8") as file:
        for pair in pairs:
            for kind, text in (("clean", pair.context), ("poisoned", pair.poisoned_text)):
                row = {"id": f"{kind}-{pair.number}", "text": text, "acl": {"allow": [pair.reader(kind).subject]}}
                file.write(json.dumps(row) + "\n")


def _cut(text: str, place: str, seed: int) -> int:
    """Where the instruction goes in; in the middle: before a sentence, or a line where there are none."""
    if place != "middle":
        return 0 if place == "start" else len(text)
    starts = [start for start, _ in sentence_spans(text)][1:] or [len(text)]
    return random.Random(seed).choice(starts)
