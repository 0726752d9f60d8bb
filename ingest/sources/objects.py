"""Objects behind any fsspec URL: buckets (s3://, gs://, az://), web servers (https://), archives (zip://) and others."""

from __future__ import annotations

import glob
import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from mimetypes import guess_extension
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast
from urllib.parse import unquote

from indexes.errors import DependencyMissing, IngestError, LoremillError
from ingest.parse import format_of
from ingest.sources.base import CONTROL_FILES, Place, Read, SourceItem, checked, printable, read_stream, refused
from ingest.sources.files import CONTAINERS
from ingest.sources.marks import object_mark
from ingest.sources.urls import SourceUrl, scheme_of
from ingest.sources.wildcards import matches

MAX_DEPTH = 64
"""A web server may link folders into each other for ever."""
OWN_PACKAGES = frozenset({"fsspec", "aiohttp"})
"""Drivers in the extra `sources`; those of the clouds are the user's to choose."""


@dataclass(frozen=True)
class ObjectSource:
    """One object, all below a prefix (sorted, folder by folder, without hidden ones), or those that a glob matches.

    Ids are the paths below the root: below the prefix, or below what stands before the first wildcard. Over http(s), one
    page is one object; an address that ends in `/` is a folder, whose listing is the links that lead below it.

    Raises:
        DependencyMissing: the scheme's driver is not installed.
    """

    url: SourceUrl

    @property
    def name(self) -> str:
        written = self.url.written
        return written if self._is_web or written.endswith("://") or "::" in written else written.rstrip("/")

    @property
    def spec(self) -> dict[str, str]:
        return {"location": self.url.written}

    def items(self) -> Iterator[SourceItem]:
        return checked(self._items())

    def read_control(self, name: str) -> bytes | None:
        """As for every source; but a web server has no say in who may read what was taken from it."""
        if self._is_web:
            return None
        with self._errors("read"):
            root, rest = self._root()
            fs, path = self._open(root)
            if not rest and not _is_folder(fs, path):
                path = path.rpartition("/")[0]
            try:
                with _stream(fs, f"{path.rstrip('/')}/{name}" if path else name) as file:
                    return read_stream(file, None)
            except FileNotFoundError as error:
                if not _is_gone(error):
                    raise
                return None

    @property
    def _is_web(self) -> bool:
        return str(scheme_of(self.url.written)).startswith("http")

    def _root(self) -> tuple[str, str]:
        """Return the URL up to the first wildcard, and the pattern after it."""
        head, mark, tail = self.url.written.partition("::")
        scheme, _, path = head.partition("://")
        parts = path.split("/")
        wild = [index for index, part in enumerate(parts) if ("*" in part if self._is_web else glob.has_magic(part))]
        if not wild:
            return self.url.written, ""
        return f"{scheme}://{'/'.join(parts[: wild[0]])}{mark}{tail}", "/".join(parts[wild[0] :])

    def _open(self, url: str) -> tuple[Any, str]:
        try:
            from fsspec.core import url_to_fs

            fs, path = url_to_fs(SourceUrl(url).expanded(), skip_instance_cache=True)
        except ImportError as error:
            cause = error if isinstance(error, ModuleNotFoundError) else error.__cause__
            package = (getattr(cause, "name", None) or str(error)).partition(".")[0]
            raise DependencyMissing(package, extra="sources" if package in OWN_PACKAGES else "") from error
        return fs, str(path)

    def _items(self) -> Iterator[SourceItem]:
        with self._errors("listed"):
            root, pattern = self._root()
            fs, path = self._open(root)
            if not pattern and not (root.endswith("/") if self._is_web else _is_folder(fs, path)):
                yield from self._object(fs, fs.info(path), path.rstrip("/").rpartition("/")[2], self.url.public)
                return
            wanted = pattern.split("/") if pattern else ["**"]
            for info, rest in self._walk(fs, path.rstrip("/") + "/" * self._is_web):
                if rest not in CONTROL_FILES and matches(rest.split("/"), wanted):
                    yield from self._object(fs, info, rest, _below(SourceUrl(root).public, rest))

    def _walk(self, fs: Any, root: str) -> Iterator[tuple[dict[str, Any], str]]:
        """Go through everything below the root depth first: fsspec's own walk would pass over what fails."""
        start = root.rstrip("/")
        pending: list[dict[str, Any]] = [{"name": root, "type": "directory"}]
        while pending:
            info = pending.pop()
            name = str(info["name"])
            if info["type"] != "directory":
                yield info, name[len(start) :].lstrip("/")
                continue
            if self._is_web and name[len(start) :].count("/") > MAX_DEPTH:
                raise IngestError(f"{self.url.public}: folders more than {MAX_DEPTH} deep; do they link to each other?")
            entries = [entry for entry in fs.ls(name, detail=True) if _is_child(str(entry["name"]), name, self._is_web)]
            pending += sorted(entries, key=self._order, reverse=True)
            fs.invalidate_cache()  # each listing is looked at once

    def _order(self, entry: dict[str, Any]) -> str:
        name = str(entry["name"]).rstrip("/")
        return unquote(name) if self._is_web else name

    def _object(self, fs: Any, info: dict[str, Any], rest: str, uri: str) -> Iterator[SourceItem]:
        path = str(info["name"])
        name = printable(unquote(rest.partition("?")[0]) if self._is_web else rest)
        if info.get("islink") or info["type"] != "file" or ".." in name.split("/"):
            yield refused(name, uri, "it is a link, no regular file, or its name leads out of the folder")
            return
        parts = CONTAINERS.get(PurePosixPath(name).suffix.lower())
        with ExitStack() as stack:
            try:
                if self._is_web and "url" not in info:  # a page of links tells neither size nor version
                    info = fs.info(path)
                file = stack.enter_context(_stream(fs, path)) if parts else None
            except FileNotFoundError as error:
                if not _is_gone(error):
                    raise
                yield refused(name, uri, "it is listed, but the server does not give it")
                return
            if parts and file:
                yield from parts(file, Place(name, uri))
                return
        format = format_of(name) or format_of(f"x{guess_extension(info.get('mimetype') or '')}")
        size = info.get("size") or 0
        yield SourceItem(name, uri, name, format, self._reader(fs, path, uri), size, mark=object_mark(info))

    def _reader(self, fs: Any, path: str, uri: str) -> Read:
        def read(limit: int | None = None) -> bytes:
            with self._errors("read", uri), _stream(fs, path) as file:
                return read_stream(file, limit)

        return read

    @contextmanager
    def _errors(self, verb: str, uri: str = "") -> Iterator[None]:
        """Whatever a driver raises (each has its own classes) becomes an IngestError without credentials."""
        place = uri or self.url.public
        try:
            yield
        except LoremillError:
            raise
        except FileNotFoundError as error:
            why = (
                "there is nothing" if _is_gone(error) else f"the server failed ({self.url.scrub(str(error.__cause__))})"
            )
            raise IngestError(f"{place} cannot be {verb}: {why}; check the address and run it again") from None
        except Exception as error:
            why = self.url.scrub(f"{type(error).__name__}: {error}")
            raise IngestError(
                f"{place} cannot be {verb}: {why}; check the address, the credentials and the network, and run it again"
            ) from None


def _is_folder(fs: Any, path: str) -> bool:
    return bool(fs.info(path)["type"] == "directory")


def _is_child(name: str, folder: str, is_web: bool) -> bool:
    """Whether it lies below the folder: not the folder's own marker, nor hidden, nor a link that only sorts a web page."""
    rest = name[len(folder.rstrip("/")) :].strip("/")
    if not rest or (rest.startswith((".", "~$")) and rest != ".."):  # what leads out is listed, to be refused
        return False
    return not is_web or not ("?" in rest or "#" in rest or ".." in rest.split("/"))


def _is_gone(error: FileNotFoundError) -> bool:
    """Whether it is really not there: the driver for http says so of every failure, with the failure as its cause."""
    cause = error.__cause__
    if not isinstance(cause, TimeoutError) and not type(cause).__module__.startswith("aiohttp"):
        return True
    status = getattr(cause, "status", 0)
    return 400 <= status < 500 and status not in {408, 425, 429}


def _below(url: str, rest: str) -> str:
    head, mark, tail = url.partition("::")
    return f"{head if head.endswith('://') else head.rstrip('/') + '/'}{rest}{mark}{tail}"


@contextmanager
def _stream(fs: Any, path: str) -> Iterator[BinaryIO]:
    """Open an object to be read once from its beginning; over http without asking for parts, which not all servers give."""
    options = {"block_size": 0, "size": 1} if "http" in fs.protocol else {}  # any size, lest it is asked for again
    with fs.open(path, "rb", **options) as raw, io.BufferedReader(raw) as file:
        yield cast(BinaryIO, file)
