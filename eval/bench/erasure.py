"""Forgetting, checked without its own tools: strings planted through every way in, a subject erased, every byte of the home looked at.

    python -m eval.bench.erasure [--strings 200] [--documents 2000] [--kills 5] [--home DIR]

Half of the strings are Alice's, half Bob's, through the same ways. After `erase --subject user:alice` none of hers may be in any file under
the home, whatever its case, and each of his must be where it was. The same once more with an erasure killed (SIGKILL) at random moments and
begun again, while others write and search. Prints one JSON object; exits with 1 where something was left, lost or not verified.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import cycle
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from eval.bench.home import parser
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


def words(count: int, rng: random.Random) -> list[str]:
    """Return different words of 16 letters that no stemmer shortens by more than the last ones."""
    return ["".join(rng.choices("bcdfghjklmnpqrtvwxz", k=16)) for _ in range(count)]


def files_with(home: Path, word: str, contents: Mapping[Path, bytes]) -> list[str]:
    """Return the files that hold the word, or all but its last three letters, in lower, upper or mixed case."""
    return sorted(
        path.relative_to(home).as_posix() for path, content in contents.items() if word[:13].encode() in content
    )


def contents(home: Path) -> dict[Path, bytes]:
    """Read every file under the home, in lower case."""
    return {path: path.read_bytes().lower() for path in home.rglob("*") if path.is_file()}


def fill(home: Path, *, strings: int, documents: int, rng: random.Random) -> dict[str, list[tuple[str, str]]]:
    """Make a home with other people's documents, and plant strings in it; returns (way, word) by subject."""
    with open_mill(home) as mill:
        _fill_documents(mill, documents, rng)
        planted: dict[str, list[tuple[str, str]]] = {"user:alice": [], "user:bob": []}
        ways = cycle(WAYS.items())
        for pair in zip(*[iter(words(strings, rng))] * 2, strict=True):
            way, plant = next(ways)
            for (subject, own), word in zip(planted.items(), pair, strict=True):
                plant(mill, Principal(TENANT, subject, ("group:ops",)), word)
                own.append((way, word))
        mill.memory.settle(120)
    (home / "judge.db").write_bytes(b"replies: " + planted["user:alice"][0][1].encode())
    return planted


def open_mill(home: Path) -> Loremill:
    from rag.loremill import Loremill

    return Loremill.open(home, audit_queries=True)


def _fill_documents(mill: Loremill, count: int, rng: random.Random) -> None:
    vocabulary = words(500, rng)
    lines = [
        json.dumps({"_id": f"d{number}", "title": f"Paper {number}", "text": " ".join(rng.choices(vocabulary, k=60))})
        for number in range(count)
    ]
    lines.append(json.dumps({"_id": "base", "title": "Retention", "text": "Vibration data is kept for seven years."}))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "corpus.jsonl").write_text("\n".join(lines))
        mill.ingest(folder, collection=COLLECTION, tenant=TENANT, allow=["everyone"], format="beir")


def erase(home: Path) -> tuple[dict[str, Any], float]:
    """Erase Alice in a process of its own; returns the receipt and the seconds."""
    started = time.perf_counter()
    done = _command(home, "erase", "--subject", "user:alice")
    return done, time.perf_counter() - started


def _command(home: Path, *arguments: str) -> dict[str, Any]:
    ran = subprocess.run(
        [sys.executable, "-m", "service.cli", *arguments, "--home", str(home), "--json"],
        capture_output=True,
        check=False,
    )
    printed: dict[str, Any] = json.loads(ran.stdout)
    return printed | {"code": ran.returncode}


def judge(home: Path, planted: Mapping[str, list[tuple[str, str]]]) -> dict[str, Any]:
    """Say which of Alice's strings are left and where, and which of Bob's are lost."""
    read = contents(home)
    left = {word: files for _, word in planted["user:alice"] if (files := files_with(home, word, read))}
    lost = [
        (way, word) for way, word in planted["user:bob"] if way not in GONE_ANYWAY and not files_with(home, word, read)
    ]
    return {"left": left, "lost": lost, "files": len(read), "bytes": sum(map(len, read.values()))}


def killed(home: Path, kills: int, seconds: float, rng: random.Random) -> int:
    """Kill as many erasures at random moments; returns how many had begun."""
    begun = 0
    for _ in range(kills):
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "erase", "--subject", "user:alice", "--home", str(home), "--json"],
            stdout=subprocess.DEVNULL,
        )
        time.sleep(rng.uniform(0.2, 1.0) * seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        begun += any((home / "erasing").glob("*.json"))
    return begun


def beside(home: Path, stop: Event, found: list[str]) -> None:
    """Write and search as Bob until told to stop; notes what went wrong."""
    bob = Principal(TENANT, "user:bob", ("group:ops",))
    with open_mill(home) as mill:
        number = 0
        while not stop.is_set():
            number += 1
            said = mill.memory.remember(f"Entry {number} of the diary.", principal=bob)
            if not mill.search("vibration data", collection=COLLECTION, principal=bob):
                found.append(f"search {number} found nothing")
            if mill.memory.get(said.id, principal=bob) is None:
                found.append(f"entry {number} is lost")


def _trial(
    home: Path, planted: Mapping[str, list[tuple[str, str]]], kills: int, seconds: float, rng: random.Random
) -> Iterator[tuple[str, Any]]:
    if kills:
        stop, wrong = Event(), []  # type: tuple[Event, list[str]]
        writer = Thread(target=beside, args=(home, stop, wrong))
        writer.start()
        yield "begun_and_killed", killed(home, kills, seconds, rng)
        done, took = erase(home)
        stop.set()
        writer.join()
        yield "wrong_beside", wrong
    else:
        done, took = erase(home)
    yield "erase_s", round(took, 2)
    yield (
        "receipt",
        {name: done.get(name) for name in ("code", "counts", "found")} | {"digests": len(done.get("digests", ()))},
    )
    yield from judge(home, planted).items()
    verdicts = [_command(home, "erase", "verify", path.stem) for path in (home / "receipts").glob("*.json")]
    yield "verified", bool(verdicts) and all(verdict["ok"] for verdict in verdicts)
    yield "audit_ok", _command(home, "audit", "verify", "--tenant", TENANT)["ok"]
    yield "collection_ok", _command(home, "verify", "--collection", COLLECTION, "--skip-sources")["ok"]


def main() -> int:
    arguments = parser(__doc__, data=".")
    arguments.add_argument("--strings", type=int, default=200, help="how many are planted, half of them Alice's")
    arguments.add_argument("--documents", type=int, default=2000, help="other documents")
    arguments.add_argument("--kills", type=int, default=5)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    os.environ["LOREMILL_AUDIT_QUERIES"] = "true"
    random.seed(given.seed)
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory(prefix="loremill-erasure-") as folder:
        home = given.home or Path(folder) / "home"
        planted = fill(home, strings=2 * given.strings, documents=given.documents, rng=rng)
        found_before = judge(home, planted)
        again = Path(folder) / "again"
        shutil.copytree(home, again)
        plain = dict(_trial(home, planted, 0, 0, rng))
        hard = dict(_trial(again, planted, given.kills, plain["erase_s"], rng))
    figures = {
        "planted": {subject: len(own) for subject, own in planted.items()},
        "found_before": len(found_before["left"]),
        "undisturbed": plain,
        "killed_and_begun_again": hard,
    }
    print(json.dumps(figures, indent=1))
    good = all(
        not trial["left"] and not trial["lost"] and trial["verified"] and trial["audit_ok"] and trial["collection_ok"]
        and not trial.get("wrong_beside")
        for trial in (plain, hard)
    )  # fmt: skip
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
