"""A value in a YAML file is found again by its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexes.errors import ConfigFileError
from ingest.yaml_lines import read_mapping

TEXT = """
size:
  max: 3
list:
  - a
  - {b: 1,
     c: 2}
"""


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ((), 2),
        (("size",), 3),
        (("size", "max"), 3),
        (("list", 0), 5),
        (("list", 1, "c"), 7),
        (("list", 9), 5),
        (("size", "none", "deeper"), 3),
        (("none",), 2),
    ],
)
def test_a_path_leads_to_its_line_or_to_that_of_the_deepest_part_there_is(
    tmp_path: Path, keys: tuple[int | str, ...], line: int
) -> None:
    (tmp_path / "a.yaml").write_text(TEXT)
    values, line_of = read_mapping(tmp_path / "a.yaml")
    assert values == {"size": {"max": 3}, "list": ["a", {"b": 1, "c": 2}]}
    assert line_of(keys) == line


def test_an_empty_file_is_an_empty_mapping(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("# nothing\n")
    values, line_of = read_mapping(tmp_path / "a.yaml")
    assert values == {}
    assert line_of(("any",)) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: {c: 1,\n c: 2}", ":3: 'c' stands there twice"),
        ("- a", ":1: the file must be a mapping"),
        ("a: [1", ":1: not valid YAML"),
        ("a: !!python/object:os.system 1", ":1: not valid YAML"),
        ("a: 1\n---\nb: 2", "not valid YAML"),
        ("{[1]: 2}", "not valid YAML"),
        ("a: \x07", "not valid YAML"),
    ],
)
def test_what_is_no_mapping_of_plain_values_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigFileError, match=message):
        read_mapping(tmp_path / "a.yaml")
