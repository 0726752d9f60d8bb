"""Peak memory of an ingestion by the size of the corpus: beyond vectors and ids it must not grow.

    python -m eval.bench.memory [--documents 5000 50000]

Each ingestion of generated documents runs in a process of its own; `ru_maxrss` is its peak, the models included.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from eval.bench.home import TENANT
from eval.bench.load import sentence
from eval.report import table


def peak_mib(documents: int, folder: Path, embedder: str) -> float:
    """Ingest so many documents and return this process's peak, MiB."""
    from rag.loremill import Loremill

    rows = folder / "rows.jsonl"
    with rows.open("w") as file:
        for number in range(documents):
            file.write(json.dumps({"id": str(number), "text": sentence(number)}) + "\n")
    with Loremill.open(folder / "home", embedder=embedder) as mill:
        mill.ingest(rows, collection="c", tenant=TENANT, allow=["everyone"])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--documents", type=int, nargs="+", default=[5_000, 50_000])
    arguments.add_argument("--embedder", default="minilm")
    arguments.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.child:
        print(peak_mib(given.documents[0], given.child, given.embedder))
        return
    rows = []
    for documents in given.documents:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "eval.bench.memory", "--documents", str(documents), "--child", folder]
            command += ["--embedder", given.embedder]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        vectors = documents * 384 * 4 / 2**20
        rows.append((f"{documents:,}", float(done.stdout), vectors, float(done.stdout) - vectors))
    print(table(("documents", "peak, MiB", "vectors, MiB", "beyond them"), rows))


if __name__ == "__main__":
    main()
