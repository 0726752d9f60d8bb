"""A source lists everything that lies there, in the same order each time.

What cannot be read says so when it is read.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from indexes.errors import ConfigError, ConfigFileError, IngestError, ParseError, TooLarge
from indexes.vocabulary import NOBODY, Acl
from ingest.sources import SourceItem, open_source, open_source_spec, rows


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def listed(location: str | Path, **options: str) -> dict[str, SourceItem]:
    items = list(open_source(location, **options).items())
    assert len({item.document_id for item in items}) == len(items)
    return {item.document_id: item for item in items}


def jsonl(path: Path, *rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    return path


def test_a_folder_gives_its_files_sorted_without_hidden_and_control_files(tmp_path: Path) -> None:
    write(
        tmp_path,
        dict.fromkeys(("b.md", "a/z.txt", "a/acl.yaml", "acl.yaml", "gates.yaml", ".git/c.md", ".h.md"), "x"),
    )
    write(
        tmp_path,
        {"questions.jsonl": "{}", "principals.yaml": "x", "contract.yaml": "x", "~$b.docx": "lock", "c.unknown": "y"},
    )
    source = open_source(tmp_path)
    assert [item.document_id for item in source.items()] == ["a/acl.yaml", "a/z.txt", "b.md", "c.unknown"]
    assert [item.format for item in source.items()] == ["txt", "txt", "md", ""]
    assert source.name == tmp_path.resolve().as_uri()
    assert list(source.items()) != []


def test_an_item_knows_its_size_and_reads_its_bytes(tmp_path: Path) -> None:
    item = listed(write(tmp_path, {"a/b.md": "grün"}))["a/b.md"]
    assert (item.size, item.read(), item.path) == (5, "grün".encode(), "a/b.md")
    assert item.uri.startswith("file:///")


def test_a_file_that_vanishes_raises_when_it_is_read_and_not_before(tmp_path: Path) -> None:
    item = listed(write(tmp_path, {"a.md": "x"}))["a.md"]
    (tmp_path / "a.md").unlink()
    with pytest.raises(IngestError, match=r"a\.md cannot be read"):
        item.read()


def test_a_pipe_is_refused_without_being_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    with pytest.raises(IngestError, match="not a regular file"):
        listed(tmp_path)["pipe.md"].read()


def test_links_into_the_folder_are_passed_over_and_links_out_of_it_are_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "root", {"finance/q1.md": "secret", "public/a.md": "x"})
    write(tmp_path, {"outside.md": "x"})
    (root / "public/loop").symlink_to(root)
    (root / "public/q1.md").symlink_to(root / "finance/q1.md")
    (root / "out.md").symlink_to(tmp_path / "outside.md")
    (root / "broken.md").symlink_to(tmp_path / "nothing.md")
    items = listed(root)
    assert sorted(items) == ["broken.md", "finance/q1.md", "out.md", "public/a.md"]
    for name in ("broken.md", "out.md"):
        with pytest.raises(IngestError, match="symbolic link"):
            items[name].read()


def test_a_file_name_that_is_not_unicode_can_still_be_stored(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.md")).write_text("x")
    (item,) = listed(tmp_path).values()
    assert item.document_id.encode("utf-8") == b"a\\xff.md"
    assert item.read() == b"x"


@pytest.mark.parametrize("name", ["nothing", "nothing.jsonl", "*.md"])
def test_a_location_where_nothing_is_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(IngestError, match="no such file or folder"):
        open_source(tmp_path / name)


def test_a_folder_without_documents_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, {"acl.yaml": "x", ".hidden": "x"})
    with pytest.raises(IngestError, match="no documents were found"):
        open_source(tmp_path)


def test_an_unknown_source_format_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="write auto, beir"):
        open_source(tmp_path, format="bier")


def test_a_single_file_and_a_glob_are_sources(tmp_path: Path) -> None:
    write(tmp_path, {"a/x.md": "1", "a/b/y.md": "2", "a/z.txt": "3"})
    assert list(listed(tmp_path / "a/x.md")) == ["x.md"]
    assert list(listed(tmp_path / "a/**/*.md")) == ["b/y.md", "x.md"]


def test_beir_reads_the_corpus_and_nothing_else(tmp_path: Path) -> None:
    jsonl(
        tmp_path / "corpus.jsonl",
        {"_id": "7", "title": "T", "text": "body", "metadata": {"year": 2020}},
        {"_id": "8", "title": "T", "text": ""},
    )
    write(tmp_path, {"queries.jsonl": "{}", "readme.md": "x"})
    items = listed(tmp_path, format="beir")
    assert list(items) == ["7", "8"]
    assert (items["7"].format, items["7"].title, items["7"].path, items["7"].metadata) == (
        "row",
        "T",
        "7",
        {"year": 2020},
    )
    assert (items["7"].read(), items["7"].size) == (b"body", 4)
    assert items["8"].read() == b"T"
    assert items["7"].acl is None
    with pytest.raises(IngestError, match=r"corpus\.jsonl"):
        open_source(tmp_path / "other", format="beir")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{broken", "not valid JSON"),
        ("[1]", "JSON object"),
        ('{"text": "x"}', '"_id" or "id"'),
        ('{"id": "x"}', 'needs "text"'),
        ('{"id": "x", "text": 5}', '"text" must be'),
        ('{"id": "x", "text": "t", "metadata": []}', '"metadata" must be'),
        ('{"id": "first", "text": "t"}', "stands already on line 1"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_a_broken_row_is_quarantined_with_its_line_and_the_others_go_on(
    tmp_path: Path, line: str, expected: str
) -> None:
    path = jsonl(tmp_path / "rows.jsonl", {"id": "first", "text": "a"}, "", line, {"id": "last", "text": "b"})
    items = listed(path)
    assert list(items) == ["first", "rows.jsonl:3", "last"]
    with pytest.raises(ParseError, match="line 3") as caught:
        items["rows.jsonl:3"].read()
    assert expected in str(caught.value)
    assert items["rows.jsonl:3"].acl == NOBODY


def test_a_row_that_is_not_utf8_is_quarantined(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b'\xef\xbb\xbf{"id": 1, "text": "ok"}\n{"id": 2, "text": "\xff"}\n')
    items = listed(tmp_path / "rows.jsonl")
    assert items["1"].read() == b"ok"
    with pytest.raises(ParseError, match="line 2"):
        items["rows.jsonl:2"].read()


def test_an_over_long_row_is_refused_and_the_next_one_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_PART_BYTES", 100)
    path = jsonl(tmp_path / "rows.jsonl", {"id": "big", "text": "x" * 1000}, {"id": "small", "text": "y"})
    items = listed(path)
    with pytest.raises(TooLarge, match="line 1"):
        items["rows.jsonl:1"].read()
    assert items["small"].read() == b"y"


def test_a_row_carries_its_own_rights(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "r.jsonl", {"id": "a", "text": "x", "acl": {"allow": ["group:hr"], "deny": ["user:eve"]}})
    item = listed(path)["a"]
    assert (item.acl, item.acl_error) == (Acl(("group:hr",), ("user:eve",)), None)


@pytest.mark.parametrize(
    "acl",
    [
        None,
        "everyone",
        [],
        {},
        {"alow": ["everyone"]},
        {"allow": "everyone"},
        {"allow": ["all"]},
        {"allow": [1]},
        {"allow": None},
        5,
    ],
)
def test_malformed_rights_of_a_row_are_nobody_and_say_so(tmp_path: Path, acl: object) -> None:
    item = listed(jsonl(tmp_path / "r.jsonl", {"id": "a", "text": "x", "acl": acl}))["a"]
    assert item.acl == NOBODY
    assert "nobody" in str(item.acl_error)


def test_rows_of_a_file_in_a_folder_are_matched_by_the_rules_for_that_file(tmp_path: Path) -> None:
    jsonl(tmp_path / "hr/cases.jsonl", {"id": "../x", "text": "x"})
    (item,) = listed(tmp_path).values()
    assert (item.document_id, item.path) == ("hr/cases.jsonl#../x", "hr/cases.jsonl")


def test_jsonl_is_streamed(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "r.jsonl", *({"id": n, "text": "x"} for n in range(1000)))
    items = open_source(path).items()
    assert next(items).document_id == "0"
    path.write_text("")
    assert len(list(items)) < 999


def test_each_source_opens_again_by_its_spec_under_the_same_name_with_the_same_items(tmp_path: Path) -> None:
    jsonl(tmp_path / "corpus.jsonl", {"_id": "1", "text": "x"})
    write(tmp_path, {"a/x.md": "1", "a/b/y.md": "2"})
    for location, format in (
        (tmp_path, "auto"),
        (tmp_path / "a/x.md", "auto"),
        (tmp_path / "a/**/*.md", "auto"),
        (tmp_path / "corpus.jsonl", "auto"),
        (tmp_path, "beir"),
    ):
        source = open_source(location, format=format)
        again = open_source_spec(json.loads(json.dumps(source.spec)))
        assert (again.name, type(again)) == (source.name, type(source))
        assert [item.document_id for item in again.items()] == [item.document_id for item in source.items()]
    with pytest.raises(ConfigError, match="not a source's spec"):
        open_source_spec({"location": "x", "colour": "red"})


def test_a_file_url_is_the_same_source_as_its_path(tmp_path: Path) -> None:
    root = write(tmp_path / "a b", {"x.md": "1"})
    assert open_source(root.as_uri()) == open_source(root)


def test_control_files_in_the_root_can_be_read_and_absent_ones_are_none(tmp_path: Path) -> None:
    jsonl(tmp_path / "corpus.jsonl", {"_id": "1", "text": "x"})
    write(tmp_path, {"a.md": "1", "acl.yaml": "default: {}", "sub/acl.yaml": "no", "sub/b.md": "x"})
    for source in (
        open_source(tmp_path),
        open_source(tmp_path / "a.md"),
        open_source(tmp_path / "*.md"),
        open_source(tmp_path / "**/b.md"),
        open_source(tmp_path / "corpus.jsonl"),
        open_source(tmp_path, format="beir"),
    ):
        assert (source.read_control("acl.yaml"), source.read_control("contract.yaml")) == (b"default: {}", None)


def test_a_control_file_that_cannot_be_read_is_an_error_and_not_absent(tmp_path: Path) -> None:
    source = open_source(write(tmp_path, {"a.md": "1"}))
    (tmp_path / "acl.yaml").symlink_to(tmp_path / "nothing")
    with pytest.raises(ConfigFileError, match="leads nowhere"):
        source.read_control("acl.yaml")
    (tmp_path / "contract.yaml").mkdir()
    with pytest.raises(ConfigFileError, match="cannot be read"):
        source.read_control("contract.yaml")


def test_a_read_stops_at_the_limit(tmp_path: Path) -> None:
    jsonl(tmp_path / "r.jsonl", {"id": 1, "text": "12345"})
    for item in listed(write(tmp_path, {"a.md": "12345"})).values():
        assert item.read(5) == b"12345"
        with pytest.raises(TooLarge, match="limit of 4"):
            item.read(4)


@pytest.mark.parametrize("other", ["link", "pipe"])
def test_what_takes_a_files_place_after_the_listing_is_neither_followed_nor_waited_for(
    tmp_path: Path, other: str
) -> None:
    write(tmp_path, {"secret.md": "secret", "root/a.md": "x"})
    item = listed(tmp_path / "root")["a.md"]
    (tmp_path / "root/a.md").unlink()
    if other == "link":
        (tmp_path / "root/a.md").symlink_to(tmp_path / "secret.md")
    else:
        os.mkfifo(tmp_path / "root/a.md")
    with pytest.raises(IngestError, match=r"a\.md cannot be read"):
        item.read()


def test_names_that_are_the_same_text_in_two_spellings_are_told_apart_and_the_second_refuses(tmp_path: Path) -> None:
    write(tmp_path, {"e\u0301.md": "decomposed", "\u00e9.md": "composed"})
    items = listed(tmp_path)
    assert list(items) == ["\u00e9.md", "\u00e9.md~2"]
    assert items["\u00e9.md"].read() == b"decomposed"
    with pytest.raises(IngestError, match="another item has the id"):
        items["\u00e9.md~2"].read()


def test_a_row_cannot_take_the_id_of_a_file(tmp_path: Path) -> None:
    jsonl(tmp_path / "a.jsonl", {"id": "b.md", "text": "row"})
    write(tmp_path, {"a.jsonl#b.md": "file"})
    items = listed(tmp_path)
    assert list(items) == ["a.jsonl#b.md", "a.jsonl#b.md~2"]


def test_half_a_surrogate_pair_in_a_rows_id_refuses(tmp_path: Path) -> None:
    (item,) = listed(jsonl(tmp_path / "r.jsonl", '{"id": "\\ud800", "text": "x"}')).values()
    assert item.document_id.encode()
    with pytest.raises(IngestError, match="Unicode"):
        item.read()


def test_folders_may_be_nested_deeper_than_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(1100):
        Path("d").mkdir()
        os.chdir("d")
    Path("a.md").write_text("x")
    try:
        (item,) = open_source(tmp_path).items()
        assert (item.document_id, item.read()) == ("d/" * 1100 + "a.md", b"x")
    finally:
        Path("a.md").unlink()
        for _ in range(1100):  # what cleans up after tests calls itself for each level
            os.chdir("..")
            Path("d").rmdir()


def test_a_row_file_that_cannot_be_opened_is_an_error_where_it_is_all_there_is(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "r.jsonl", {"id": 1, "text": "x"})
    source = open_source(path)
    path.unlink()
    with pytest.raises(IngestError, match="nothing was changed"):
        list(source.items())


@pytest.mark.parametrize(
    ("lines", "ids"),
    [
        (['{"sku": "a", "price": 1}', '{"sku": "b"}'], ["data.ndjson"]),
        (["1", "[2]"], ["data.ndjson"]),
        (['{"sku": "a"}', '{"id": "x", "text": "t"}'], ["data.ndjson:1", "data.ndjson#x"]),
        (['{"sku": "a"}', '{"sku": "b", "acl": {"allow": ["user:bob"]}}'], ["data.ndjson:1", "data.ndjson:2"]),
        (['{"sku": "a"}', "not JSON"], ["data.ndjson:1", "data.ndjson:2"]),
    ],
    ids=["objects", "values", "a document among them", "rights among them", "no JSON"],
)
def test_a_file_of_records_without_ids_and_rights_is_one_document(
    tmp_path: Path, lines: list[str], ids: list[str]
) -> None:
    """A row with rights of its own must never disappear in a document under the rights of its file."""
    (tmp_path / "data.ndjson").write_text("\n".join(lines))
    items = list(open_source(tmp_path).items())
    assert [item.document_id for item in items] == ids
    assert (items[0].format == "json") is (ids == ["data.ndjson"])
