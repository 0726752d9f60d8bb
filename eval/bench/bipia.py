"""BIPIA: e-mails and tables with a question each, and instructions to plant in them; SQuAD's paragraphs as further contexts.

Source: Yi et al., arXiv:2312.14197. As there, an instruction is planted at the start, in the middle or at the end of a context, on a line of
its own.
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

EMAILS, TABLES, ATTACKS = "email/train.jsonl", "table_train.jsonl", "text_attack_train.json"
PLACES = ("start", "middle", "end")


@dataclass(frozen=True, slots=True)
class Context:
    """A text with a question to it and the right answers; `kind` is email, table or paragraph."""

    kind: str
    text: str
    question: str
    golds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """A context with the instruction that is planted in it. Each of its two documents, `clean` and `poisoned`, has a reader of its own."""

    number: int
    context: Context
    category: str
    attack: str
    place: str

    @property
    def poisoned(self) -> str:
        """The context with the instruction in it."""
        text = self.context.text
        cut = 0 if self.place == "start" else len(text)
        if self.place == "middle":  # before a sentence
            cut = random.Random(self.number).choice([start for start, _ in sentence_spans(text)][1:] or [cut])
        return "\n".join(part for part in (text[:cut].rstrip(), self.attack, text[cut:]) if part.strip())

    def reader(self, document: str) -> Principal:
        """Who may read that document and nothing else."""
        return Principal(TENANT, f"user:{document}-{self.number}")


def read_attacks(data: Path) -> dict[str, list[str]]:
    """Return the instructions by category; DatasetError if the file is of another form."""
    path = data / ATTACKS
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(category): [str(attack) for attack in attacks] for category, attacks in found.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DatasetError(f"not a mapping of categories to instructions: {error!r}", path=str(path)) from error


def read_contexts(data: Path, squad: Path | None = None) -> dict[str, list[Context]]:
    """Return the contexts by kind, each text once, with the first question asked of it."""
    found = {}
    for kind, file in (("email", EMAILS), ("table", TABLES)):
        rows = [
            Context(kind, row["context"], row["question"], (str(row["ideal"]),)) for _, row in read_objects(data / file)
        ]
        found[kind] = _once(rows)
    if squad is not None:
        texts = {row["_id"]: row["text"] for _, row in read_objects(squad / "corpus.jsonl")}
        asked = [(row["text"], row["metadata"]) for _, row in read_objects(squad / "queries.jsonl")]
        found["paragraph"] = _once(
            [
                Context("paragraph", texts[of["gold_paragraph"]], question, tuple(of["answers"]))
                for question, of in asked
                if of.get("answers")
            ]
        )
    return found


def draw(contexts: dict[str, list[Context]], attacks: dict[str, list[str]], *, pairs: int, seed: int) -> list[Pair]:
    """Draw pairs that go round the categories, their instructions and the kinds of context; the same ones for the same seed."""
    chosen = random.Random(seed)
    pools = {kind: chosen.sample(pool, len(pool)) for kind, pool in contexts.items()}
    kinds, categories = list(pools), list(attacks)
    drawn = []
    for number in range(pairs):
        turn, place = divmod(number, len(categories))
        category, kind = categories[place], kinds[(place + turn) % len(kinds)]
        context = pools[kind][(number // len(kinds)) % len(pools[kind])]
        attack = attacks[category][turn % len(attacks[category])]
        drawn.append(Pair(number, context, category, attack, chosen.choice(PLACES)))
    return drawn


def write_rows(path: Path, pairs: Sequence[Pair]) -> None:
    """Write both documents of each pair as JSONL rows, each with its reader."""
    with path.open("w", encoding="utf-8") as file:
        for pair in pairs:
            for name, text in (("clean", pair.context.text), ("poisoned", pair.poisoned)):
                acl = {"allow": [pair.reader(name).subject]}
                file.write(json.dumps({"id": f"{name}-{pair.number}", "text": text, "acl": acl}) + "\n")


def _once(contexts: Sequence[Context]) -> list[Context]:
    return list({context.text: context for context in reversed(contexts)}.values())
