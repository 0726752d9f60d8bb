"""`loremill eval trend`: what it prints, draws and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.reports import write_reports
from service.cli import main
from tests.eval.report_samples import gate


@pytest.fixture
def past(tmp_path: Path) -> Path:
    write_reports(tmp_path / "one", *gate())
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "report.json").write_text("{")
    return tmp_path


def test_it_prints_the_runs_and_names_what_it_could_not_read(past: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "trend", str(past)]) == 0
    out = capsys.readouterr().out
    assert "r-new" in out
    assert "ndcg@10" in out
    assert "not read:" in out


def test_json_is_one_object(past: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "trend", str(past), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [run["verdict"] for run in found["runs"]] == ["FAIL"]
    assert [one["path"] for one in found["broken"]] == [str(past / "two" / "report.json")]


def test_the_page_is_written_where_it_is_asked_for(past: Path) -> None:
    page = past / "new" / "trend.html"
    assert main(["eval", "trend", str(past), "--html", str(page)]) == 0
    assert page.read_text().startswith("<!doctype html>")


def test_a_folder_without_a_report_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "trend", str(tmp_path)]) == 64
    assert "no gate's report" in capsys.readouterr().err
