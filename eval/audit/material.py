"""What the audit's documents are made of: sentences, and the names and rights that the world is peopled with."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rag.loremill import Loremill

Names = tuple[str, ...]
RightsPair = tuple[Names, Names]
"""Who is allowed, who is denied."""

THINGS = ("lantern", "copper", "harbour", "ledger", "orchard", "turbine", "glacier", "violin", "quarry", "compass")
PLACES = ("Brno", "Leeds", "Utrecht", "Turku", "Porto", "Ghent", "Malmo", "Izmir", "Cork", "Lublin")
MATTERS = ("budget", "audit", "permit", "contract", "recipe", "survey", "invoice", "rota", "patent", "forecast")

_TESTED_SUBJECTS: Names = ("user:ann", "user:bob", "user:eve", "agent:crawler")
_TESTED_GROUPS: Names = ("group:finance", "group:hr", "group:staff")
_TESTED_RIGHTS: tuple[RightsPair, ...] = (
    (("everyone",), ()),
    (("group:finance",), ()),
    (("group:hr", "user:bob"), ()),
    (("user:ann",), ()),
    (("everyone",), ("user:eve",)),
    (("everyone",), ("group:hr",)),
    (("group:staff",), ("group:finance", "agent:crawler")),
    ((), ()),
)
_WORDS_OF_A_SENTENCE = 18


@dataclass(frozen=True, slots=True)
class Material:
    """Where documents, people and rights are drawn from.

    Args:
        texts: sentences to be used; none means that they are made up.
        subjects: who asks, in every tenant alike: names that repeat across tenants must not mix.
        groups: what they may be members of.
        rights: pairs that documents and rules get.
    """

    texts: tuple[str, ...] = ()
    subjects: Names = _TESTED_SUBJECTS
    groups: Names = _TESTED_GROUPS
    rights: tuple[RightsPair, ...] = _TESTED_RIGHTS

    @property
    def words(self) -> Names:
        """Words that are found by themselves alone, with different stems; only made-up texts are known so well."""
        return () if self.texts else (*THINGS, *MATTERS)

    def sentence(self, rng: Random, canary: str) -> str:
        """Return a sentence with the canary in it."""
        if self.texts:
            words = rng.choice(self.texts).split()
            middle = len(words) // 2
            return " ".join([*words[:middle], canary, *words[middle:]]) + "."
        thing, place, matter = rng.choice(THINGS), rng.choice(PLACES), rng.choice(MATTERS)
        return f"The {thing} {matter} {canary} of {place} was signed on day {rng.randrange(9999)}."

    def question(self, rng: Random, sentence: str) -> str:
        """Return a question that the sentence answers, as far as one can tell."""
        words = sentence.rstrip(".").split()
        if self.texts:
            start = rng.randrange(max(1, len(words) - 8))
            return f"What is said about {' '.join(words[start : start + 8])}?"
        return f"When was the {' '.join(words[1:6])} signed?"


def generated_material() -> Material:
    """Return made-up texts for made-up people."""
    return Material()


def material_of_folder(folder: str | Path) -> Material:
    """Return the texts of a folder and, where it has an acl.yaml, its rights and the names in them.

    Raises:
        IngestError, DatasetError: the folder is missing or its acl.yaml is malformed.
    """
    from eval.oracle import Oracle, read_oracle
    from indexes.errors import IngestError
    from ingest.clean import normalise
    from ingest.parse import parse
    from ingest.sources import open_source

    if (Path(folder) / "acl.yaml").is_file():
        oracle: Oracle = read_oracle(folder)
        rights = {(tuple(sorted(one.allow)), tuple(sorted(one.deny))) for one in oracle.rights.values()}
        return _material(oracle.texts.values(), rights)
    texts = []
    for item in open_source(folder).items():
        try:
            texts.append(normalise(parse(item.read(), uri=item.uri, format=item.format).text))
        except IngestError:
            continue
    return _material(texts, ())


def material_of_collection(mill: Loremill, collection: str, *, tenant: str | None = None) -> Material:
    """Return the texts and rights of a collection and the names in them; the mill is only read."""
    from indexes.corpus import documents_with_chunks, of_sources, source_names

    catalog = mill._tenant_of(collection, tenant).catalog
    with catalog.read() as db:
        acls = [state.acl for state in of_sources(db, collection, sorted(source_names(db, collection)))]
    return _material(
        (text for _, text, _ in documents_with_chunks(catalog, collection)), {(acl.allow, acl.deny) for acl in acls}
    )


def _material(texts: Iterable[str], rights: Iterable[RightsPair]) -> Material:
    """Cut texts to sentences of plain words, for markup around a canary could hide it, and add the names to the tested ones."""
    from indexes.errors import IngestError

    sentences = [sentence for text in texts for sentence in _sentences(text)]
    if not sentences:
        raise IngestError("there is no text to audit with: give documents that have some")
    rights = tuple(sorted(rights))
    names = {name for pair in rights for side in pair for name in side}
    groups = sorted({name for name in names if name.startswith("group:")} | set(_TESTED_GROUPS))
    subjects = sorted(name for name in names if name != "everyone" and not name.startswith("group:"))
    return Material(
        tuple(sentences), (*_TESTED_SUBJECTS, *subjects[:4]), tuple(groups), tuple(dict.fromkeys((*_TESTED_RIGHTS, *rights)))
    )  # fmt: skip


def _sentences(text: str) -> list[str]:
    words = re.sub(r"[^\w\s,'-]|_", " ", text).split()
    starts = range(0, len(words) - _WORDS_OF_A_SENTENCE // 2, _WORDS_OF_A_SENTENCE)
    return [" ".join(words[start : start + _WORDS_OF_A_SENTENCE]) for start in starts]
