"""Any OpenAI-compatible server (vLLM, TGI, Ollama, llama.cpp, OpenAI). Nothing is called unless its URL is set."""

from __future__ import annotations

import ipaddress
import random
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from indexes.errors import ConfigError, DependencyMissing, GeneratorError
from indexes.settings import Settings
from rag.generate import Emit, Usage, pump
from rag.prompts import Prompt

if TYPE_CHECKING:
    import openai

_CONNECT_TIMEOUT_S = 5.0
_FIRST_BACKOFF_S = 0.25  # doubles with each retry, plus up to as much again at random
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})
_HINTS = {
    401: "check LOREMILL_OPENAI_API_KEY",
    403: "check LOREMILL_OPENAI_API_KEY",
    404: "check LOREMILL_OPENAI_BASE_URL and LOREMILL_OPENAI_MODEL",
}


class OpenAIGenerator:
    """Streaming chat completion with `model` at `base_url`.

    Args:
        base_url: the API's root, such as `http://localhost:8000/v1`.
        api_key: may be empty where the server is on this machine.
        timeout_s: longest wait for the first token, retries included, and for each next one.
        retries: further attempts after a failed connection, 408, 429 or 5xx, before the first token only.
    Raises:
        ConfigError: one of them is missing or no URL, naming the setting.
    """

    name = "openai"

    def __init__(
        self, *, base_url: str, model: str, api_key: str = "", timeout_s: float = 60.0, retries: int = 2
    ) -> None:
        if not base_url:
            raise ConfigError(
                "the openai generator needs a server: set LOREMILL_OPENAI_BASE_URL, e.g. http://localhost:8000/v1"
            )
        if urlsplit(base_url).scheme not in {"http", "https"} or not urlsplit(base_url).hostname:
            raise ConfigError(f"LOREMILL_OPENAI_BASE_URL {base_url!r} must be a URL such as http://localhost:8000/v1")
        if not model:
            raise ConfigError("the openai generator needs a model's name: set LOREMILL_OPENAI_MODEL")
        if not api_key and not is_local(base_url):
            raise ConfigError(
                "the openai generator needs a key: set LOREMILL_OPENAI_API_KEY (any text if the server wants none)"
            )
        self.model = model
        self._base_url, self._api_key, self._timeout_s, self._retries = base_url, api_key or "none", timeout_s, retries

    @classmethod
    def from_settings(cls, settings: Settings) -> OpenAIGenerator:
        return cls(
            base_url=settings.openai_base_url,
            model=settings.openai_model,
            api_key=settings.openai_api_key,
            timeout_s=settings.generator_timeout_s,
            retries=settings.generator_retries,
        )

    def stream(self, prompt: Prompt, *, max_tokens: int) -> Iterator[str | Usage]:
        """See `rag.generate.Generator.stream`. A stream that ends before the model said so is an error."""
        client = self._client()
        request: dict[str, Any] = {
            "model": self.model,
            "messages": list(prompt.messages),
            "max_tokens": max_tokens,
            "temperature": 0.0,
            "stream_options": {"include_usage": True},
        }
        gone = threading.Event()

        def produce(emit: Emit) -> None:
            with client, self._open(client, request, gone) as stream:
                self._read(stream, emit)

        def abandon() -> None:
            gone.set()
            client.close()  # a read that only sees keep-alive comments would otherwise never end

        return pump(produce, timeout_s=self._timeout_s, what=f"the server at {self._base_url}", abandon=abandon)

    def _client(self) -> openai.OpenAI:
        try:
            import openai
        except ImportError as error:
            raise DependencyMissing("openai", extra="openai") from error
        timeout = openai.Timeout(self._timeout_s, connect=min(_CONNECT_TIMEOUT_S, self._timeout_s))
        return openai.OpenAI(base_url=self._base_url, api_key=self._api_key, timeout=timeout, max_retries=0)

    def _open(self, client: openai.OpenAI, request: dict[str, Any], gone: threading.Event) -> openai.Stream[Any]:
        """Return the open stream, after retries where they help and without parameters that the server refuses."""
        import openai

        deadline, attempt = time.monotonic() + self._timeout_s, 0
        while True:
            try:
                stream: openai.Stream[Any] = client.chat.completions.create(stream=True, **request)
                return stream
            except openai.APITimeoutError as error:
                raise GeneratorError(
                    f"the server at {self._base_url} did not answer within {self._timeout_s:g} s"
                ) from error
            except openai.APIConnectionError as error:
                fault, wait, again = GeneratorError(f"cannot connect to {self._base_url}: {_cause(error)}"), None, True
                fault.__cause__ = error
            except openai.APIStatusError as error:
                if error.status_code == 400 and _drop_refused(request, str(error)):
                    continue
                wait = retry_after(error.response.headers.get("retry-after"))
                fault, again = self._refusal(error, wait), error.status_code in _RETRIED
            pause = wait if wait is not None else _FIRST_BACKOFF_S * 2**attempt * (1 + random.random())
            attempt += 1
            if not again or attempt > self._retries or time.monotonic() + pause > deadline or gone.wait(pause):
                raise fault

    def _refusal(self, error: openai.APIStatusError, retry_after_s: float | None) -> GeneratorError:
        hint = _HINTS.get(error.status_code)
        said = " ".join(str(error).split())[:300]
        fault = GeneratorError(
            f"the server at {self._base_url} refused: {said}" + (f"; {hint}" if hint else ""),
            retry_after_s=retry_after_s,
        )
        fault.__cause__ = error
        return fault

    def _read(self, stream: openai.Stream[Any], emit: Emit) -> None:
        usage, finished = Usage(), False
        try:
            for chunk in stream:
                if chunk.usage:
                    usage = Usage(chunk.usage.prompt_tokens or 0, chunk.usage.completion_tokens or 0)
                for choice in chunk.choices or ():
                    finished = finished or choice.finish_reason is not None
                    if choice.delta and choice.delta.content and emit(choice.delta.content):
                        return
        except Exception as error:  # the transport's, the decoder's and the client's errors share no base class
            if "Timeout" in _cause(error):  # its clock and `pump`'s run out together
                raise GeneratorError(
                    f"the server at {self._base_url} sent nothing for {self._timeout_s:g} s"
                ) from error
            raise GeneratorError(f"the server at {self._base_url} broke off mid-answer: {_cause(error)}") from error
        if not finished:
            raise GeneratorError(f"the server at {self._base_url} closed the stream before the answer was complete")
        emit(usage)


def _drop_refused(request: dict[str, Any], said: str) -> bool:
    """Take out of `request` an optional parameter that the server's refusal names; False if there is none."""
    if "max_completion_tokens" in said and "max_tokens" in request:
        request["max_completion_tokens"] = request.pop("max_tokens")
        return True
    refused = [name for name in ("stream_options", "temperature") if name in said and name in request]
    for name in refused:
        del request[name]
    return bool(refused)


def retry_after(header: str | None) -> float | None:
    """Return the seconds from a Retry-After header, which holds seconds or an HTTP date."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        from email.utils import parsedate_to_datetime

        try:
            return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
        except (ValueError, TypeError):
            return None


def _cause(error: BaseException) -> str:
    inner = error.__cause__ or error
    return f"{type(inner).__name__}: {inner}"[:300]


def is_local(url: str) -> bool:
    """Whether the server is on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
