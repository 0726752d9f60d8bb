"""Writes the four files: all of them or none, readable by their owner alone."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from eval.gate_result import GateResult
from eval.reports.model import Context, Question
from indexes.errors import ConfigError


def write_reports(
    folder: str | Path, result: GateResult, questions: Sequence[Question], context: Context
) -> Mapping[str, Path]:
    """Write report.json, report.md, junit.xml and report.html into `folder`, which is made if it is not there.

    report.html holds answers and passages of every principal of the dataset; report.md holds its questions; the other two
    figures only. All have mode 0600.

    Returns:
        Paths by file name.
    Raises:
        ConfigError: the folder cannot be written; none of the four is left half-written or alone.
    Cost: 1,000 questions with 24 passages each take seconds, most of it in comparing answers.
    """
    from eval.reports.content import report_json
    from eval.reports.junit import report_junit
    from eval.reports.markdown import report_markdown
    from eval.reports.page import report_html

    return write_files(
        Path(folder),
        {
            "report.json": report_json(result, questions, context),
            "report.md": report_markdown(result, questions, context),
            "junit.xml": report_junit(result, context),
            "report.html": report_html(result, questions, context),
        },
    )


def write_files(folder: Path, files: Mapping[str, str]) -> dict[str, Path]:
    """Write texts under their names: first beside, then moved into place one after the other.

    A move that fails takes away those already moved, so that files of two runs are never taken for one report.
    """
    moved: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))  # mode 0700
        try:
            for name, text in files.items():
                _write(staging / name, text)
            for name in files:
                os.replace(staging / name, folder / name)
                moved.append(folder / name)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        for path in moved:
            path.unlink(missing_ok=True)
        raise ConfigError(f"cannot write reports to {folder}: {error.strerror or error}") from error
    return {path.name: path for path in moved}


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8", errors="replace", newline="\n") as file:
        file.write(text)
