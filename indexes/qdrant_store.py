"""Collections on a Qdrant server, or in qdrant-client's local mode where no server is set: one for each build, served through an alias.

Rows are written to a collection that no alias names; the alias is set once all of them are counted. So half a build is never served, and what
a crash leaves is found through the pointer, which is written first. Local mode is a brute-force scan in memory, made for small data and tests:
the points lie in a file beside the pointer (the client's own files hold pickles, and lock out a second process), and each opener reads them.
"""

from __future__ import annotations

import random
import time
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from indexes.access import Int32Vector
from indexes.errors import BuildCorrupt, ConfigError, DependencyMissing, IndexBackendError
from indexes.qdrant_filter import Admitted
from indexes.qdrant_pointer import Pointer, read_classes, write_classes
from indexes.vectors import VectorOptions

if TYPE_CHECKING:
    from qdrant_client import QdrantClient
    from qdrant_client.models import Batch, Filter

ENGINE = "qdrant"
_TRIES = 5
_FIRST_WAIT_S = 0.1
_TIMEOUT_S = 60
_OVERLOADED = {429, 502, 503, 504}
_T = TypeVar("_T")


def unavailable(options: VectorOptions) -> str:
    """Say why there is no client, or no server where one is set; empty if nothing is missing."""
    try:
        if options.qdrant_url:
            client = _remote(options.qdrant_url, options.qdrant_api_key)
            Store(client, "", remote=True).call(client.get_collections)
        else:
            _in_memory()
    except (DependencyMissing, IndexBackendError, ConfigError) as error:
        return str(error)
    return ""


def write_collection(
    path: Path, options: VectorOptions, dim: int, batches: Iterable[Batch], classes: Int32Vector, **schema: Any
) -> None:
    """Write the batches to a new collection, `path` as the pointer to it and the classes beside.

    Args:
        dim: of its vectors, 0 where they are sparse.
        schema: what `QdrantClient.create_collection` is told of its vectors.
    Raises:
        ConfigError: the server refuses the key.
        IndexBackendError: it cannot be reached, or failed; nothing is left there.
    """
    name = f"loremill-{uuid.uuid4().hex}"
    pointer = Pointer(ENGINE, name, dim, url=_public(options.qdrant_url))
    pointer.write(path)
    if pointer.url:
        store = Store(_remote(options.qdrant_url, options.qdrant_api_key), name, remote=True)
        try:
            rows = store.fill(batches, schema)
        except BaseException:
            _forgive(store.delete)
            raise
    else:
        rows = _write_points(_points_file(path), batches)
    write_classes(path, classes)
    Pointer(ENGINE, name, dim, rows, pointer.url).write(path)


def open_collection(path: Path, options: VectorOptions, **schema: Any) -> tuple[Store, Int32Vector]:
    """Open what `write_collection` wrote.

    Raises:
        BuildCorrupt: the pointer or what it points to is missing or damaged.
        IndexBackendError: the server cannot be reached.
    """
    pointer = Pointer.finished(path, ENGINE)
    classes = read_classes(path, pointer)
    if pointer.url:
        store = Store(_remote(options.qdrant_url or pointer.url, options.qdrant_api_key), pointer.name, remote=True)
    else:
        store = Store(_in_memory(), pointer.name, remote=False)
        store.fill(_read_points(_points_file(path)), schema)
    if (found := store.count()) != pointer.rows:
        raise BuildCorrupt(f"{path.name} promises {pointer.rows} rows and holds {found}; ingest again with --full")
    return store, classes


def remove_collection(path: Path, options: VectorOptions) -> None:
    """Remove from the server what the pointer `path` points to, finished or not; a file that is no pointer is passed over.

    Raises:
        IndexBackendError: the server cannot be reached.
    """
    try:
        pointer = Pointer.read(path, ENGINE)
    except BuildCorrupt:
        return
    if pointer.url:
        Store(_remote(options.qdrant_url or pointer.url, options.qdrant_api_key), pointer.name, remote=True).delete()


class Store:
    """One collection, by its alias, on a server or in memory. Safe for many threads."""

    def __init__(self, client: QdrantClient, name: str, *, remote: bool) -> None:
        self.remote = remote
        self.client = client
        self.name = name
        self._rows = f"{name}-rows"

    def fill(self, batches: Iterable[Batch], schema: dict[str, Any]) -> int:
        """Create the collection, write the batches, count them, and only then let the alias name it. Returns the rows."""
        from qdrant_client import models

        self.call(self._create, schema)
        for field in ("acl", "terms") if self.remote else ():
            index = models.IntegerIndexParams(type=models.IntegerIndexType.INTEGER, lookup=True, range=False)
            self.call(self.client.create_payload_index, self._rows, field, index, wait=True)
        rows = 0
        for batch in batches:
            self.call(self.client.upsert, self._rows, batch, wait=True)
            rows += len(batch.ids)
        if (found := self.call(self.client.count, self._rows, exact=True).count) != rows:
            raise IndexBackendError(f"{rows} rows were written to Qdrant and {found} are there")
        alias = models.CreateAlias(collection_name=self._rows, alias_name=self.name)
        self.call(self.client.update_collection_aliases, [models.CreateAliasOperation(create_alias=alias)])
        return rows

    def _create(self, schema: dict[str, Any]) -> None:
        """Creating it twice, where the answer to the first time was lost, is no fault: nobody else knows the name."""
        if not self.client.collection_exists(self._rows):
            self.client.create_collection(self._rows, **schema)

    def count(self, admitted: Admitted | None = None, also: Any = None) -> int:
        """Count the points that pass, exactly.

        Raises:
            BuildCorrupt: there is no such collection.
        """
        conditions = [each for each in (point_filter(admitted) if admitted else None, also) if each is not None]
        from qdrant_client import models

        passing = models.Filter(must=conditions) if conditions else None
        return int(self.call(self.client.count, self.name, count_filter=passing, exact=True).count)

    def delete(self) -> None:
        """Remove the collection and, with it, the alias; it may be gone already."""
        if self.call(self.client.collection_exists, self._rows):
            self.call(self.client.delete_collection, self._rows)

    def call(self, ask: Callable[..., _T], *args: Any, **kwargs: Any) -> _T:
        """Call the client; tried again, later and later, where the connection failed or the server was overloaded.

        Everything asked of it may be asked twice.
        """
        for wait in [*(_FIRST_WAIT_S * 2**tried for tried in range(_TRIES - 1)), None]:
            with _house_errors(self.name):
                try:
                    return ask(*args, **kwargs)
                except Exception as error:
                    if wait is None or not _transient(error):
                        raise
                    time.sleep(wait * random.uniform(0.5, 1.5))
        raise AssertionError("unreachable: the last try returns or raises")


def point_filter(admitted: Admitted) -> Filter:
    """Return the filter in Qdrant's words."""
    from qdrant_client import models

    without = models.HasIdCondition(has_id=admitted.without.tolist()) if len(admitted.without) else None
    by_class = models.Filter(
        must=[models.FieldCondition(key="acl", match=models.MatchAny(any=list(admitted.classes)))], must_not=without
    )
    if not len(admitted.rows):
        return by_class
    named = models.HasIdCondition(has_id=admitted.rows.tolist())
    return models.Filter(should=[named, by_class] if admitted.classes else [named])


def _transient(error: Exception) -> bool:
    import httpx
    from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    if isinstance(error, ResponseHandlingException):
        return isinstance(error.source, httpx.TransportError)
    if isinstance(error, UnexpectedResponse):
        return error.status_code in _OVERLOADED
    return isinstance(error, ResourceExhaustedResponse)


@contextmanager
def _house_errors(name: str) -> Iterator[None]:
    """Turn what the client raises into the house's errors."""
    from qdrant_client.common.client_exceptions import QdrantException
    from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

    try:
        yield
    except UnexpectedResponse as error:
        if error.status_code in {401, 403}:
            raise ConfigError("Qdrant refuses the key: set qdrant_api_key (LOREMILL_QDRANT_API_KEY)") from error
        if error.status_code == 404:
            raise BuildCorrupt(f"Qdrant has no collection {name}; ingest again with --full") from error
        raise IndexBackendError(f"Qdrant failed: {error}") from error
    except ResponseHandlingException as error:
        raise IndexBackendError(
            f"Qdrant cannot be reached: {error.source}; is qdrant_url (LOREMILL_QDRANT_URL) right and the server up?"
        ) from error
    except (ApiException, QdrantException) as error:
        raise IndexBackendError(f"Qdrant failed: {error}") from error
    except ValueError as error:  # local mode
        raise BuildCorrupt(f"{error}; ingest again with --full") from error


@lru_cache(maxsize=8)
def _remote(url: str, key: str) -> QdrantClient:
    """One client for a server in this process: it keeps connections, and any thread may use it."""
    try:
        from qdrant_client import QdrantClient
    except ImportError as error:
        raise DependencyMissing("qdrant-client", extra="qdrant") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of a key over plain http: within one's own network that is one's own choice
            return QdrantClient(url=url, api_key=key or None, timeout=_TIMEOUT_S, check_compatibility=False)
    except ValueError as error:
        raise ConfigError(f"qdrant_url is no URL of a server: {error}") from error


def _in_memory() -> QdrantClient:
    try:
        from qdrant_client import QdrantClient
    except ImportError as error:
        raise DependencyMissing("qdrant-client", extra="qdrant") from error
    return QdrantClient(":memory:")


def _write_points(path: Path, batches: Iterable[Batch]) -> int:
    """Write a batch a line and return the number of points."""
    rows = 0
    with path.open("w", encoding="utf-8") as file:
        for batch in batches:
            file.write(batch.model_dump_json(exclude_none=True) + "\n")
            rows += len(batch.ids)
    return rows


def _read_points(path: Path) -> Iterator[Batch]:
    from qdrant_client.models import Batch

    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield Batch.model_validate_json(line)
    except (OSError, ValueError) as error:
        raise BuildCorrupt(f"{path.name} cannot be read: {error}; ingest again with --full") from error


def _points_file(path: Path) -> Path:
    return path.with_name(path.name + ".points.jsonl")


def _public(url: str) -> str:
    """The URL without user and password, as it is written into a build."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _forgive(act: Callable[[], None]) -> None:
    """Clean up as far as it goes: what went wrong first is what is reported."""
    try:
        act()
    except (IndexBackendError, ConfigError):
        return
