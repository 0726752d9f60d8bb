"""The ways by which a text gets into a home, one function each: what the benchmark of erasures plants its strings through."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from indexes.audit_chain import Sealer
from indexes.audit_write import AuditWriter, new_event
from indexes.vocabulary import Acl, Principal

if TYPE_CHECKING:
    from rag.loremill import Loremill

TENANT, COLLECTION = "bench", "papers"
EVERYONE = Acl(("everyone",))
Plant = Callable[["Loremill", Principal, str], None]


def _put(mill: Loremill, who: Principal, name: str, text: str, **more: Any) -> None:
    metadata = {"subject": who.subject, **more.pop("metadata", {})}
    mill.put_document(
        collection=COLLECTION, principal=who, document_id=name, text=text, acl=EVERYONE, metadata=metadata, **more
    )


def _document(mill: Loremill, who: Principal, word: str) -> None:
    _put(mill, who, f"{who.subject[5:]}-{random.random()}", f"# Note\n\nThe word of the day is {word} and no other.")


def _title_and_metadata(mill: Loremill, who: Principal, word: str) -> None:
    name = f"{who.subject[5:]}-{random.random()}"
    _put(mill, who, name, "Short.", title=f"About {word}", metadata={"keyword": word})


def _version(mill: Loremill, who: Principal, word: str) -> None:
    name = f"{who.subject[5:]}-{random.random()}"
    _put(mill, who, name, f"At first it said {word} here.")
    _put(mill, who, name, f"Now it says {word[::-1]} in its place.")


def _deleted(mill: Loremill, who: Principal, word: str) -> None:
    name = f"{who.subject[5:]}-{random.random()}"
    _put(mill, who, name, f"It was about {word} and is gone.")
    if who.subject == "user:alice":
        mill.delete_document(name, collection=COLLECTION, principal=who)


def _search(mill: Loremill, who: Principal, word: str) -> None:
    mill.search(f"anything on {word}", collection=COLLECTION, principal=who)


def _ask(mill: Loremill, who: Principal, word: str) -> None:
    mill.ask(f"What does {word} mean?", collection=COLLECTION, principal=who)


def _rating(mill: Loremill, who: Principal, word: str) -> None:
    answer = mill.ask("What is the retention of vibration data?", collection=COLLECTION, principal=who)
    mill.feedback(answer, collection=COLLECTION, principal=who, rating="down", comment=f"no {word}", correction=word)


def _episode(mill: Loremill, who: Principal, word: str) -> None:
    mill.memory.remember(f"My favourite colour is {word}.", principal=who)


def _session(mill: Loremill, who: Principal, word: str) -> None:
    messages = [{"role": "user", "content": f"I live in {word}."}, {"role": "assistant", "content": "Noted."}]
    mill.memory.remember(messages, principal=who, session="s", scope="session")


def _corrected(mill: Loremill, who: Principal, word: str) -> None:
    said = mill.memory.remember(f"The gate code is {word}.", principal=who)
    mill.memory.update(said.id, f"The gate code is {word[::-1]}.", principal=who)


def _shared(mill: Loremill, who: Principal, word: str) -> None:
    said = mill.memory.remember(f"The printer's name is {word}.", principal=who)
    mill.memory.share(said.id, principal=who, scope="team:ops")


def _recalled(mill: Loremill, who: Principal, word: str) -> None:
    mill.memory.recall(f"where did I put {word}?", principal=who)


def _evaluation_row(mill: Loremill, who: Principal, word: str) -> None:
    path = mill.home / "sets" / "questions.jsonl"
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"id": word, "user_input": f"{word}?", "principal": f"{TENANT}/{who.subject}"}) + "\n")


def _report(mill: Loremill, who: Principal, word: str) -> None:
    text = f"The walrus of {word} weighs four hundred stone and lives in a greenhouse."
    _put(mill, who, f"{who.subject[5:]}-{random.random()}", text)
    path = mill.home / "reports" / f"{random.random()}.html"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"<p>{text}</p>")


def _old_log(mill: Loremill, who: Principal, word: str) -> None:
    folder = mill.home / "tenants" / TENANT / "audit"
    from datetime import UTC, datetime

    writer = AuditWriter(folder, Sealer(mill.settings.audit_key), False, 100_000, lambda: datetime.now(UTC))
    writer.append(new_event("search", subject=who.subject, detail={"query": f"what of {word}?"}))


WAYS: Mapping[str, Plant] = {
    "document": _document, "title, metadata": _title_and_metadata, "earlier version": _version, "deleted": _deleted,
    "search": _search, "ask": _ask, "rating": _rating, "episode": _episode, "session": _session,
    "corrected": _corrected, "shared": _shared, "recall": _recalled, "evaluation set": _evaluation_row,
    "report": _report, "log of an earlier version": _old_log,
}  # fmt: skip
GONE_ANYWAY = {"earlier version", "deleted"}
"""What Bob has planted so is nowhere after an erasure either: old builds go, and their words with them."""
