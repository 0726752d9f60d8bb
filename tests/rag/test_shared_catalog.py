"""Several servers over one PostgreSQL database: what one of them writes, all of them see."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from indexes.errors import BuildCorrupt, Busy
from indexes.rights import set_rule
from indexes.settings import load_settings
from rag import Loremill, Principal
from rag.lore.items import MemoryItem
from rag.tenant import tenant_names
from tests.catalogs import PostgresServer
from tests.conftest import OpenMill, WriteTree

ALICE = Principal("halden", "user:alice")
BOB = Principal("halden", "user:bob")


@pytest.fixture
def url(postgres: PostgresServer, tmp_path: Path) -> Iterator[str]:
    yield postgres.url_of(tmp_path)
    postgres.free()


@pytest.fixture
def server(url: str, open_mill: OpenMill, tmp_path: Path) -> Callable[[str], Loremill]:
    """Opens a home of that name over the one database."""
    return lambda name: open_mill(tmp_path / name, catalog_url=url)


@pytest.fixture
def docs(write_tree: WriteTree) -> Path:
    return write_tree({"a.md": "The kiln runs hot.", "b.md": "The pond is frozen."})


def test_a_tenant_made_by_one_server_is_listed_by_another_whose_home_knows_nothing_of_it(
    server: Callable[[str], Loremill], docs: Path, url: str, tmp_path: Path
) -> None:
    one, two = server("one"), server("two")
    assert tenant_names(two.home, two.settings) == []
    one.ingest(docs, collection="c", tenant="halden", allow=["everyone"])
    assert tenant_names(two.home, load_settings(home=two.home, catalog_url=url)) == ["halden"]
    assert two.collections(principal=ALICE) == ["c"]
    assert [info.document_id for info in two.documents(collection="c", principal=ALICE)] == ["a.md", "b.md"]
    assert two.quarantine("c") == []


def test_the_indexes_are_files_of_a_home_and_another_home_makes_its_own_by_ingesting_the_same(
    server: Callable[[str], Loremill], docs: Path
) -> None:
    one, two = server("one"), server("two")
    one.ingest(docs, collection="c", tenant="halden", allow=["everyone"])
    with pytest.raises(BuildCorrupt):
        two.search("kiln", collection="c", principal=ALICE)
    report = two.ingest(docs, collection="c", tenant="halden", allow=["everyone"])
    assert (report.chunks.embedded, report.build) == (0, one.search_result("x", collection="c", principal=ALICE).build)
    assert two.search("kiln", collection="c", principal=ALICE)[0].document_id == "a.md"


def test_a_right_that_one_server_takes_away_is_gone_on_the_other_with_the_next_query(
    server: Callable[[str], Loremill], docs: Path
) -> None:
    one, two = server("one"), server("two")
    for mill in (one, two):
        mill.ingest(docs, collection="c", tenant="halden", allow=["everyone"])
    assert {hit.document_id for hit in two.search("kiln pond", collection="c", principal=BOB)} == {"a.md", "b.md"}
    set_rule(one._tenant("halden").catalog, "c", path="a.md", allow=["user:alice"])
    assert {hit.document_id for hit in two.search("kiln pond", collection="c", principal=BOB)} == {"b.md"}
    assert two.document_text("a.md", collection="c", principal=BOB) is None


def test_what_is_remembered_through_one_server_is_recalled_through_the_other_and_forgotten_on_both(
    server: Callable[[str], Loremill],
) -> None:
    one, two = server("one"), server("two")
    said = one.memory.remember("I prefer oat milk.", principal=ALICE, speaker="Alice")
    assert [item.id for item in two.memory.recall("which milk?", principal=ALICE, kinds=["episode"])] == [said.id]
    assert two.memory.recall("which milk?", principal=BOB) == []
    one.memory.forget(principal=ALICE, id=said.id)
    assert two.memory.recall("which milk?", principal=ALICE) == []


def test_two_servers_do_not_ingest_into_one_collection_at_once(server: Callable[[str], Loremill], docs: Path) -> None:
    one, two = server("one"), server("two")
    one.ingest(docs, collection="c", tenant="halden", allow=["everyone"])
    with one._ingestion(one._tenant("halden"), "c"), pytest.raises(Busy):
        two.ingest(docs, collection="c", tenant="halden", allow=["everyone"])
    two.ingest(docs, collection="c", tenant="halden", allow=["everyone"])


def test_two_servers_that_remember_at_once_lose_nothing_and_see_all_of_it_in_one_order(
    server: Callable[[str], Loremill],
) -> None:
    mills = {"Ann": server("one"), "Ben": server("two")}

    def remember(name: str) -> None:
        for number in range(8):
            mills[name].memory.remember(f"{name} saw bird {number}.", principal=ALICE)
            mills[name].memory.recall("bird", principal=ALICE)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(remember, mills))
    told = [[item.text for item in _episodes(mill)] for mill in mills.values()]
    assert told[0] == told[1]
    assert sorted(told[0]) == sorted(f"{name} saw bird {number}." for name in mills for number in range(8))
    for mill in mills.values():
        found = mill.memory.recall("bird", principal=ALICE, top_k=50, kinds=["episode"])
        assert {item.text for item in found} == set(told[0])


def _episodes(mill: Loremill) -> list[MemoryItem]:
    return [item for item in mill.memory.list(principal=ALICE, limit=100) if item.kind == "episode"]
