"""A SQL query is a source of one document a row, and is only read."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from indexes.errors import ConfigError, DependencyMissing, IngestError, ParseError
from indexes.vocabulary import NOBODY, Acl
from ingest.sources import SourceItem, open_source, open_source_spec
from ingest.sources.sql import SqlSource
from ingest.sources.urls import SourceUrl
from ingest.sources.values import plain

SELECT = "select id, text from docs order by id"


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = tmp_path / "docs.db"
    with sqlite3.connect(path) as db:
        db.execute("create table docs (id, text, title, uri, acl, version, year, price)")
        db.executemany(
            "insert into docs values (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (1, "The kiln runs.", "Kiln", "https://wiki/1", '{"allow": ["group:hr"]}', 7, 2026, 1.5),
                (2, "Lunch.", None, None, None, None, None, float("inf")),
            ],
        )
    db.close()
    return f"sqlite:///{path}"


def execute(database: str, statement: str, *values: object) -> None:
    with sqlite3.connect(database.removeprefix("sqlite:///")) as db:
        db.execute(statement, values)
    db.close()


def listed(database: str, query: str) -> dict[str, SourceItem]:
    items = list(open_source(database, format="sql", query=query).items())
    assert len({item.document_id for item in items}) == len(items)
    return {item.document_id: item for item in items}


def test_known_columns_make_the_item_and_the_others_its_metadata(database: str) -> None:
    items = listed(database, "select * from docs order by id")
    first, second = items["1"], items["2"]
    assert (first.read(), first.size, first.title, first.uri) == (b"The kiln runs.", 14, "Kiln", "https://wiki/1")
    assert (first.metadata, first.acl, first.format, first.path) == (
        {"year": 2026, "price": 1.5},
        Acl(("group:hr",)),
        "row",
        "1",
    )
    assert (second.uri, second.metadata) == (f"{database}#2", {"price": None})
    assert second.acl == NOBODY, "a missing right must not fall back on a wider one"
    assert "nobody" in str(second.acl_error)
    assert listed(database, SELECT)["2"].acl is None


def test_the_mark_follows_the_version_column_or_else_the_row(database: str) -> None:
    def marks() -> tuple[str, str]:
        items = listed(database, "select id, text, title, version, year from docs order by id")
        return items["1"].mark, items["2"].mark

    before = marks()
    execute(database, "update docs set year = 1999")
    assert marks()[0] == before[0]
    assert marks()[1] != before[1], "metadata of a row without version"
    execute(database, "update docs set version = 8 where id = 1")
    assert marks()[0] != before[0]
    assert listed(database, "select id, text, version from docs")["1"].mark != marks()[0], (
        "other columns, other metadata"
    )


@pytest.mark.parametrize("change", ["text = 'new'", "title = 'new'", "year = 1"])
def test_a_changed_row_has_another_mark_and_changed_rights_have_not(database: str, change: str) -> None:
    query = "select id, text, title, acl, year from docs order by id"
    before = listed(database, query)["1"].mark
    execute(database, "update docs set acl = '{\"allow\": []}'")
    assert listed(database, query)["1"].mark == before != ""
    execute(database, f"update docs set {change}")
    assert listed(database, query)["1"].mark != before


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("3, null", "text is NULL"),
        ("null, 'x'", "an id must be"),
        ("'', 'x'", "an id must be"),
        ("3, 5", '"text" must be'),
        ("3, x'00'", '"text" must be'),
    ],
)
def test_a_row_that_cannot_be_a_document_refuses_and_the_others_go_on(database: str, row: str, expected: str) -> None:
    items = list(listed(database, f"select id, text from docs union all select {row}").values())
    assert len(items) == 3
    with pytest.raises(ParseError, match="row 3") as caught:
        items[2].read()
    assert expected in str(caught.value)
    assert items[2].mark == ""


def test_a_second_row_of_one_id_refuses(database: str) -> None:
    items = listed(database, "select 1 as id, 'a' as text union all select '1', 'b'")
    assert items["1"].read() == b"a"
    with pytest.raises(IngestError, match="another item has the id '1'"):
        items["1~2"].read()


@pytest.mark.parametrize(
    "query",
    [
        "delete from docs",
        "select 1; delete from docs",
        "insert into docs(id) values (1)",
        "pragma user_version",
        "",
        "/* select */ drop table docs",
    ],
)
def test_a_query_that_is_no_select_is_refused(database: str, query: str) -> None:
    with pytest.raises(ConfigError, match="one SELECT"):
        open_source(database, format="sql", query=query)


def test_a_semicolon_in_a_text_or_comment_is_no_second_statement(database: str) -> None:
    assert list(listed(database, "select id, text -- one; two\nfrom docs where text <> 'a;b%s' and id = 1;")) == ["1"]


def test_a_query_that_writes_all_the_same_is_stopped_by_the_database(database: str) -> None:
    with pytest.raises(IngestError, match=r"readonly|read-only"):
        listed(database, "with gone as (select 1) delete from docs returning id, text")
    assert len(listed(database, SELECT)) == 2


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("select id from docs", "'text'"),
        ("select text from docs", "'id'"),
        ("select id, text, text from docs", "twice"),
    ],
)
def test_wrong_columns_are_a_config_error(database: str, query: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        open_source(database, format="sql", query=query)


def test_a_query_that_fails_is_an_ingest_error_and_so_is_a_missing_database(database: str, tmp_path: Path) -> None:
    with pytest.raises(IngestError, match="no such table"):
        open_source(database, format="sql", query="select id, text from none_such")
    with pytest.raises(IngestError, match="no such database"):
        open_source(f"sqlite:///{tmp_path}/none.db", format="sql", query=SELECT)
    assert not (tmp_path / "none.db").exists()


def test_a_query_that_finds_nothing_deletes_no_collection(database: str) -> None:
    with pytest.raises(IngestError, match="no documents"):
        open_source(database, format="sql", query="select id, text from docs where id > 9")


def test_a_fault_half_way_raises_instead_of_listing_a_part(database: str) -> None:
    """Of 3,000 rows the last one's JSON is broken: sqlite finds out only when it comes there."""
    query = (
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000) "
        "select i as id, json_extract(case when i < 3000 then '{\"t\": \"x\"}' else 'broken' end, '$.t') as text from n"
    )
    items = open_source(database, format="sql", query=query).items()
    assert next(items).document_id == "1"
    with pytest.raises(IngestError, match="malformed JSON"):
        list(items)


def test_a_query_from_a_file_gives_a_name_that_its_edits_do_not_change(database: str, tmp_path: Path) -> None:
    file = tmp_path / "q.sql"
    file.write_text(SELECT)
    source = open_source(database, format="sql", query=f"@{file}")
    name = source.name
    file.write_text("select id, text, year from docs order by id;\n")
    again = open_source_spec(source.spec)
    assert again.name == name
    assert [item.document_id for item in again.items()] == ["1", "2"]
    inline = open_source(database, format="sql", query=SELECT)
    assert inline.name == open_source_spec(inline.spec).name != name
    with pytest.raises(ConfigError, match="cannot be read"):
        open_source(database, format="sql", query=f"@{tmp_path}/none.sql")


def test_a_relative_database_is_named_by_its_full_path(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_source("sqlite:///docs.db", query=SELECT).name == open_source(database, query=SELECT).name


def test_a_password_is_in_no_name_uri_spec_or_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW", "hunter2")
    source = SqlSource(SourceUrl("sqlite://alice:${PW}@/nowhere.db"), SELECT)
    assert "hunter2" not in repr(source) + source.name + str(source.spec)
    with pytest.raises((ConfigError, IngestError)) as caught:
        list(source.items())
    assert "hunter2" not in str(caught.value)


def test_a_missing_driver_is_named() -> None:
    with pytest.raises(DependencyMissing, match="oracledb"):
        open_source("oracle+oracledb://host/db", format="sql", query=SELECT)


@pytest.mark.parametrize("location", ["nonsense://host/db", "docs.db"])
def test_what_is_no_database_url_is_a_config_error(location: str) -> None:
    with pytest.raises(ConfigError):
        open_source(location, format="sql", query=SELECT)


def test_a_database_without_query_is_a_config_error(database: str) -> None:
    with pytest.raises(ConfigError, match="needs a query"):
        open_source(database)


def test_values_become_what_json_holds() -> None:
    assert plain(datetime(2026, 1, 2, 3, tzinfo=UTC), "x") == "2026-01-02T03:00:00+00:00"
    assert plain(date(2026, 1, 2), "x") == "2026-01-02"
    assert plain(timedelta(minutes=1), "x") == 60
    assert (plain(Decimal("1.5"), "x"), plain(Decimal("0.10000000000000000001"), "x")) == (
        1.5,
        "0.10000000000000000001",
    )
    assert plain([UUID(int=1), {1: float("nan")}], "x") == ["00000000-0000-0000-0000-000000000001", {"1": None}]
    with pytest.raises(ParseError, match="column 'x' holds bytes"):
        plain(b"x", "x")
