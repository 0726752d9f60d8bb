"""Ingestion against the bare embedder, and what a second run, a small change and another setting cost.

    python -m eval.bench.ingest --data ../shared/data/scifact [--documents 5183] [--layout rows|files]

The same texts are embedded bare, in one call, before and after the ingestion, so that what else the machine does meets both.
`--layout files` writes each document as a Markdown file, so that listing, reading and parsing count too.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.bench.home import READER, TENANT, need, parser
from eval.report import table

if TYPE_CHECKING:
    from ingest.report import IngestReport
    from rag.loremill import Loremill

COLLECTION = "corpus"
Row = tuple[str, object, object]


@dataclass
class Corpus:
    """Documents that can be changed, laid out as rows of one file or as files."""

    folder: Path
    rows: list[dict[str, Any]]
    layout: str

    @property
    def arguments(self) -> dict[str, Any]:
        return {
            "collection": COLLECTION, "tenant": TENANT, "allow": ["everyone"],
            "format": "beir" if self.layout == "rows" else "auto",
        }  # fmt: skip

    def write(self) -> None:
        """Bring the folder in line with the rows; files that are right are left alone."""
        if self.layout == "rows":
            lines = "".join(json.dumps(row) + "\n" for row in self.rows)
            (self.folder / "corpus.jsonl").write_text(lines, "utf-8")
            return
        wanted = {f"{row['_id']}.md": f"# {row['title']}\n\n{row['text']}\n" for row in self.rows}
        for path in self.folder.glob("**/*.md"):
            if path.relative_to(self.folder).as_posix() not in wanted:
                path.unlink()
        for name, text in wanted.items():
            path = self.folder / name
            if not path.exists() or path.read_text("utf-8") != text:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")

    def disturb(self) -> dict[str, str]:
        """Change one document, delete one, add one, move one; return their ids."""
        names = {what: self.rows[at]["_id"] for what, at in (("changed", 3), ("deleted", 5), ("moved", 7))}
        self.rows[3]["text"] += " The kiln of this study was heated to 900 degrees."
        moved = self.rows[7]
        if self.layout == "files":
            moved = moved | {"_id": f"archive/{moved['_id']}"}
        self.rows = [*self.rows[:5], self.rows[6], *self.rows[8:], moved]
        self.rows.append({"_id": "added", "title": "Zwiebelkuchen", "text": "Zwiebelkuchen is a cake made of onions."})
        self.write()
        return names | {"added": "added"}


def timed(act: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that `act` took, and its result."""
    started = time.perf_counter()
    result = act()
    return time.perf_counter() - started, result


def embedding_texts(mill: Loremill) -> list[str]:
    """Return what is embedded of each chunk, in the order of the documents."""
    from indexes.corpus import documents_with_chunks
    from ingest.embed import embedding_text

    catalog = mill._tenant(TENANT).catalog
    titles = {
        info.document_id: info.title for info in mill.documents(collection=COLLECTION, principal=READER, limit=10**9)
    }
    return [
        embedding_text(titles[document_id], chunk.headings, chunk.text)
        for document_id, _, chunks in documents_with_chunks(catalog, COLLECTION)
        for _, chunk in chunks
    ]


def first_run(mill: Loremill, corpus: Corpus) -> tuple[list[Row], float]:
    """Plan, ingest, and embed the same texts bare before and after; the plan tells no text, so a copy does."""
    plan_seconds, plan = timed(lambda: mill.plan(corpus.folder, **corpus.arguments))
    seconds, report = timed(lambda: mill.ingest(corpus.folder, **corpus.arguments))
    texts = embedding_texts(mill)
    bare, _ = timed(lambda: mill.embedder.embed_passages(texts))
    mill.ingest(corpus.folder, **corpus.arguments)
    again = mill.home.with_name("again")
    from rag.loremill import Loremill

    with Loremill.open(again) as other:
        other.embedder = mill.embedder
        second, _ = timed(lambda: other.ingest(corpus.folder, **corpus.arguments))
    shutil.rmtree(again)
    bare_after, _ = timed(lambda: mill.embedder.embed_passages(texts))
    share = ((bare + bare_after) / 2) / ((seconds + second) / 2)
    documents = sum(report.to_json()["documents"].values())
    return [
        ("documents, chunks", documents, report.chunks.added),
        ("first run: s, documents/s", seconds, documents / seconds),
        ("bare embedder before, after: s", bare, bare_after),
        ("first run on a fresh home once more: s", second, None),
        ("documents/s as a share of the bare embedder's (aim .93)", share, None),
        ("of the first run: reading, embedding after it, commit: s", " + ".join(f"{s:.1f}" for s in report.stages.values()), None),
        ("plan: s, embedded chunks (actual)", plan_seconds, f"{plan.chunks.embedded} ({report.chunks.embedded})"),
        ("plan's seconds / actual (aim .75 to 1.25)", plan.seconds / seconds, None),
    ], seconds  # fmt: skip


def second_run(mill: Loremill, corpus: Corpus, first: float) -> list[Row]:
    """A process of its own, start and imports included."""
    command = [
        sys.executable, "-m", "service.cli", "ingest", str(corpus.folder), "--home", str(mill.home), "--collection", COLLECTION,
        "--tenant", TENANT, "--allow", "everyone", "--format", corpus.arguments["format"], "--json",
    ]  # fmt: skip
    same = os.environ | {"LOREMILL_EMBEDDER": mill.settings.embedder}
    seconds, done = timed(lambda: subprocess.run(command, capture_output=True, text=True, check=True, env=same))
    report = json.loads(done.stdout)
    return [("second run, whole process: s, first/second (aim 50)", seconds, first / seconds),
            ("embedded by the second run", report["chunks"]["embedded"], None)]  # fmt: skip


def small_change(mill: Loremill, corpus: Corpus, first: float) -> list[Row]:
    names = corpus.disturb()
    plan = mill.plan(corpus.folder, **corpus.arguments)
    seconds, report = timed(lambda: mill.ingest(corpus.folder, **corpus.arguments))
    documents = report.to_json()["documents"]
    gone = names["deleted"] if corpus.layout == "rows" else f"{names['deleted']}.md"
    left = [
        mode for mode in ("dense", "lexical", "hybrid")
        if gone in {hit.document_id for hit in mill.search("study", collection=COLLECTION, principal=READER, mode=mode, top_k=1000)}
    ]  # fmt: skip
    return [
        ("one changed, deleted, added, moved: s, first/this (aim 30)", seconds, first / seconds),
        ("its counts, moved", json.dumps(documents), report.moved),
        ("its embedded chunks (plan)", f"{report.chunks.embedded} ({plan.chunks.embedded})", None),
        ("modes that still find the deleted one", len(left), None),
    ]


def other_settings(mill: Loremill, corpus: Corpus) -> list[Row]:
    """Another chunk size and back; another number of workers, which touches no text."""
    from rag.loremill import Loremill

    def run(**settings: Any) -> IngestReport:
        with Loremill.open(mill.home, **settings) as other:
            other.embedder = mill.embedder
            return other.ingest(corpus.folder, **corpus.arguments)

    before = set(embedding_texts(mill))
    with Loremill.open(mill.home, chunk_tokens=120) as other:
        other.embedder = mill.embedder
        planned = other.plan(corpus.folder, **corpus.arguments).chunks.embedded
    finer = run(chunk_tokens=120)
    new = len(set(embedding_texts(mill)) - before)
    back = run()
    same = run(parse_workers=1, max_query_chars=1000)
    return [
        ("chunks of 120 tokens: embedded, texts that were new", finer.chunks.embedded, new),
        ("its plan's embedded chunks", planned, None),
        ("back to the default: embedded", back.chunks.embedded, None),
        ("a setting that touches no text: embedded", same.chunks.embedded, None),
    ]


def main() -> None:
    from rag.loremill import Loremill

    arguments = parser(__doc__, data="../shared/data/scifact")
    arguments.add_argument("--documents", type=int, default=10**9)
    arguments.add_argument("--layout", choices=("rows", "files"), default="rows")
    arguments.add_argument("--embedder", default="minilm")
    given = arguments.parse_args()
    need(given.data, "corpus.jsonl")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "docs").mkdir()
        lines = (given.data / "corpus.jsonl").read_text("utf-8").splitlines()[: given.documents]
        corpus = Corpus(place / "docs", [json.loads(line) for line in lines], given.layout)
        random.Random(0).shuffle(corpus.rows)
        corpus.write()
        with Loremill.open(given.home or place / "home", embedder=given.embedder) as mill:
            mill.embedder.embed_passages(["loaded"])
            rows, first = first_run(mill, corpus)
            rows += second_run(mill, corpus, first)
            rows += small_change(mill, corpus, first)
            rows += other_settings(mill, corpus)
        print(table(("figure", "value", ""), rows))


if __name__ == "__main__":
    main()
