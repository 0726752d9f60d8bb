"""A judge: any OpenAI-compatible server, asked with our own limits on concurrency and time, our own retries and a cache.

What fails on the way (no connection, a timeout, 408, 429, 5xx) is tried again. What the judge wrote is never asked for
again, however bad: who repeats a question until the answer can be read chooses among answers.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from eval.judge_cache import JudgeCache
from eval.judge_prompt import Messages
from eval.judgement import JudgementFailed
from indexes.errors import ConfigError, DependencyMissing, ProviderError
from indexes.settings import Settings
from indexes.vocabulary import digest
from rag.openai import is_local, retry_after

if TYPE_CHECKING:
    import openai

_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_HOPELESS = {
    401: "check LOREMILL_JUDGE_API_KEY",
    403: "check LOREMILL_JUDGE_API_KEY",
    404: "check LOREMILL_JUDGE_BASE_URL and LOREMILL_JUDGE_MODEL",
}
_LONGEST_PAUSE_S = 60.0
_SCHEMA_REFUSED = re.compile("response_format|json_schema|grammar")


@dataclass(frozen=True, slots=True)
class JudgeOptions:
    """Where the judge is and how it is asked.

    Args:
        concurrency: most requests under way at once.
        timeout_s: longest wait for one whole reply.
        retries: further tries after a fault on the way; the pause is the server's `Retry-After`, else doubles from `backoff_s`, jittered.
        max_tokens: of a reply; one that is cut off there is a failed judgement.
    Raises:
        ConfigError: the URL, the model's name or the key is missing, naming the setting.
    """

    base_url: str
    model: str
    api_key: str = field(default="", repr=False)
    concurrency: int = 4
    timeout_s: float = 60.0
    retries: int = 4
    backoff_s: float = 0.5
    max_tokens: int = 2048
    temperature: float = 0.0

    def __post_init__(self) -> None:
        address = urlsplit(self.base_url)
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise ConfigError(
                f"the judge needs a server: LOREMILL_JUDGE_BASE_URL is {self.base_url!r}, must be a URL such as http://localhost:8000/v1"
            )
        if not self.model:
            raise ConfigError("the judge needs a model's name: set LOREMILL_JUDGE_MODEL")
        if not self.api_key and not is_local(self.base_url):
            raise ConfigError("the judge needs a key: set LOREMILL_JUDGE_API_KEY (any text if the server wants none)")

    @classmethod
    def from_settings(cls, settings: Settings) -> JudgeOptions:
        """Read the settings `judge_*`."""
        return cls(
            settings.judge_base_url, settings.judge_model, settings.judge_api_key, settings.judge_concurrency,
            settings.judge_timeout_s, settings.judge_retries, max_tokens=settings.judge_max_tokens,
        )  # fmt: skip


class Judge:
    """Answers messages with text; use it as an asynchronous context manager, in one event loop.

    `requests` counts the replies that came from the server, `cached` those from the cache.
    """

    def __init__(self, options: JudgeOptions, *, cache: JudgeCache | None = None) -> None:
        self.options, self._cache = options, cache
        self.requests = self.cached = 0
        self._constrained = True

    async def __aenter__(self) -> Judge:
        try:
            import openai
        except ImportError as error:
            raise DependencyMissing("openai", extra="eval") from error
        options = self.options
        self._client = openai.AsyncOpenAI(
            base_url=options.base_url, api_key=options.api_key or "none", timeout=options.timeout_s, max_retries=0
        )
        self._limit = asyncio.Semaphore(options.concurrency)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def reply(self, messages: Messages, *, schema: Mapping[str, Any], draw: str = "") -> str:
        """Return what the judge writes.

        Args:
            schema: JSON schema that a server which can is told to keep to; the messages say it too.
            draw: tells apart the times that the same messages are asked; part of the cache's key, not of the request.
        Raises:
            JudgementFailed: it cannot be reached, or its reply is cut off, filtered or empty.
            ProviderError: it refuses for a reason that holds for every question, such as a wrong key.
        """
        key = self._key(messages, draw)
        kept = self._cache.get(key) if self._cache else None
        if kept is None:
            async with self._limit:
                kept = await self._ask(messages, schema)
            self.requests += 1
            if self._cache:
                self._cache.put(key, *kept)
        else:
            self.cached += 1
        text, finish = kept
        if finish == "length":
            raise JudgementFailed(f"the reply was cut off at {self.options.max_tokens} tokens")
        if finish != "stop":
            raise JudgementFailed(f"the reply ended with {finish!r}")
        return text

    def _key(self, messages: Messages, draw: str) -> str:
        """The server is part of it: "default" is another model at another address."""
        options = self.options
        asked = json.dumps([dict(message) for message in messages], sort_keys=True)
        return digest(options.base_url, options.model, str(options.temperature), str(options.max_tokens), asked, draw)

    async def _ask(self, messages: Messages, schema: Mapping[str, Any]) -> tuple[str, str]:
        attempt = 0
        while True:
            reason, wait = await self._try(messages, schema)
            if isinstance(reason, tuple):
                return reason
            if attempt == self.options.retries:
                raise JudgementFailed(f"{reason}, {attempt + 1} tries")
            pause = wait if wait is not None else self.options.backoff_s * 2**attempt * (1 + random.random())
            await asyncio.sleep(min(pause, _LONGEST_PAUSE_S))
            attempt += 1

    async def _try(self, messages: Messages, schema: Mapping[str, Any]) -> tuple[tuple[str, str] | str, float | None]:
        """Return a reply with why it ended; or why there is none and the server's advice when to try again."""
        import openai

        wanted = schema if self._constrained else None
        try:
            async with asyncio.timeout(self.options.timeout_s):  # the client's own limit is on each read, not the whole
                return _content(await self._request(messages, wanted)), None
        except (TimeoutError, openai.APITimeoutError):
            return f"no reply within {self.options.timeout_s:g} s", None
        except openai.APIConnectionError as error:
            return f"no connection: {_said(error.__cause__ or error)}", None
        except openai.APIStatusError as error:
            if error.status_code == 400 and wanted and _SCHEMA_REFUSED.search(str(error)):
                self._constrained = False  # an older server
                return await self._try(messages, schema)
            return self._refused(error)
        except (openai.OpenAIError, ValueError, TypeError, AttributeError, LookupError) as error:
            return f"the server's reply is no chat completion: {_said(error)}", None

    async def _request(self, messages: Messages, schema: Mapping[str, Any] | None) -> Any:
        options = self.options
        request: dict[str, Any] = {
            "model": options.model,
            "messages": [dict(message) for message in messages],
            "temperature": options.temperature,
            "max_tokens": options.max_tokens,
        }
        if schema:
            form = {"name": "output", "schema": dict(schema)}
            request["response_format"] = {"type": "json_schema", "json_schema": form}
        return await self._client.chat.completions.create(**request)

    def _refused(self, error: openai.APIStatusError) -> tuple[str, float | None]:
        """Return why, and when to try again; raise where no question would fare better."""
        said = _said(error)
        if error.status_code in _HOPELESS:
            raise ProviderError(f"the judge at {self.options.base_url} refused: {said}; {_HOPELESS[error.status_code]}")
        if error.status_code not in _RETRIED:
            raise JudgementFailed(f"the judge refused: {said}")
        return f"status {error.status_code}", retry_after(error.response.headers.get("retry-after"))


def _content(completion: Any) -> tuple[str, str]:
    choice = completion.choices[0]
    text = choice.message.content
    if text is not None and not isinstance(text, str):
        raise ValueError("its content is not text")
    return text or "", str(choice.finish_reason)


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
