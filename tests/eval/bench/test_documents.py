"""The benchmark of parsing counts every file once, names what was refused, and fails where something went wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.bench import documents
from eval.bench.documents import main
from tests.ingest.hostile import zipped


def test_files_and_attachments_are_counted_by_format_and_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.md").write_text("# A")
    (tmp_path / "empty.md").write_bytes(b"")
    (tmp_path / "all.zip").write_bytes(zipped({"b.csv": b"x,y\n1,2", "inner.zip": zipped({"c.txt": b"deep"})}))
    assert main([str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "md       EmptyDocument 1  parsed 1" in lines
    assert "zip      parsed 2" in lines
    assert "txt      parsed 1" in lines
    assert "EmptyDocument: empty.md: the file is empty" in lines
    assert "total 6: parsed 5, EmptyDocument 1" in lines


def test_an_error_without_a_name_of_its_own_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError("unforeseen")

    (tmp_path / "a.md").write_text("# A")
    monkeypatch.setattr(documents.isolate, "parse_isolated", broken)
    assert main([str(tmp_path)]) == 1
    assert "BAD RuntimeError: unforeseen" in capsys.readouterr().out


def test_too_much_memory_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.md").write_text("# A")
    monkeypatch.setattr(documents.isolate, "MAX_MEMORY_BYTES", -1)
    assert main([str(tmp_path)]) == 1


def test_an_empty_folder_is_bad_input(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 65
