"""HTTP as `loremill audit leaks` sees it: the application in this process, each person with keys of their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from eval.audit import Trial
from eval.audit.trial import ToolFailed
from eval.audit.world import Person

if TYPE_CHECKING:
    from rag.loremill import Loremill


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Http:
    """The application over a mill. Its worker is not started: what is handed over for later stays queued.

    Used as a context manager it serves in one thread until it is left, which takes a fraction of the time, and waits for whole bodies.
    """

    def __init__(self, mill: Loremill) -> None:
        from starlette.testclient import TestClient

        from service.http import create_app

        self._mill = mill
        self._app = create_app(mill)
        self._request: Callable[..., Any] = TestClient(self._app, raise_server_exceptions=False).request
        self._stack = ExitStack()
        self._serving = False
        self._keys: dict[tuple[Person, str], str] = {}

    def __enter__(self) -> Http:
        from anyio.from_thread import start_blocking_portal
        from httpx import ASGITransport, AsyncClient

        self._alone = self._request
        portal = self._stack.enter_context(start_blocking_portal())
        self._stack.enter_context(portal.wrap_async_context_manager(self._app.state.mcp.run()))
        transport = ASGITransport(self._app, raise_app_exceptions=False)
        client = AsyncClient(transport=transport, base_url="http://testserver")
        self._stack.enter_context(portal.wrap_async_context_manager(client))
        self._request = lambda method, path, **more: portal.call(partial(client.request, method, path, **more))
        self._serving = True
        return self

    def __exit__(self, *_: object) -> None:
        self._serving, self._request = False, self._alone
        self._stack.close()

    def ask(
        self, trial: Trial, method: str, path: str, *, role: str = "reader", act_as: str | None = None, **more: Any
    ) -> Reply:
        """Send a request as the trial's person; body and headers of the reply are heard, and a 5xx is wrong.

        Args:
            act_as: whom somebody else of the tenant, with a key of the role, asks as; the person still is who listens.
        """
        person = trial.person if act_as is None else self._somebody_else(trial)
        headers = self.headers(person, role)
        if act_as is not None:
            headers["X-Loremill-Act-As"] = act_as
        return _reply(self._sent(trial, method, path, headers, more))

    def request(self, trial: Trial, method: str, path: str, **more: Any) -> Any:
        """As `ask`, and return the response as a client of HTTP has it."""
        headers = {**(more.pop("headers", None) or {}), **self.headers(trial.person, "reader")}
        return self._sent(trial, method, path, headers, more)

    def _sent(self, trial: Trial, method: str, path: str, headers: dict[str, str], more: dict[str, Any]) -> Any:
        response = self._request(method, path, headers=headers, **more)
        trial.hear((response.text, dict(response.headers)), said=(path, more))
        trial.expect(f"server errors of {method} {path}", response.status_code // 100 == 5, False)
        return response

    def call_tool(self, trial: Trial, name: str, **arguments: Any) -> Any:
        """Call a tool of MCP as the trial's person; what comes back is heard, and a defect is wrong.

        Raises:
            ToolFailed: the tool did.
        """
        asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
        headers = self.headers(trial.person, "reader") | {"Accept": "application/json, text/event-stream"}
        with nullcontext() if self._serving else self:
            response = self._request("POST", "/mcp", json=asked, headers=headers)
        trial.hear((response.text, dict(response.headers)), said=arguments)
        trial.expect(f"status of the tool {name}", response.status_code, 200)
        result = response.json()["result"]
        if result.get("isError"):
            trial.expect(f"defects of the tool {name}", "the server failed" in response.text, False)
            raise ToolFailed(result["content"][0]["text"])
        return result["structuredContent"]

    def _somebody_else(self, trial: Trial) -> Person:
        return next(one for one in trial.world.people if one.tenant == trial.person.tenant and one != trial.person)

    def anonymous(self, method: str, path: str, **more: Any) -> Reply:
        """Send a request without a key."""
        return _reply(self._request(method, path, **more))

    def headers(self, person: Person, role: str) -> dict[str, str]:
        """Return what says who asks: a key of the person with that role, made at first use."""
        return {"Authorization": f"Bearer {self._key(person, role)}"}

    def _key(self, person: Person, role: str) -> str:
        if (person, role) not in self._keys:
            self._keys[person, role] = self._mill.directory.create_key(person.name, role=role)[1]
        return self._keys[person, role]


def _reply(response: Any) -> Reply:
    return Reply(response.status_code, response.text, dict(response.headers))
