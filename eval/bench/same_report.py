"""The sample company's own gate, held twice and with other concurrency: is report.json the same but for times?

    python -m eval.bench.same_report [--data data/company] [--concurrency 1 4] [--questions N]

Prints each report's digest, which is of all but times, and exits with 1 where two differ.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from eval.bench.company import CANARIES
from eval.bench.home import need, parser, progress
from eval.datasets import read_dataset, write_dataset
from eval.gate_command import gate_releases
from eval.report import table
from rag.loremill import Loremill


def measure(data: Path, home: Path, folder: Path, concurrency: list[int], questions: int | None) -> list[list[object]]:
    """Ingest the company, hold the gate once for each concurrency, and return a row for each."""
    dataset = folder / "questions.jsonl"
    write_dataset(dataset, read_dataset(data / "questions.jsonl").samples[:questions])
    rows: list[list[object]] = []
    with Loremill.open(home, cache_entries=0) as mill:
        mill.directory.import_principals(data / "principals.yaml")
        mill.ingest(data, collection="company")
        candidate = mill.create_release("company", retrieval={"passages": 8}).id
        for number, workers in enumerate(concurrency):
            held = gate_releases(
                mill, candidate, "live", dataset=dataset, gates=data / "gates.yaml", out=folder / str(number),
                source=data, canaries=CANARIES[:3], concurrency=workers, progress=progress,
            )  # fmt: skip
            report = json.loads(held.reports["report.json"].read_bytes())
            latency = report["metrics"].get("latency_p95_ms", {})
            seconds = round(sum(held.seconds.values()), 1)
            rows.append([workers, report["verdict"], latency.get("ratio"), seconds, report["digest"][:16]])
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    arguments = parser(__doc__, data="data/company")
    arguments.add_argument("--concurrency", type=int, nargs="+", default=[1, 1, 4])
    arguments.add_argument("--questions", type=int, help="only the first N")
    given = arguments.parse_args()
    need(given.data, "questions.jsonl", "gates.yaml", "principals.yaml")
    with tempfile.TemporaryDirectory(prefix="loremill-same-") as folder:
        home = given.home or Path(folder) / "home"
        rows = measure(given.data, home, Path(folder), given.concurrency, given.questions)
    print(table(("concurrency", "verdict", "latency_p95_ms, ratio", "seconds", "digest of all but times"), rows))
    sys.exit(len({row[-1] for row in rows}) != 1)


if __name__ == "__main__":
    main()
