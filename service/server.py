"""Runs the application under uvicorn."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

import uvicorn

from indexes.errors import ConfigError
from service.http import create_app

if TYPE_CHECKING:
    from rag.loremill import Loremill

_GRACE_S = 10


class _Announcing(uvicorn.Server):
    """A server that tells its address once it accepts connections."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address; errors as `run_server`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY; without, each answer waits 40 ms for the client's delayed ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another --host or --port"
        ) from error
    return listener


def run_server(mill: Loremill, *, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve `mill` until a signal comes; running answers get some seconds to end. The embedder is loaded first.

    Args:
        port: 0 takes a free one.
        ready: called with the base URL once connections are accepted.
    Raises:
        ConfigError: the address cannot be listened on.
        EmbedderError: the embedder cannot be loaded.
    """
    listener = listen(host, port)
    shown = f"[{host}]" if listener.family == socket.AF_INET6 else host
    url = f"http://{shown}:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        create_app(mill),
        log_level="warning",
        access_log=False,  # a log line would hold the query string; metrics count requests instead
        timeout_graceful_shutdown=_GRACE_S,
        server_header=False,
    )
    with listener:
        mill.embedder.embed_queries(["ready"])  # else the first person to ask would wait for the model
        _Announcing(config, lambda: ready(url)).run(sockets=[listener])
