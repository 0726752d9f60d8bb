"""Searching as somebody: everything that may be read is found, nothing else is, and a right that is taken away is gone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes import faiss
from indexes.errors import AccessDenied, BuildCorrupt, CollectionNotFound, ConfigError, TooLarge, UnsupportedFilter
from indexes.minilm import MiniLM
from rag import Acl, Hit, Loremill, Principal

MODES = ("dense", "lexical", "hybrid")
ALICE = Principal("halden", "user:alice", ("group:finance",))
BOB = Principal("halden", "user:bob")
OpenMill = Callable[..., Loremill]
WriteTree = Callable[..., Path]
Row = Mapping[str, Any]


def row(name: str, text: str, allow: Sequence[str] = ("everyone",), deny: Sequence[str] = (), **metadata: Any) -> Row:
    return {"id": name, "text": text, "metadata": metadata, "acl": {"allow": list(allow), "deny": list(deny)}}


def write_rows(folder: Path, rows: Sequence[Row]) -> Path:
    """Write the rows as the one source `rows.jsonl`, in which their ids are the documents'."""
    folder.mkdir(exist_ok=True)
    path = folder / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def ingest(mill: Loremill, folder: Path, rows: Sequence[Row]) -> None:
    mill.ingest(write_rows(folder, rows), collection="company", tenant="halden")


def search(mill: Loremill, query: str, principal: Principal, mode: str = "hybrid", **options: Any) -> list[Hit]:
    return mill.search(query, collection="company", principal=principal, mode=mode, **{"top_k": 100} | options)


def found(mill: Loremill, query: str, principal: Principal, mode: str = "hybrid", **options: Any) -> set[str]:
    return {hit.document_id for hit in search(mill, query, principal, mode, **options)}


# -- who may read what -------------------------------------------------------------------------------------------------

ACLS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "everyone": (["everyone"], []),
    "alice": (["user:alice"], []),
    "finance": (["group:finance"], []),
    "finance-or-bob": (["group:finance", "user:bob"], []),
    "agents-alice": (["agent:alice"], []),
    "not-alice": (["everyone"], ["user:alice"]),
    "finance-not-board": (["group:finance"], ["group:board"]),
    "allowed-and-denied": (["user:alice", "group:finance", "user:bob"], ["user:alice", "group:finance", "user:bob"]),
    "denied-to-all": (["everyone", "user:alice"], ["everyone"]),
    "only-denies": ([], ["user:bob"]),
    "nobody": ([], []),
}
READERS: dict[str, tuple[Principal, set[str]]] = {
    "alice": (
        Principal("halden", "user:alice", ("group:finance",)),
        {"everyone", "alice", "finance", "finance-or-bob", "finance-not-board"},
    ),
    "alice of no group": (Principal("halden", "user:alice"), {"everyone", "alice"}),
    "bob": (Principal("halden", "user:bob"), {"everyone", "finance-or-bob", "not-alice"}),
    "carol of the board": (
        Principal("halden", "user:carol", ("group:board", "group:finance")),
        {"everyone", "finance", "finance-or-bob", "not-alice"},
    ),
    "alice's agent": (Principal("halden", "agent:alice"), {"everyone", "agents-alice", "not-alice"}),
    "a service of finance": (
        Principal("halden", "service:ledger", ("group:finance",)),
        {"everyone", "finance", "finance-or-bob", "not-alice", "finance-not-board"},
    ),
    "a user called as the group": (Principal("halden", "user:finance"), {"everyone", "not-alice"}),
    "a group called as the user": (Principal("halden", "user:dan", ("group:alice",)), {"everyone", "not-alice"}),
    "a group called everyone": (Principal("halden", "user:dan", ("group:everyone",)), {"everyone", "not-alice"}),
}


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory, minilm: MiniLM) -> Any:
    """One document for each ACL, all about the same."""
    root = tmp_path_factory.mktemp("matrix")
    with Loremill.open(root / "home") as mill:
        mill.embedder = minilm
        ingest(mill, root / "docs", [row(name, f"The kiln of {name} is hot.", *acl) for name, acl in ACLS.items()])
        yield mill


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("document", ACLS)
def test_rule_and_principal_decide_in_every_mode_whether_a_document_is_found(
    matrix: Loremill, document: str, reader: str
) -> None:
    principal, readable = READERS[reader]
    text = f"The kiln of {document} is hot."
    for mode in MODES:
        assert (document in found(matrix, text, principal, mode)) is (document in readable)
        assert found(matrix, text, principal, mode, where={"document_id": document}) == ({document} & readable)


@pytest.mark.parametrize("reader", ["alice", "bob", "alice's agent"])
def test_listing_and_answers_agree_with_search(matrix: Loremill, reader: str) -> None:
    principal, readable = READERS[reader]
    listed = {info.document_id for info in matrix.documents(collection="company", principal=principal)}
    assert listed == readable
    answer = matrix.ask("Which kiln is hot?", collection="company", principal=principal)
    assert {citation.document_id for citation in answer.citations} <= readable


NAMES = ["everyone", "user:ann", "user:ben", "agent:ann", "group:red", "group:blue"]
TEXTS = [f"The kiln number {number} is hot." for number in range(6)]
some_names = st.lists(st.sampled_from(NAMES), max_size=3, unique=True)
some_acls = st.lists(st.tuples(some_names, some_names), min_size=len(TEXTS), max_size=len(TEXTS))
some_principals = st.builds(
    Principal,
    st.just("halden"),
    st.sampled_from(["user:ann", "user:ben", "agent:ann", "user:eve"]),
    st.lists(st.sampled_from(["group:red", "group:blue", "group:grey"]), max_size=2, unique=True).map(tuple),
)


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory, minilm: MiniLM) -> Any:
    """Two open mills on one home, the folder of its source, and all rights to be set anew."""
    root = tmp_path_factory.mktemp("changing")
    with Loremill.open(root / "home") as writer, Loremill.open(root / "home") as reader:
        writer.embedder = reader.embedder = minilm
        yield writer, reader, root / "docs"


@given(acls=some_acls, principals=st.lists(some_principals, min_size=1, max_size=3))
@settings(max_examples=15, deadline=None)
def test_whatever_the_rights_exactly_what_they_allow_is_found(
    changing: tuple[Loremill, Loremill, Path],
    acls: list[tuple[list[str], list[str]]],
    principals: list[Principal],
) -> None:
    writer, reader, folder = changing
    ingest(writer, folder, [row(f"d{number}", TEXTS[number], *acl) for number, acl in enumerate(acls)])
    for who in principals:
        readable = set()
        for number, (allow, deny) in enumerate(acls):
            allowed = any(name in ("everyone", who.subject) or name in who.groups for name in allow)
            denied = any(name in ("everyone", who.subject) or name in who.groups for name in deny)
            if allowed and not denied:
                readable.add(f"d{number}")
        for mill, mode in product((writer, reader), MODES):
            assert found(mill, "hot kiln", who, mode) == readable
            assert len(search(mill, "hot kiln", who, mode, top_k=2)) == min(2, len(readable))


# -- filtering costs no hits -------------------------------------------------------------------------------------------

CLOSE = [row(f"secret{number:03}", f"The kiln runs at 900 degrees. Note {number}.", ()) for number in range(150)]
TOPICS = ("cats", "dogs", "boats", "trains", "apples", "chess", "music", "maths", "soup", "wool", "glass", "maps")
OPEN = [
    row(f"open{number:02}", f"Somebody once saw the kiln, while writing about {topic} in the rain.")
    for number, topic in enumerate(TOPICS)
]
KILN = "The kiln runs at 900 degrees."


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory, minilm: MiniLM) -> Any:
    """A few documents that may be read among many better ones that may not, and a home with the few alone."""
    root = tmp_path_factory.mktemp("crowded")
    with Loremill.open(root / "home") as mill, Loremill.open(root / "few") as few:
        mill.embedder = few.embedder = minilm
        mill.ingest(write_rows(root / "all", [*CLOSE, *OPEN]), collection="company", tenant="halden")
        few.ingest(write_rows(root / "open", OPEN), collection="company", tenant="halden")
        yield mill, few


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("top_k", [1, 10, 12])
def test_top_k_is_filled_although_many_better_chunks_may_not_be_read(
    crowded: tuple[Loremill, Loremill], mode: str, top_k: int
) -> None:
    hits = search(crowded[0], KILN, BOB, mode, top_k=top_k)
    assert len(hits) == top_k
    assert all(hit.document_id.startswith("open") for hit in hits)


@pytest.mark.parametrize("mode", MODES)
def test_more_than_there_is_gives_all_that_may_be_read(crowded: tuple[Loremill, Loremill], mode: str) -> None:
    assert found(crowded[0], KILN, BOB, mode, top_k=1000) == {str(one["id"]) for one in OPEN}


def test_what_may_not_be_read_changes_neither_order_nor_score_of_dense_hits(
    crowded: tuple[Loremill, Loremill],
) -> None:
    among, alone = (search(mill, KILN, BOB, "dense", top_k=10) for mill in crowded)
    assert [(hit.document_id, hit.text) for hit in among] == [(hit.document_id, hit.text) for hit in alone]
    assert [hit.score for hit in among] == pytest.approx([hit.score for hit in alone], abs=1e-5)


def test_nothing_to_read_gives_no_hits_and_no_error(mill: Loremill, tmp_path: Path) -> None:
    ingest(mill, tmp_path / "docs", CLOSE[:5])
    for mode in MODES:
        assert search(mill, KILN, BOB, mode) == []


# -- revocation --------------------------------------------------------------------------------------------------------

RULES = "tenant: halden\ndefault: {{allow: [everyone]}}\nrules:\n  - {{path: 'plan.md', allow: [{}]}}\n"
DOCS: dict[str, str | bytes | None] = {
    "acl.yaml": RULES.format("user:bob"),
    "plan.md": "# Plan\n\nThe kiln will be sold in May.\n",
    "leave.md": "# Leave\n\nParental leave is 20 weeks.\n",
}


def sees(mills: Sequence[Loremill], principal: Principal, document: str = "plan.md") -> bool:
    """Whether the principal finds the document; all mills and modes must agree, the listing and the answer too."""
    views = {
        document in found(mill, "plan: the kiln will be sold; parental leave", principal, mode)
        for mill, mode in product(mills, MODES)
    }
    views |= {mill.document(document, collection="company", principal=principal) is not None for mill in mills}
    [seen] = views
    if not seen:
        answer = mills[-1].ask("When will the kiln be sold?", collection="company", principal=principal)
        assert document not in {citation.document_id for citation in answer.citations}
    return seen


@pytest.fixture
def mills(open_mill: OpenMill, write_tree: WriteTree) -> tuple[Loremill, Loremill]:
    """Two open mills on one home, as two processes would have; both have searched."""
    docs, writer, reader = write_tree(DOCS), open_mill(), open_mill()
    writer.ingest(docs, collection="company")
    assert sees((writer, reader), BOB)
    return writer, reader


def test_a_right_taken_from_the_acl_file_is_gone_at_the_next_query_in_every_open_mill(
    mills: tuple[Loremill, Loremill], write_tree: WriteTree
) -> None:
    docs = write_tree({"acl.yaml": RULES.format("user:carol")})
    mills[0].ingest(docs, collection="company")
    assert not sees(mills, BOB)
    assert sees(mills, BOB, "leave.md")
    write_tree({"acl.yaml": RULES.format("user:bob")})
    mills[0].ingest(docs, collection="company")
    assert sees(mills, BOB)


def test_a_right_granted_holds_at_the_next_query_in_every_open_mill(
    mills: tuple[Loremill, Loremill], write_tree: WriteTree
) -> None:
    carol = Principal("halden", "user:carol")
    assert not sees(mills, carol)
    mills[1].ingest(write_tree({"acl.yaml": RULES.format("user:carol, user:bob")}), collection="company")
    assert sees(mills, carol)


def test_a_deleted_document_is_gone_at_the_next_query_in_every_open_mill(mills: tuple[Loremill, Loremill]) -> None:
    assert mills[0].delete_document("plan.md", collection="company", principal=BOB)
    assert not sees(mills, BOB)
    assert sees(mills, BOB, "leave.md")


def test_a_document_that_is_put_anew_under_other_rights_is_gone_for_those_it_left_out(
    mills: tuple[Loremill, Loremill],
) -> None:
    for allowed, seen in (("user:bob", True), ("user:carol", False)):
        mills[0].put_document(
            collection="company",
            principal=BOB,
            document_id="note",
            text="The kiln will be sold for nothing.",
            acl=Acl((allowed,)),
        )
        assert sees(mills, BOB, "note") is seen


def test_a_group_taken_away_in_the_directory_is_gone_at_the_next_query(
    mills: tuple[Loremill, Loremill], write_tree: WriteTree
) -> None:
    docs = write_tree({"acl.yaml": RULES.format("group:sales")})
    mills[0].ingest(docs, collection="company")
    people = docs.parent / "principals.yaml"
    for groups, seen in (("[sales]", True), ("[support]", False), ("[sales]", True), ("[]", False)):
        people.write_text(f"bob: {{tenant: halden, groups: {groups}}}\n")
        mills[0].directory.import_principals(people)
        for mill in mills:
            assert sees(mills, mill.directory.resolve("bob")) is seen


@pytest.mark.parametrize("kept", [False, True])
def test_a_right_taken_while_a_search_runs_holds_for_that_search(
    mills: tuple[Loremill, Loremill], write_tree: WriteTree, kept: bool
) -> None:
    writer, reader = mills
    docs = write_tree({"acl.yaml": RULES.format("user:carol")})
    taken: list[bool] = []

    def meanwhile() -> None:
        if not taken:  # the rows are chosen, the hits not yet confirmed
            taken.append(True)
            writer.ingest(docs, collection="company")

    if kept:
        assert [hit.document_id for hit in search(reader, "the kiln will be sold", BOB, top_k=1)] == ["plan.md"]
    reader._tenant("halden").retriever.before_confirm = meanwhile
    hits = search(reader, "the kiln will be sold", BOB, top_k=1)
    assert taken
    assert [hit.document_id for hit in hits] == ["leave.md"], "neither the secret nor too few hits"


# -- filters -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (None, {"a", "b", "c"}),
        ({}, {"a", "b", "c"}),
        ({"year": 2024}, {"a", "b"}),
        ({"year": "2024"}, {"a", "b"}),
        ({"year": 2024, "draft": True}, {"b"}),
        ({"tag": "hot"}, {"a", "c"}),
        ({"tag": "hot", "year": 2025}, {"c"}),
        ({"title": "", "document_id": "a"}, {"a"}),
        ({"document_id": "secret"}, set()),
        ({"year": 2026}, set()),
        ({"nothing": "x"}, set()),
        ({"year": {"gt": 2024}}, {"c"}),
        ({"year": {"lte": 2026}}, {"a", "b", "c"}),
        ({"tag": {"in": ["hot", "cold"]}, "draft": {"ne": True}}, {"a", "c"}),
        ({"tag": {"exists": False}}, {"b"}),
        ({"or": [{"year": 2026}, {"year": {"gte": 2025}}]}, {"c"}),
        ({"not": {"document_id": {"in": ["a", "secret"]}}}, {"b", "c"}),
    ],
)
def test_a_filter_narrows_what_may_be_read_and_never_widens_it(
    filtered: Loremill,
    mode: str,
    where: dict[str, Any] | None,
    expected: set[str],
) -> None:
    hits = search(filtered, "hot kiln", BOB, mode, where=where)
    assert {hit.document_id for hit in hits} == expected
    for hit in hits:
        assert hit.metadata["year"] in {2024, 2025}


@pytest.fixture(scope="module")
def filtered(tmp_path_factory: pytest.TempPathFactory, minilm: MiniLM) -> Any:
    root = tmp_path_factory.mktemp("filtered")
    rows = [
        row("a", "The first kiln is hot.", year=2024, draft=False, tag=["hot", "kiln"]),
        row("b", "The second kiln is hot.", year=2024, draft=True),
        row("c", "The third kiln is hot.", year=2025, draft=False, tag="hot"),
        row("secret", "The hot kiln, hot kiln.", ["group:finance"], year=2024, draft=True, tag="hot"),
        row("future", "The kiln to come is hot.", ["group:finance"], year=2026),
    ]
    with Loremill.open(root / "home") as mill:
        mill.embedder = minilm
        ingest(mill, root / "docs", rows)
        yield mill


def test_a_filter_still_fills_top_k_behind_what_it_leaves_out(filtered: Loremill) -> None:
    for mode in MODES:
        [hit] = search(filtered, "The first kiln is hot.", BOB, mode, top_k=1, where={"year": 2025})
        assert hit.document_id == "c"


def test_a_filter_holds_for_the_metadata_of_now_and_not_of_the_search_before(
    mills: tuple[Loremill, Loremill], tmp_path: Path
) -> None:
    writer, reader = mills
    rows = [row("a", "The first kiln.", year=2024), row("b", "The second kiln.", year=2025)]
    ingest(writer, tmp_path / "docs", rows)
    where = {"year": {"gte": 2025}}
    assert found(reader, "kiln", BOB, where=where) == {"b"}
    builds = {reader.search_result("kiln", collection="company", principal=BOB).build}
    rows = [row("a", "The first kiln.", year=2026), row("b", "The second kiln.", year=1999)]
    ingest(writer, tmp_path / "docs", rows)  # the same texts: the same build
    builds.add(reader.search_result("kiln", collection="company", principal=BOB).build)
    assert len(builds) == 1
    assert found(reader, "kiln", BOB, where=where) == {"a"}
    ingest(writer, tmp_path / "docs", [*rows, row("c", "The third kiln.", year=2030)])
    assert found(reader, "kiln", BOB, where=where) == {"a", "c"}
    ingest(writer, tmp_path / "docs", rows[1:])
    assert found(reader, "kiln", BOB, where=where) == set()


@pytest.mark.parametrize("kept", [False, True])
def test_metadata_that_changes_while_a_search_runs_counts_for_that_search(
    mills: tuple[Loremill, Loremill], tmp_path: Path, kept: bool
) -> None:
    writer, reader = mills
    ingest(writer, tmp_path / "docs", [row("a", "The first kiln.", year=2024), row("b", "The kiln.", year=2024)])
    changed: list[bool] = []

    def meanwhile() -> None:
        if not changed:
            changed.append(True)
            ingest(
                writer, tmp_path / "docs", [row("a", "The first kiln.", year=1999), row("b", "The kiln.", year=2024)]
            )

    options: dict[str, Any] = {"where": {"year": {"gte": 2024}}, "top_k": 1}
    if kept:
        assert found(reader, "The first kiln.", BOB, **options) == {"a"}
    reader._tenant("halden").retriever.before_confirm = meanwhile
    [hit] = search(reader, "The first kiln.", BOB, **options)
    assert changed
    assert (hit.document_id, hit.metadata["year"]) == ("b", 2024), "neither a stale hit nor too few"


def test_what_a_filter_found_is_kept_under_one_name_however_it_is_written(filtered: Loremill) -> None:
    cache = filtered._tenant("halden").retriever.cache
    before = len(cache)
    for where in (
        {"year": 2024, "or": [{"tag": "hot"}, {"draft": True}]},
        {"or": [{"draft": {"eq": True}}, {"tag": "hot"}, {"tag": "hot"}], "year": {"in": [2024, 2024]}},
    ):
        assert found(filtered, "some kiln", BOB, where=where) == {"a", "b"}
    assert len(cache) == before + 1


@pytest.mark.parametrize(
    "where",
    [[], "year=2024", {"year": {"near": 1}}, {"year": None}, {"year": [2024]}, {'ye"ar': 2024}, {"year": 2**63}],
)
def test_a_filter_that_cannot_be_applied_raises_and_finds_nothing(filtered: Loremill, where: Any) -> None:
    for mode in MODES:
        with pytest.raises(UnsupportedFilter):
            search(filtered, "kiln", BOB, mode, where=where)


# -- arguments ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("query", ["", " ", "\n\t", "caf\udce9", "\ud800", None, 7])
def test_a_query_that_is_blank_or_no_unicode_is_a_config_error(filtered: Loremill, query: Any, mode: str) -> None:
    with pytest.raises(ConfigError, match="the query is"):
        search(filtered, query, BOB, mode)


@pytest.mark.parametrize("top_k", [0, -1, 1001, 2.5, "3", None])
def test_a_top_k_out_of_range_is_a_config_error(filtered: Loremill, top_k: Any) -> None:
    with pytest.raises(ConfigError, match=f"top_k is {top_k}, it must be 1 to 1000"):
        search(filtered, "kiln", BOB, top_k=top_k)


def test_the_ends_of_the_range_are_allowed(filtered: Loremill) -> None:
    assert len(search(filtered, "kiln", BOB, top_k=1)) == 1
    assert len(search(filtered, "kiln", BOB, top_k=1000)) == 3


@pytest.mark.parametrize("mode", ["", "HYBRID", "psychic"])
def test_an_unknown_mode_is_a_config_error_that_names_the_known_ones(filtered: Loremill, mode: str) -> None:
    with pytest.raises(ConfigError, match="use hybrid, dense or lexical"):
        search(filtered, "kiln", BOB, mode)


def test_a_query_over_the_limit_is_too_large_and_one_at_the_limit_is_not(open_mill: OpenMill, tmp_path: Path) -> None:
    mill = open_mill(max_query_chars=20)
    ingest(mill, tmp_path / "docs", OPEN[:2])
    for mode in MODES:
        assert len(search(mill, "kiln " * 4, BOB, mode)) == 2
        with pytest.raises(TooLarge, match="has 21 characters, the limit is 20"):
            search(mill, "kiln " * 4 + "!", BOB, mode)
    with pytest.raises(TooLarge):
        mill.ask("Where is the kiln, please?", collection="company", principal=BOB)


@pytest.mark.parametrize(
    "query", ["kiln AND -hot", '"kiln', "kiln*", "title:kiln", "acl:1 OR kiln", "(", "row:[0 TO 9]"]
)
def test_a_query_is_text_and_no_language(filtered: Loremill, query: str) -> None:
    for mode in MODES:
        assert found(filtered, query, BOB, mode) <= {"a", "b", "c"}
    if "kiln" in query:
        assert found(filtered, query, BOB, "lexical") == {"a", "b", "c"}


@pytest.mark.parametrize("options", [{"top_k": 0}, {"mode": "psychic"}, {"query": ""}])
def test_a_wrong_argument_says_the_same_whether_the_collection_exists(
    filtered: Loremill, options: dict[str, Any]
) -> None:
    texts = set()
    for collection in ("company", "nowhere"):
        with pytest.raises(ConfigError) as raised:
            filtered.search(**({"query": "kiln", "collection": collection, "principal": BOB} | options))
        texts.add(str(raised.value))
    assert len(texts) == 1


# -- tenants -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rival_holds_something", [False, True])
def test_another_tenants_principal_learns_not_even_that_the_collection_exists(
    mill: Loremill, tmp_path: Path, rival_holds_something: bool
) -> None:
    ingest(mill, tmp_path / "docs", OPEN[:2])
    if rival_holds_something:
        mill.ingest(write_rows(tmp_path / "rival", OPEN[:1]), collection="plans", tenant="rival")
    stranger = Principal("rival", "user:alice", ("group:finance",))
    errors = set()
    for collection in ("company", "nowhere"):
        calls: list[Callable[..., object]] = [
            lambda **names: mill.search("kiln", **names),
            lambda **names: mill.ask("Who saw the kiln?", **names),
            lambda **names: mill.documents(**names),
            lambda **names: mill.document("open00", **names),
            lambda **names: mill.delete_document("open00", **names),
        ]
        for call in calls:
            with pytest.raises((AccessDenied, CollectionNotFound)) as raised:
                call(collection=collection, principal=stranger)
            errors.add((type(raised.value), str(raised.value).replace(collection, "NAME")))
    assert len(errors) == 1
    assert len(search(mill, "kiln", BOB)) == 2


def test_a_tenants_own_retriever_refuses_a_foreign_principal_before_it_looks(mill: Loremill, tmp_path: Path) -> None:
    ingest(mill, tmp_path / "docs", OPEN[:2])
    retriever = mill._tenant("halden").retriever
    stranger = Principal("rival", "user:bob")
    texts = set()
    for collection, mode in product(("company", "nowhere"), MODES):
        with pytest.raises(AccessDenied) as raised:
            retriever.search("kiln", collection=collection, principal=stranger, mode=mode)
        assert raised.value.principal == stranger
        texts.add(str(raised.value))
    assert len(texts) == 1
    with pytest.raises(AccessDenied):
        retriever.access(stranger)


def test_an_unknown_collection_is_not_found_in_any_mode(filtered: Loremill) -> None:
    for mode in MODES:
        with pytest.raises(CollectionNotFound, match="nowhere"):
            filtered.search("kiln", collection="nowhere", principal=BOB, mode=mode)


# -- results -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_ranks_count_from_one_and_scores_descend(crowded: tuple[Loremill, Loremill], mode: str) -> None:
    hits = search(crowded[0], "the kiln in the rain, cats and boats", BOB, mode)
    assert len(hits) == len(OPEN)
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    assert len({hit.chunk_id for hit in hits}) == len(hits)
    for better, worse in pairwise(hits):
        assert better.score >= worse.score
        if better.score == worse.score:
            assert better.chunk_id < worse.chunk_id
    low, high = {"dense": (-1.0, 1.0), "hybrid": (0.0, 1.0), "lexical": (0.0, float("inf"))}[mode]
    assert all(low <= hit.score <= high for hit in hits)
    assert hits[0].score > hits[-1].score


@pytest.mark.parametrize("mode", MODES)
def test_the_best_hit_is_the_text_asked_for(crowded: tuple[Loremill, Loremill], mode: str) -> None:
    for wanted in OPEN[:4]:
        assert search(crowded[0], str(wanted["text"]), BOB, mode)[0].document_id == wanted["id"]


def test_equal_queries_have_equal_results_in_this_home_and_another(open_mill: OpenMill, tmp_path: Path) -> None:
    rows = [*OPEN, row("twin1", "The kiln has a twin."), row("twin2", "The kiln has a twin.")]
    mills = []
    for name, order in (("one", rows), ("two", rows[::-1])):
        mills.append(open_mill(tmp_path / name))
        ingest(mills[-1], tmp_path / "docs", order)
    for mode in MODES:
        first, *others = [search(mill, "the kiln and its twin", BOB, mode) for mill in mills for _ in range(2)]
        assert others == [first] * 3
        assert {hit.document_id for hit in first[:2]} == {"twin1", "twin2"}
        assert first[0].score == first[1].score


def test_a_hit_is_a_span_of_its_document_with_its_place(mill: Loremill, write_tree: WriteTree) -> None:
    text = "# Parental leave\n\nParental leave is 20 weeks.\n\n## Twins\n\nParents of twins receive four weeks more.\n"
    docs = write_tree({"acl.yaml": RULES.format("user:bob"), "hr/leave.md": text})
    mill.ingest(docs, collection="company")
    hits = search(mill, "twins", BOB)
    assert hits
    for hit in hits:
        assert (hit.document_id, hit.title) == ("hr/leave.md", "Parental leave")
        assert hit.uri == (docs / "hr/leave.md").as_uri()
        assert hit.text.strip()
        assert len(hit.text) == hit.end - hit.start
    assert any("four weeks more" in hit.text for hit in hits)


def test_the_json_is_the_contracts(filtered: Loremill) -> None:
    result = filtered.search_result("kiln", collection="company", principal=BOB, top_k=1)
    data = json.loads(json.dumps(result.to_json()))
    assert list(data) == ["query", "collection", "principal", "build", "hits", "timings_ms", "plan"]
    assert (data["query"], data["collection"], data["principal"]) == ("kiln", "company", "user:bob")
    [hit] = data["hits"]
    assert list(hit) == [
        "rank", "score", "document_id", "chunk_id", "uri", "title", "text", "start", "end", "metadata",
    ]  # fmt: skip
    assert list(data["timings_ms"]) == ["embed", "search", "total"]
    assert data["timings_ms"]["total"] >= data["timings_ms"]["search"] >= 0
    [plain] = filtered.search("kiln", collection="company", principal=BOB, top_k=1)
    assert replace(plain, headings=()) == Hit(**hit)


def test_the_plan_tells_all_how_many_chunks_are_theirs_and_operators_how_they_were_searched(
    mill: Loremill, tmp_path: Path
) -> None:
    secret = [row(f"secret{number}", f"The kiln {number} is secret.", ["group:finance"], year=1) for number in range(4)]
    ingest(mill, tmp_path / "docs", [*OPEN[:3], *secret])
    asked = [("hybrid", None, 7, 3), ("dense", None, 7, 3), ("dense", {"year": 1}, 4, 0), ("dense", {"year": 2}, 0, 0)]
    for _ in range(2):  # the second time from memory
        for mode, where, alices, bobs in asked:
            for who, count in ((ALICE, alices), (BOB, bobs)):
                result = mill.search_result(
                    "kiln", collection="company", principal=who, top_k=2, mode=mode, where=where
                )
                assert result.to_json()["plan"] == {"readable": count}
                name = "exact" if count else "none"
                assert result.to_json(whole_plan=True)["plan"] == {"name": name, "readable": count, "scanned": count}
    lexical = mill.search_result("kiln", collection="company", principal=BOB, mode="lexical")
    assert (lexical.plan, lexical.to_json()["plan"], lexical.to_json(whole_plan=True)["plan"]) == (None, None, None)
    counts = mill.recall_sampler.counts()
    assert {name: one.searches for name, one in counts.items()} == {"exact": 5, "none": 3}, (
        "what is kept is not searched"
    )


def test_what_a_reader_is_told_does_not_depend_on_how_much_there_is_that_he_may_not_read(
    open_mill: OpenMill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many forbidden rows the index has codes, and another plan is taken for the very same person."""
    monkeypatch.setattr(faiss, "CODED_FROM", 150)
    monkeypatch.setattr(faiss, "EXACT_ROWS", 30)
    own = [row(f"open{number:03}", f"The kiln {number} is hot.") for number in range(60)]
    told, plans = [], []
    for forbidden in (0, 100):
        home = open_mill(tmp_path / f"home{forbidden}")
        others = [row(f"x{number:04}", f"Secret {number}.", ["user:eve"]) for number in range(forbidden)]
        ingest(home, tmp_path / f"docs{forbidden}", [*own, *others])
        result = home.search_result("kiln", collection="company", principal=BOB, top_k=3, mode="dense")
        told.append(result.to_json()["plan"])
        assert result.plan is not None
        plans.append(result.plan.name)
    assert told == [{"readable": 60}] * 2
    assert plans == ["exact", "scan"], "the plans are the same: the test shows nothing"


def test_a_mill_with_another_embedder_refuses_to_search_what_it_cannot_compare(
    mill: Loremill, tmp_path: Path, open_mill: OpenMill, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(mill, tmp_path / "docs", OPEN[:2])
    other = open_mill()
    other.embedder = copy(other.embedder)
    monkeypatch.setattr(other.embedder, "model_id", "another-model")
    for mode in MODES:
        with pytest.raises(BuildCorrupt, match="another-model"):
            search(other, "kiln", BOB, mode)
