"""Forgetting, checked without its own tools: strings planted through every way in, a subject erased, every byte of the home looked at.

    python -m eval.bench.erasure [--strings 200] [--documents 2000] [--kills 5] [--home DIR] [--catalog sqlite|postgresql]

Half of the strings are Alice's, half Bob's, through the same ways. After `erase --subject user:alice` none of hers may be in any file under
the home, whatever its case, and each of his must be where it was. The same once more with an erasure killed (SIGKILL) at random moments and
begun again, while others write and search. With PostgreSQL the files of the server's tables and indexes count as well; those of its
write-ahead log are counted apart. Prints one JSON object; exits with 1 where something was left, lost or not verified.
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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from eval.bench.erasure_ways import COLLECTION, GONE_ANYWAY, TENANT, WAYS
from eval.bench.home import parser
from indexes.vocabulary import Principal

if TYPE_CHECKING:
    from rag.loremill import Loremill


def words(count: int, rng: random.Random) -> list[str]:
    """Return different words of 16 letters that no stemmer shortens by more than the last ones."""
    return ["".join(rng.choices("bcdfghjklmnpqrtvwxz", k=16)) for _ in range(count)]


def contents(*folders: Path) -> dict[str, bytes]:
    """Read every file under the folders, in lower case."""
    return {
        path.relative_to(folder.parent).as_posix(): path.read_bytes().lower()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file()
    }


def files_with(word: str, read: Mapping[str, bytes]) -> list[str]:
    """Return the files that hold the word, or all but its last three letters, in lower, upper or mixed case."""
    return sorted(name for name, content in read.items() if word[:13].encode() in content)


@contextmanager
def database(home: Path, catalog: str) -> Iterator[Path | None]:
    """Have the home's catalog in a database; yields the folder of the server's files beside the home, if it is one."""
    if catalog == "sqlite":
        yield None
        return
    from pgserver.postgres_server import get_server

    folder = server_folder(home)
    server = get_server(folder, cleanup_mode="stop")
    os.environ["LOREMILL_CATALOG_URL"] = server.get_uri()
    try:
        yield folder
    finally:
        server.cleanup()
        del os.environ["LOREMILL_CATALOG_URL"]


def server_folder(home: Path) -> Path:
    return home.with_name(f"{home.name}-postgresql")


def copy(home: Path, to: Path) -> None:
    """Copy a home, and the files of its server, which must not run, with their owners."""
    shutil.copytree(home, to)
    if server_folder(home).exists():
        subprocess.run(["cp", "-a", server_folder(home), server_folder(to)], check=True)


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


def judge(home: Path, server: Path | None, planted: Mapping[str, list[tuple[str, str]]]) -> dict[str, Any]:
    """Say which of Alice's strings are left and where, and which of Bob's are lost."""
    if server is not None:
        checkpoint()
    read = contents(home, *([] if server is None else [server / "base"]))
    left = {word: files for _, word in planted["user:alice"] if (files := files_with(word, read))}
    lost = [(way, word) for way, word in planted["user:bob"] if way not in GONE_ANYWAY and not files_with(word, read)]
    judged = {"left": left, "lost": lost, "files": len(read), "bytes": sum(map(len, read.values()))}
    if server is not None:
        log = contents(server / "pg_wal")
        judged["left_in_log"] = sum(bool(files_with(word, log)) for _, word in planted["user:alice"])
        judged["log_bytes"] = sum(map(len, log.values()))
    return judged


def checkpoint() -> None:
    """Have the server write what it has in memory."""
    import psycopg

    with psycopg.connect(os.environ["LOREMILL_CATALOG_URL"], autocommit=True) as db:
        db.execute("CHECKPOINT")


def killed(home: Path, kills: int, seconds: float, rng: random.Random) -> int:
    """Kill as many erasures at random moments after they have written down what is to go; returns how many were not done by then."""
    begun = 0
    for _ in range(kills):
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "erase", "--subject", "user:alice", "--home", str(home), "--json"],
            stdout=subprocess.DEVNULL,
        )
        while process.poll() is None and not any((home / "erasing").glob("*.json")):
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.5) * seconds)
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
    home: Path,
    server: Path | None,
    planted: Mapping[str, list[tuple[str, str]]],
    kills: int,
    seconds: float,
    rng: random.Random,
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
    said = {name: done.get(name) for name in ("code", "counts", "found", "notes")}
    yield "receipt", said | {"digests": len(done.get("digests", ()))}
    yield from judge(home, server, planted).items()
    verdicts = [_command(home, "erase", "verify", path.stem) for path in (home / "receipts").glob("*.json")]
    yield "verified", bool(verdicts) and all(verdict["ok"] for verdict in verdicts)
    yield "verify_read", {name: max(verdict[name] for verdict in verdicts) for name in ("files", "bytes")}
    yield "audit_ok", _command(home, "audit", "verify", "--tenant", TENANT)["ok"]
    yield "collection_ok", _command(home, "verify", "--collection", COLLECTION, "--skip-sources")["ok"]


def main() -> int:
    arguments = parser(__doc__, data=".")
    arguments.add_argument("--strings", type=int, default=200, help="how many are planted, half of them Alice's")
    arguments.add_argument("--documents", type=int, default=2000, help="other documents")
    arguments.add_argument("--kills", type=int, default=5)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--catalog", choices=("sqlite", "postgresql"), default="sqlite")
    given = arguments.parse_args()
    os.environ["LOREMILL_AUDIT_QUERIES"] = "true"
    random.seed(given.seed)
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory(prefix="loremill-erasure-") as folder:
        Path(folder).chmod(0o755)  # a server that is started by root runs as somebody else
        home, again = given.home or Path(folder) / "home", Path(folder) / "again"
        with database(home, given.catalog) as server:
            planted = fill(home, strings=2 * given.strings, documents=given.documents, rng=rng)
            found_before = judge(home, server, planted)
        copy(home, again)
        with database(home, given.catalog) as server:
            plain = dict(_trial(home, server, planted, 0, 0, rng))
        with database(again, given.catalog) as server:
            hard = dict(_trial(again, server, planted, given.kills, plain["erase_s"], rng))
    figures = {
        "catalog": given.catalog,
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
