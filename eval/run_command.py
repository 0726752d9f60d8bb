"""What `loremill eval run` does: asks a release every question of a dataset, writes the report and keeps it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from eval.datasets import read_dataset
from eval.oracle import read_oracle
from eval.run import AnswerReport, evaluate_answers
from indexes.vocabulary import Principal

if TYPE_CHECKING:
    from rag.loremill import Loremill


def run_release(
    mill: Loremill,
    release: str,
    *,
    dataset: Path,
    out: Path,
    collection: str | None = None,
    tenant: str | None = None,
    source: Path | None = None,
    canaries: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
    resolve: Callable[[str], Principal] | None = None,
    evaluation: str | None = None,
) -> AnswerReport:
    """Ask a release named by id, or `live` with a collection; arguments as `gate_command.gate_releases`.

    Raises:
        ReleaseNotFound: there is no such release.
        DatasetError: the dataset is malformed, naming the line.
        ConfigError: `out` cannot be written.
    """
    samples = read_dataset(dataset)
    oracle = read_oracle(source) if source is not None else None
    asked = mill.release(release, collection=collection, tenant=tenant)
    report = evaluate_answers(
        mill,
        samples,
        collection=asked.collection,
        release=asked.id,
        resolve_principal=resolve or mill.directory.resolve,
        out=out,
        canaries=tuple(canaries),
        oracle=oracle,
        progress=progress,
    )
    found = report.to_json()
    summary = {name: found[name] for name in ("dataset", "questions", "figures")} | {"release": asked.id}
    mill.record_evaluation(
        "run", asked.collection, asked={"release": asked.id, "dataset": str(samples)}, summary=summary,
        report=(out / "report.json").read_bytes(), tenant=tenant, evaluation=evaluation,
    )  # fmt: skip
    return report
