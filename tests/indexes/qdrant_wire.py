"""A server that speaks the part of Qdrant's REST interface which we use, over the client's local mode: to see what goes over the wire,
and what happens when the wire fails. Not a substitute for the real one: set LOREMILL_TEST_QDRANT_URL for that.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

from qdrant_client import QdrantClient, models


class Wire:
    """What the server holds, saw and does wrong next: `drop` the request, `lose` the answer, or a status such as `503`."""

    def __init__(self) -> None:
        self.url = ""
        self.key = ""
        self.store = QdrantClient(":memory:")
        self.faults: deque[str] = deque()
        self.seen: list[tuple[str, str, Any]] = []
        self.lock = Lock()

    def names(self) -> list[str]:
        return sorted(each.name for each in self.store.get_collections().collections)

    def aliases(self) -> list[str]:
        return sorted(each.alias_name for each in self.store.get_aliases().aliases)

    def answer(self, method: str, path: list[str], body: Any) -> Any:
        """Do what is asked and return the result; None where there is no such collection."""
        match method, path:
            case "POST", ["collections", "aliases"]:
                return self.store.update_collection_aliases(models.ChangeAliasesOperation(**body).actions)
            case "GET", ["collections", name, "exists"]:
                return {"exists": self.store.collection_exists(name)}
            case "PUT", ["collections", name]:
                asked = models.CreateCollection(**body)
                return self.store.create_collection(name, asked.vectors, asked.sparse_vectors)
            case "DELETE", ["collections", name]:
                return self.store.delete_collection(name)
        name, action = path[1], path[2:]
        if name not in [*self.names(), *self.aliases()]:
            return None
        match method, action:
            case "PUT", ["index"]:
                return {"operation_id": 0, "status": "completed"}
            case "PUT", ["points"]:
                return self.store.upsert(name, models.PointsBatch(**body).batch).model_dump()
            case "POST", ["points"]:
                asked = models.PointRequest(**body)
                return [each.model_dump() for each in self.store.retrieve(name, asked.ids, with_vectors=True)]
            case "POST", ["points", "count"]:
                return self.store.count(name, models.CountRequest(**body).filter).model_dump()
            case "POST", ["points", "query", "batch"]:
                found = self.store.query_batch_points(name, models.QueryRequestBatch(**body).searches)
                return [each.model_dump() for each in found]
        raise AssertionError(f"not asked for by us: {method} {path}")


@contextmanager
def running_wire() -> Iterator[Wire]:
    wire = Wire()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.partition("?")[0].strip("/").split("/")
            with wire.lock:
                fault = wire.faults.popleft() if wire.faults else ""
                body = json.loads(raw) if raw else None
                action = "aliases" if path[1] == "aliases" else "/".join(path[2:])
                wire.seen.append((self.command, action, body))
                if fault == "drop":
                    self.close_connection = True
                    return
                if wire.key and self.headers.get("api-key") != wire.key:
                    fault = "401"
                result = None if fault.isdigit() else wire.answer(self.command, path, body)
            if fault == "lose":
                self.close_connection = True
                return
            status = int(fault) if fault.isdigit() else (404 if result is None else 200)
            content = json.dumps({"result": result, "status": "ok", "time": 0.0}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_DELETE = _handle

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    wire.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield wire
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
