"""The facade takes no question without a principal, makes what it needs, and shows nobody another's rooms."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indexes.errors import AccessDenied, CollectionNotFound, ConfigError, IngestError
from rag import Acl, Loremill, Principal
from rag.remote import RemoteLoremill

ROOT = Path(__file__).parents[2]
ALICE = Principal("halden", "user:alice", ("group:finance",))
BOB = Principal("halden", "user:bob")
MIA = Principal("rival", "user:mia", ("group:finance",))
STRANGER = Principal("nowhere", "user:alice", ("group:finance",))
HEAVY = ("torch", "faiss", "tantivy", "onnxruntime", "fastapi", "sqlalchemy", "unstructured", "openai", "transformers")
DOCS: dict[str, str | bytes | None] = {
    "acl.yaml": "tenant: halden\ndefault: {allow: [everyone]}\nrules:\n  - {path: 'finance/**', allow: [group:finance]}\n",
    "leave.md": "# Parental leave\n\nParental leave is 20 weeks for everyone.\n",
    "finance/budget.md": "# Budget\n\nThe marketing budget is 340,000 euros.\n",
}
RIVAL: dict[str, str | bytes | None] = {
    "acl.yaml": "tenant: rival\ndefault: {allow: [everyone]}\n",
    "plans.md": "The rival plans to open a factory in Lisbon.\n",
}
OpenMill = Callable[..., Loremill]
WriteTree = Callable[..., Path]


@pytest.fixture
def docs(write_tree: WriteTree) -> Path:
    return write_tree(DOCS)


def readable(mill: Loremill, principal: Principal, collection: str = "company") -> set[str]:
    """What the listing and every mode of search show to one principal; they must agree."""
    listed = {info.document_id for info in mill.documents(collection=collection, principal=principal)}
    for mode in ("dense", "hybrid"):
        hits = mill.search("leave budget", collection=collection, principal=principal, mode=mode, top_k=100)
        assert {hit.document_id for hit in hits} == listed
    return listed


# -- arguments ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["search", "search_result", "ask", "ask_stream", "collections", "documents", "document", "delete_document"]
)
def test_whatever_reads_or_deletes_requires_a_principal_by_name_and_has_no_default_for_it(name: str) -> None:
    parameter = inspect.signature(getattr(Loremill, name)).parameters["principal"]
    assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
    assert parameter.default is inspect.Parameter.empty


@pytest.mark.parametrize("name", ["search", "search_result", "ask", "ask_stream", "documents"])
def test_a_call_without_principal_is_a_type_error_and_no_answer(mill: Loremill, docs: Path, name: str) -> None:
    mill.ingest(docs, collection="company")
    arguments = [] if name == "documents" else ["leave"]
    with pytest.raises(TypeError, match="principal"):
        getattr(mill, name)(*arguments, collection="company")


def test_a_principal_by_position_is_refused(mill: Loremill) -> None:
    search: Callable[..., Any] = mill.search
    with pytest.raises(TypeError):
        search("leave", "company", ALICE)


def test_the_remote_facade_takes_the_same_arguments() -> None:
    for name in ("search", "ask"):
        here = inspect.signature(getattr(Loremill, name)).parameters
        there = inspect.signature(getattr(RemoteLoremill, name)).parameters
        assert list(here) == list(there)
        assert {key: value.kind for key, value in here.items()} == {key: value.kind for key, value in there.items()}


@pytest.mark.parametrize("name", ["", "a/b", "../up", ".hidden", "x" * 129, "a b", "a\x00b"])
def test_a_collection_name_that_is_no_name_is_refused_and_makes_nothing(
    mill: Loremill, docs: Path, home: Path, name: str
) -> None:
    with pytest.raises(ConfigError, match="not a valid name"):
        mill.ingest(docs, collection=name)
    with pytest.raises(ConfigError, match="not a valid name"):
        mill.put_document(collection=name, principal=ALICE, document_id="x", text="X.", acl=Acl(("everyone",)))
    assert list(home.iterdir()) == []


# -- opening and closing -----------------------------------------------------------------------------------------------


def test_opening_makes_the_home_and_the_folders_above_it(tmp_path: Path) -> None:
    home = tmp_path / "some" / "where"
    with Loremill.open(home) as mill:
        assert mill.home == home
        assert home.is_dir()
        assert mill.collections(principal=ALICE) == []
        assert mill.releases() == []
    with Loremill.open(str(home)):
        pass


def test_the_home_is_that_of_the_environment_where_none_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOREMILL_HOME", str(tmp_path / "environment"))
    with Loremill.open() as mill:
        assert mill.home == tmp_path / "environment"
    with Loremill.open(tmp_path / "argument") as mill:
        assert mill.home == tmp_path / "argument"


def test_a_home_that_cannot_be_made_is_a_config_error_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ConfigError, match="choose another with --home"):
        Loremill.open(tmp_path / "file" / "home")


@pytest.mark.parametrize("settings", [{"chunk_tokens": 1}, {"generater": "extractive"}, {"device": "abacus"}])
def test_a_wrong_setting_is_a_config_error_that_names_it(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        Loremill.open(tmp_path / "home", **settings)
    assert not (tmp_path / "home").exists()


def test_closing_twice_is_as_good_as_once_and_nothing_is_lost(open_mill: OpenMill, docs: Path) -> None:
    mill = open_mill()
    mill.ingest(docs, collection="company")
    assert mill.directory.list_principals() == []
    mill.close()
    mill.close()
    assert readable(open_mill(), BOB) == {"leave.md"}


def test_a_mill_that_was_closed_opens_again_when_used(open_mill: OpenMill, docs: Path) -> None:
    with open_mill() as mill:
        mill.ingest(docs, collection="company")
    assert readable(mill, BOB) == {"leave.md"}
    mill.close()


def test_closing_what_was_never_used_does_nothing(tmp_path: Path) -> None:
    mill = Loremill.open(tmp_path / "home")
    mill.close()
    mill.close()
    assert list((tmp_path / "home").iterdir()) == []


# -- collections -------------------------------------------------------------------------------------------------------


def test_collections_are_those_of_the_principals_tenant_in_which_it_may_read(
    mill: Loremill, docs: Path, write_tree: WriteTree
) -> None:
    mill.ingest(docs, collection="company")
    mill.ingest(docs / "finance", collection="closed", tenant="halden")
    mill.ingest(docs / "finance", collection="ledger", tenant="halden", allow=["group:finance"])
    mill.ingest(write_tree(RIVAL, "rival"), collection="plans")
    assert mill.collections(principal=ALICE) == ["company", "ledger"]
    assert mill.collections(principal=BOB) == ["company"]
    assert mill.collections(principal=MIA) == ["plans"]
    assert mill.collections(principal=STRANGER) == []


def test_a_tenant_that_only_asks_leaves_no_trace(mill: Loremill, docs: Path, home: Path) -> None:
    mill.ingest(docs, collection="company")
    before = sorted(home.rglob("*"))
    assert mill.collections(principal=STRANGER) == []
    for call in (mill.search, mill.ask):
        with pytest.raises(CollectionNotFound):
            call("leave", collection="company", principal=STRANGER)
    with pytest.raises(CollectionNotFound):
        mill.documents(collection="company", principal=STRANGER)
    assert [path for path in sorted(home.rglob("*")) if not path.name.endswith(("-wal", "-shm"))] == [
        path for path in before if not path.name.endswith(("-wal", "-shm"))
    ]


def test_tenants_lie_in_folders_of_their_own(mill: Loremill, docs: Path, write_tree: WriteTree, home: Path) -> None:
    mill.ingest(docs, collection="company")
    mill.ingest(write_tree(RIVAL, "rival"), collection="company")
    assert sorted(path.name for path in (home / "tenants").iterdir()) == ["halden", "rival"]
    assert readable(mill, MIA) == {"plans.md"}
    assert readable(mill, ALICE) == {"leave.md", "finance/budget.md"}
    mill.close()
    for path in (home / "tenants/halden").rglob("*"):
        assert not path.is_file() or b"Lisbon" not in path.read_bytes()


def test_a_document_that_may_not_be_read_is_as_absent_as_one_that_is_not_there(mill: Loremill, docs: Path) -> None:
    mill.ingest(docs, collection="company")
    for name in ("finance/budget.md", "finance/nothing.md"):
        assert mill.document(name, collection="company", principal=BOB) is None
        assert not mill.delete_document(name, collection="company", principal=BOB)
    assert mill.document("finance/budget.md", collection="company", principal=ALICE) is not None


# -- ingestion ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["folder", "not text", "not yaml", "not ours", "unknown name"])
def test_an_acl_file_that_cannot_be_read_is_an_error_and_nothing_becomes_readable(
    mill: Loremill, write_tree: WriteTree, kind: str
) -> None:
    docs = write_tree({name: text for name, text in DOCS.items() if name != "acl.yaml"})
    path = docs / "acl.yaml"
    if kind == "folder":
        path.mkdir()
    else:
        contents = {"not text": b"\xff\xfe\x00", "not yaml": b"rules: [", "not ours": b"- everyone"}
        path.write_bytes(contents.get(kind, b"default: {allow: [all]}"))
    for options in ({}, {"acl": path}, {"full": True}):
        with pytest.raises(ConfigError, match=r"acl\.yaml"):
            mill.ingest(docs, collection="company", tenant="halden", **options)
    for principal in (ALICE, BOB):
        assert mill.collections(principal=principal) == []
        with pytest.raises(CollectionNotFound):
            mill.search("leave", collection="company", principal=principal)


def test_an_acl_file_that_is_named_but_missing_is_an_error(mill: Loremill, docs: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml"):
        mill.ingest(docs, collection="company", acl=docs / "gone.yaml")
    assert mill.collections(principal=ALICE) == []


def test_without_acl_file_and_names_nobody_may_read(mill: Loremill, docs: Path) -> None:
    report = mill.ingest(docs / "finance", collection="company", tenant="halden")
    assert report.unreadable_by_anyone == 1
    assert readable(mill, ALICE) == set()


def test_names_to_allow_are_refused_where_an_acl_file_speaks(
    mill: Loremill, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="leave out --allow"):
        mill.ingest(docs, collection="company", allow=["everyone"])
    for pattern in ("*.md", "**/*.md", "**/*", "fin*/*.md", "*/*.md"):
        with pytest.raises(ConfigError, match="leave out --allow"):
            mill.ingest(f"{docs}/{pattern}", collection="company", allow=["everyone"])
    with monkeypatch.context() as patch:
        patch.chdir(docs.parent)
        with pytest.raises(ConfigError, match="leave out --allow"):
            mill.ingest("docs/**/*.md", collection="company", allow=["everyone"])
    with pytest.raises(ConfigError, match="not both"):
        mill.ingest(docs / "finance", collection="company", allow=["everyone"], acl=docs / "acl.yaml")
    assert mill.collections(principal=ALICE) == []


def test_a_source_that_is_not_there_is_an_ingest_error_that_names_it(mill: Loremill, tmp_path: Path) -> None:
    for source in (tmp_path / "gone", tmp_path / "gone.jsonl", tmp_path / "gone" / "*.md"):
        with pytest.raises(IngestError, match=r"no such file or folder: .*gone"):
            mill.ingest(source, collection="company", allow=["everyone"])
    assert mill.releases() == []


def test_an_empty_folder_is_an_ingest_error_and_makes_no_collection(mill: Loremill, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(IngestError, match="no documents were found"):
        mill.ingest(tmp_path / "empty", collection="company", allow=["everyone"])
    (tmp_path / "empty" / "acl.yaml").write_text("default: {allow: [everyone]}\n")
    with pytest.raises(IngestError, match="no documents were found"):
        mill.ingest(tmp_path / "empty", collection="company")
    assert mill.releases() == []


def test_a_principal_cannot_ingest_into_another_tenant(mill: Loremill, docs: Path, home: Path) -> None:
    with pytest.raises(AccessDenied) as raised:
        mill.ingest(docs, collection="company", tenant="halden", principal=MIA)
    assert raised.value.principal == MIA
    assert not (home / "tenants").exists()


def test_the_tenant_is_the_arguments_then_the_principals_then_the_acl_files(
    mill: Loremill, docs: Path, write_tree: WriteTree
) -> None:
    plain = write_tree({"x.md": "Something."}, "plain")
    assert mill.ingest(docs, collection="a", tenant="third").tenant == "third"
    assert mill.ingest(docs, collection="b", principal=MIA).tenant == "rival"
    assert mill.ingest(docs, collection="c").tenant == "halden"
    assert mill.ingest(plain, collection="d", allow=["everyone"]).tenant == "default"


def test_a_collection_of_two_tenants_takes_a_tenant_to_be_verified(
    mill: Loremill, docs: Path, write_tree: WriteTree
) -> None:
    mill.ingest(docs, collection="company")
    mill.ingest(write_tree(RIVAL, "rival"), collection="company")
    for call in (mill.verify, mill.releases):
        with pytest.raises(ConfigError, match="halden, rival"):
            call("company")
    assert mill.verify("company", tenant="rival").documents == 1


# -- importing ---------------------------------------------------------------------------------------------------------


def test_importing_the_facade_imports_nothing_heavy() -> None:
    code = f"import json, sys, rag; print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(ran.stdout) == []


def test_opening_a_home_and_finding_it_empty_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import json, sys\nfrom rag import Loremill, Principal\n"
        f"with Loremill.open({str(tmp_path / 'home')!r}) as mill:\n"
        "    assert mill.collections(principal=Principal('t', 'user:a')) == []\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(ran.stdout) == []
