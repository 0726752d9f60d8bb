"""What `loremill eval gate` does: reads the questions and the gates, holds the gate, writes the reports and keeps the record for a promotion."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.dataset_check import check_dataset
from eval.datasets import Dataset
from eval.gate_result import GateResult
from eval.gates import Gates, read_gates
from eval.gating import hold_gate, require_one_collection
from eval.judgements import Judging
from eval.metrics import METRICS
from eval.observe import Observer
from eval.oracle import read_oracle
from eval.reports import write_reports
from eval.shelf import Shelf
from indexes.errors import ConfigError
from indexes.vocabulary import Principal

if TYPE_CHECKING:
    from rag.loremill import Loremill


@dataclass(frozen=True, slots=True)
class Held:
    """A gate's result, where its reports lie, and where the time went."""

    result: GateResult
    reports: Mapping[str, Path]
    seconds: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return the head of report.json, the reports' paths and the seconds by stage."""
        return {
            **self.result.to_json(),
            "reports": {name: str(path) for name, path in self.reports.items()},
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
        }


def gate_releases(
    mill: Loremill,
    candidate: str,
    baseline: str,
    *,
    dataset: Path,
    gates: Path,
    out: Path,
    collection: str | None = None,
    tenant: str | None = None,
    source: Path | None = None,
    canaries: Sequence[str] = (),
    concurrency: int = 1,
    repeats: int = 1,
    progress: Callable[[int, int], None] | None = None,
    resolve: Callable[[str], Principal] | None = None,
    evaluation: str | None = None,
) -> Held:
    """Hold the gate of two releases named by id, the baseline also as `live`, and keep how it ended.

    Args:
        resolve: who may be asked as; default whomever the directory knows, and any literal.
        evaluation: id of the submitted evaluation that this is; None writes down a new one.
    Raises:
        ReleaseNotFound: there is no such release.
        DatasetError: the dataset is not fit for a gate, naming the line.
        ConfigFileError: gates.yaml is not what it should be.
        ConfigError: the releases serve different collections, a metric is unknown, the judge is not set up, or `out` cannot be written.
    """
    from rag.releases import differences

    asked_for = read_gates(gates)
    new = mill.release(candidate, collection=collection, tenant=tenant)
    old = mill.release(baseline, collection=new.collection if baseline == "live" else collection, tenant=tenant)
    require_one_collection(new, old)
    resolve = resolve or mill.directory.resolve
    shelf = Shelf(mill, new.collection, resolve)
    judging = _judging(mill, asked_for, repeats)
    questions = check_dataset(dataset, gate=True, shelf=shelf).require()
    observer = Observer(
        mill, shelf, resolve, canaries=_canaries(questions, canaries),
        oracle=read_oracle(source) if source is not None else None,
    )  # fmt: skip
    held = hold_gate(
        observer, questions, candidate=new, baseline=old, differences=differences(old, new), gates=asked_for,
        judging=judging, concurrency=concurrency, progress=progress,
    )  # fmt: skip
    reports = write_reports(out, held.result, held.questions, held.context)
    report = reports["report.json"].read_bytes()
    if new.id != old.id:  # a release against itself tells of the gate, not of the release
        mill.record_gate(new.collection, held.record(report), tenant=tenant)
    mill.record_evaluation(
        "gate", new.collection, asked={"candidate": new.id, "baseline": old.id, "dataset": str(questions)},
        summary=_summary(held.result), report=report, tenant=tenant, evaluation=evaluation,
    )  # fmt: skip
    return Held(held.result, reports, held.context.seconds)


def _summary(result: GateResult) -> dict[str, Any]:
    """Return what a list of evaluations shows of a gate."""
    names = ("verdict", "reasons", "candidate", "baseline", "dataset", "questions", "needed")
    return {name: value for name, value in result.to_json().items() if name in names}


def _judging(mill: Loremill, gates: Gates, repeats: int) -> Judging | None:
    """Return what ragas's measures need, where a line asks for one. What the judge lacks is told before the first question is asked."""
    wanted = [rule.metric for rule in gates.rules if rule.metric not in METRICS]
    if not wanted:
        return None
    from eval.judge import JudgeOptions
    from eval.judge_cache import JudgeCache
    from eval.ragas_judge import JUDGED
    from eval.ragas_offline import OFFLINE

    if unknown := [name for name in wanted if name not in JUDGED and name not in OFFLINE]:
        raise ConfigError(
            f"gates.yaml asks for {unknown[0]!r}, which nobody measures; there are: {', '.join([*METRICS, *OFFLINE, *JUDGED])}"
        )
    options = JudgeOptions.from_settings(mill.settings) if any(name in JUDGED for name in wanted) else None
    cache = JudgeCache(mill.home / "judge.db") if options is not None else None
    return Judging(mill.embedder, options, cache, repeats)


def _canaries(dataset: Dataset, given: Sequence[str]) -> tuple[str, ...] | None:
    """Return the phrases to look for, None where nobody named any."""
    own = [phrase for sample in dataset for phrase in sample.extra.get("canaries", ())]
    return tuple(dict.fromkeys([*given, *own])) or None
