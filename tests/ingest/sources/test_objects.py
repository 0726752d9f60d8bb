"""Objects behind fsspec URLs: the same promises in memory, on disk, in an archive and on a web server."""

from __future__ import annotations

import os
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.errors import ConfigError, ConfigFileError, DependencyMissing, IngestError, TooLarge
from ingest.sources import SourceItem, open_source, open_source_spec
from ingest.sources.marks import object_mark
from ingest.sources.objects import ObjectSource
from ingest.sources.urls import SourceUrl
from ingest.sources.wildcards import matches

fsspec = pytest.importorskip("fsspec", reason="the extra `sources` is not installed")

FILES = {
    "b.md": b"Lunch is at noon.",
    "a b/ü.txt": b"The kiln runs.",
    "a b/c/deep.md": b"Deep.",
    "rows.jsonl": b'{"id": 1, "text": "x"}\n{"id": 2, "text": "y"}\n',
    "in.mbox": b"From a Wed Nov 18 10:11:12 2026\nMessage-ID: <m>\n\nhi\n",
    "acl.yaml": b"default: {allow: [everyone]}\n",
    "a b/acl.yaml": b"not a control file here",
    ".git/config.md": b"hidden",
}
IDS = ["a b/acl.yaml", "a b/c/deep.md", "a b/ü.txt", "b.md", "in.mbox#m", "rows.jsonl#1", "rows.jsonl#2"]


def on_disk(root: Path) -> Path:
    for name, data in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


@pytest.fixture
def memory(request: pytest.FixtureRequest) -> Iterator[str]:
    fs, root = fsspec.filesystem("memory"), f"/{abs(hash(request.node.name))}"
    for name, data in FILES.items():
        fs.pipe_file(f"{root}/{name}", data)
    yield f"memory:/{root}"
    fs.rm(root, recursive=True)


@pytest.fixture
def serve() -> Iterator[Callable[[type[BaseHTTPRequestHandler] | partial[SimpleHTTPRequestHandler]], str]]:
    servers = []

    def start(handler: type[BaseHTTPRequestHandler] | partial[SimpleHTTPRequestHandler]) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(params=["memory", "local", "zip", "http"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    pytest.importorskip("aiohttp", reason="the extra `sources` is not installed")
    if request.param == "memory":
        return str(request.getfixturevalue("memory"))
    root = on_disk(tmp_path / "docs")
    if request.param == "local":
        return f"local://{root}"
    if request.param == "http":
        quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
        return str(request.getfixturevalue("serve")(partial(quiet, directory=str(root)))) + "/"
    with zipfile.ZipFile(tmp_path / "docs.zip", "w") as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
    return f"zip://::file://{tmp_path}/docs.zip"


def listed(url: str) -> dict[str, SourceItem]:
    items = list(open_source(url).items())
    assert len({item.document_id for item in items}) == len(items)
    return {item.document_id: item for item in items}


def test_everything_below_a_prefix_is_listed_sorted_by_its_path_without_control_files(url: str) -> None:
    items = listed(url)
    assert list(items) == IDS == list(listed(url))
    item = items["a b/ü.txt"]
    assert (item.read(), item.format, item.path, item.size) == (b"The kiln runs.", "txt", "a b/ü.txt", 14)
    assert items["rows.jsonl#2"].read() == b"y"
    assert items["in.mbox#m"].read() == b"Message-ID: <m>\n\nhi\n"


def test_it_opens_again_by_its_spec_under_the_same_name(url: str) -> None:
    source = open_source(url)
    again = open_source_spec(source.spec)
    assert again.name == source.name
    assert [item.uri for item in again.items()] == [item.uri for item in source.items()]


def test_each_uri_opens_as_a_single_object(url: str) -> None:
    uri = listed(url)["b.md"].uri
    (item,) = open_source(uri).items()
    assert (item.document_id, item.read(), item.uri) == ("b.md", b"Lunch is at noon.", uri)


def test_a_read_stops_at_the_limit(url: str) -> None:
    item = listed(url)["b.md"]
    assert item.read(17) == b"Lunch is at noon."
    with pytest.raises(TooLarge, match="limit of 16"):
        item.read(16)


def test_a_glob_lists_what_matches_by_its_path_below_the_first_wildcard(url: str) -> None:
    head, mark, tail = url.partition("::")
    root = head if head.endswith("/") else head + "/"
    assert list(listed(f"{root}**/*.md{mark}{tail}")) == ["a b/c/deep.md", "b.md"]
    assert list(listed(f"{root}*.md{mark}{tail}")) == ["b.md"]
    assert list(listed(f"{root}a*/*.txt{mark}{tail}")) == ["a b/ü.txt"]


def test_the_rights_in_the_root_are_read_except_from_a_web_server(url: str) -> None:
    source = open_source(url)
    assert source.read_control("acl.yaml") == (None if url.startswith("http") else FILES["acl.yaml"])
    assert source.read_control("contract.yaml") is None


@pytest.mark.parametrize("name", ["nothing", "nothing/", "*.nothing"])
def test_where_nothing_is_is_an_error(url: str, name: str) -> None:
    head, mark, tail = url.partition("::")
    root = head if head.endswith("/") else head + "/"
    with pytest.raises(IngestError, match=r"nothing|no documents") as caught:
        open_source(f"{root}{name}{mark}{tail}")
    assert "there" in str(caught.value) or "found" in str(caught.value)


def test_an_object_that_vanishes_after_the_listing_refuses_to_be_read(memory: str) -> None:
    item = listed(memory)["b.md"]
    fsspec.filesystem("memory").rm(f"{memory.removeprefix('memory:/')}/b.md")
    with pytest.raises(IngestError, match=r"b\.md cannot be read: there is nothing"):
        item.read()


def test_a_listing_that_fails_half_way_raises(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cls = type(fsspec.filesystem("memory"))
    real = cls.ls

    def ls(self: object, path: str, detail: bool = True, **options: object) -> object:
        if path.endswith("/c"):
            raise PermissionError("denied")
        return real(self, path, detail=detail, **options)

    source = open_source(memory)
    monkeypatch.setattr(cls, "ls", ls)
    with pytest.raises(IngestError, match="cannot be listed: PermissionError"):
        list(source.items())


def test_links_and_pipes_on_a_disk_refuse_and_names_that_lead_out_too(tmp_path: Path) -> None:
    root = on_disk(tmp_path / "docs")
    (tmp_path / "secret.md").write_text("x")
    (root / "link.md").symlink_to(tmp_path / "secret.md")
    os.mkfifo(root / "pipe.md")
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("x/../../secret.md", "x")
        archive.writestr("ok.md", "x")
    refused = [listed(f"local://{root}")[name] for name in ("link.md", "pipe.md")]
    refused += [item for name, item in listed(f"zip://::file://{tmp_path}/bad.zip").items() if ".." in name]
    assert len(refused) == 3
    for item in refused:
        with pytest.raises(IngestError, match="leads out"):
            item.read()


def test_marks_change_with_the_content_where_the_store_tells_of_it(tmp_path: Path) -> None:
    root = on_disk(tmp_path / "docs")
    path, past = root / "b.md", datetime.now().timestamp() - 100
    os.utime(path, (past, past))
    before = listed(f"local://{root}")["b.md"].mark
    assert before == listed(f"local://{root}")["b.md"].mark != ""
    path.write_bytes(b"Lunch is at nine.")
    assert listed(f"local://{root}")["b.md"].mark == "", "written just now"
    os.utime(path, (past + 1, past + 1))
    assert listed(f"local://{root}")["b.md"].mark not in {"", before}


@pytest.mark.parametrize(
    ("info", "known"),
    [
        ({"ETag": '"abc"', "size": 3}, True),
        ({"ETag": 'W/"abc"', "size": 3}, False),
        ({"md5Hash": "x", "size": 3}, True),
        ({"generation": 7, "size": 3}, True),
        ({"LastModified": datetime(2026, 1, 1, tzinfo=UTC), "size": 3}, True),
        ({"LastModified": datetime(2100, 1, 1, tzinfo=UTC), "size": 3}, False),
        ({"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT", "size": 3}, True),
        ({"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT", "size": None}, False),
        ({"Last-Modified": "yesterday", "size": 3}, False),
        ({"updated": "2026-01-01T00:00:00.000Z", "size": 3}, True),
        ({"CRC": 5, "size": 3, "date_time": (2026, 1, 1, 0, 0, 0)}, True),
        ({"size": 3}, False),
    ],
)
def test_a_mark_is_what_changes_with_the_content_or_nothing(info: dict[str, object], known: bool) -> None:
    assert bool(object_mark(info)) is known
    if known:
        changed = {
            key: datetime(2026, 1, 2, tzinfo=UTC) if isinstance(value, datetime) else value
            for key, value in info.items()
        }
        assert object_mark(changed | {"size": 4}) != object_mark(info)


def test_an_object_gets_its_mark_when_the_clock_has_ticked_on() -> None:
    now = datetime.now(UTC)
    assert object_mark({"mtime": now.timestamp(), "size": 1}, now + timedelta(seconds=5))


class Faulty(BaseHTTPRequestHandler):
    """A folder of three pages: one is there without saying how long it is, one is forbidden, one fails."""

    def do_GET(self) -> None:
        pages = '<a href="page.md">p</a><a href="no.md">n</a><a href="?C=N">sort</a><a href="../up.md">up</a>'
        if self.path == "/docs/":
            self._answer(200, pages.encode())
        elif self.path == "/broken/":
            self._answer(200, b'<a href="a.md">a</a><a href="bad/">b</a>')
        elif self.path == "/report?id=7":
            self._answer(200, b"<html>hi</html>", "text/html; charset=utf-8")
        elif self.path.endswith(".md") and "no" not in self.path:
            self._answer(200, b"x" * 5000)
        else:
            self._answer(403 if "no.md" in self.path else 500, b"")

    do_HEAD = do_GET

    def _answer(self, status: int, body: bytes, kind: str = "") -> None:
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def test_a_page_of_unknown_size_is_read_no_further_than_the_limit_and_a_forbidden_one_refuses(
    serve: Callable[[type[BaseHTTPRequestHandler]], str],
) -> None:
    items = listed(serve(Faulty) + "/docs/")
    assert list(items) == ["no.md", "page.md"]
    page = items["page.md"]
    assert (page.size, page.mark) == (0, "")
    assert page.read(5000) == b"x" * 5000
    with pytest.raises(TooLarge):
        page.read(4999)
    with pytest.raises(IngestError, match="server does not give it"):
        items["no.md"].read()


def test_a_page_without_extension_is_of_the_format_that_the_server_says(
    serve: Callable[[type[BaseHTTPRequestHandler]], str],
) -> None:
    url = serve(Faulty) + "/report?id=7"
    (item,) = open_source(url).items()
    assert (item.document_id, item.format, item.uri, item.read()) == ("report", "html", url, b"<html>hi</html>")


def test_a_row_file_that_breaks_off_half_way_raises(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source, cls = open_source(memory), type(fsspec.filesystem("memory").open(f"{memory}/rows.jsonl"))
    reads: list[int] = []

    def readinto(self: object, buffer: memoryview) -> int:
        reads.append(1)
        if len(reads) > 1:
            raise FileNotFoundError("gone half-way")
        line = FILES["rows.jsonl"][:24]
        buffer[: len(line)] = line
        return len(line)

    monkeypatch.setattr(cls, "readinto", readinto, raising=False)
    with pytest.raises(IngestError, match="cannot be listed"):
        list(source.items())


def test_a_web_folder_that_fails_half_way_raises(serve: Callable[[type[BaseHTTPRequestHandler]], str]) -> None:
    with pytest.raises(IngestError, match="cannot be listed"):
        list(ObjectSource(SourceUrl(serve(Faulty) + "/broken/")).items())


def test_a_server_that_fails_or_is_not_there_is_not_taken_for_an_empty_one(
    serve: Callable[[type[BaseHTTPRequestHandler]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PW", "hunter2")
    with pytest.raises(IngestError, match="server failed"):
        open_source(serve(Faulty) + "/x.pdf")
    with pytest.raises(IngestError, match=r"http://127\.0\.0\.1:9/x\.md cannot be listed") as caught:
        open_source("http://bob:${PW}@127.0.0.1:9/x.md")
    assert "hunter2" not in str(caught.value)


def test_a_missing_driver_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for package, url, install in (
        ("s3fs", "s3://bucket/docs", "pip install s3fs"),
        ("gcsfs", "gs://bucket/docs", "pip install gcsfs"),
        ("adlfs", "abfs://container/docs", "pip install adlfs"),
    ):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(DependencyMissing, match=package) as caught:
            open_source(url)
        assert install in caught.value.install


def test_a_format_of_local_files_is_not_ignored_for_a_url() -> None:
    with pytest.raises(ConfigError, match="beir reads local files"):
        open_source("memory://x", format="beir")


def test_a_scheme_that_nobody_knows_is_an_error() -> None:
    with pytest.raises((IngestError, ConfigError), match="nonsense"):
        open_source("nonsense://x/y")


def test_rights_that_cannot_be_read_are_an_error_and_not_absent(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_source(memory)

    def fail(*_: object, **__: object) -> None:
        raise PermissionError("denied")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "_open", fail)
    with pytest.raises((IngestError, ConfigFileError), match="denied"):
        source.read_control("acl.yaml")


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("a.md", "*.md", True),
        ("a/b.md", "*.md", False),
        ("a/b.md", "**/*.md", True),
        ("b.md", "**/*.md", True),
        ("a/b/c.md", "a/**", True),
        ("a", "a/**", True),
        ("a/x/b", "a/?/b", True),
        ("a/xy/b", "a/?/b", False),
        ("a/b/c", "a/**/**/c", True),
    ],
)
def test_globs_match_by_segments(path: str, pattern: str, expected: bool) -> None:
    assert matches(path.split("/"), pattern.split("/")) is expected


@given(
    st.lists(st.sampled_from(["a", "b", "*", "**"]), min_size=1, max_size=6),
    st.lists(st.sampled_from("ab"), max_size=6),
)
def test_globs_agree_with_the_definition(pattern: list[str], parts: list[str]) -> None:
    def defined(parts: list[str], pattern: list[str]) -> bool:
        if not pattern:
            return not parts
        if pattern[0] == "**":
            return any(defined(parts[skip:], pattern[1:]) for skip in range(len(parts) + 1))
        return bool(parts) and pattern[0] in {parts[0], "*"} and defined(parts[1:], pattern[1:])

    assert matches(parts, pattern) is defined(parts, pattern)
