"""`AIProviderManager`: ask for a text or an image and get it from whichever provider works."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from math import isfinite
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from proxy.config.secrets import Secret
from proxy.config.snapshot import StrategyName
from proxy.manager.backend import Backend, Document, ManagementError
from proxy.manager.results import (
    ErrorResult,
    HealthResult,
    TextPiece,
    TextResult,
    health_result,
    image_result,
    text_result,
)
from proxy.manager.stream import StreamedText
from proxy.server.admin.client import ADMIN

__all__ = ["AIProviderManager", "FailoverStrategy", "ManagementError"]

FailoverStrategy = StrategyName
Message = Mapping[str, Any]
"""One message of a conversation, in OpenAI's shape."""

CHAT = "/v1/chat/completions"
IMAGES = "/v1/images/generations"
DATA = "http://127.0.0.1:8080"


class AIProviderManager:
    """The engine as a library. Use it as `async with AIProviderManager.from_files("routes.yaml") as manager:`.

    A call that fails returns `{"error": ...}` and raises nothing; what cannot be meant (no messages, a timeout below
    0, a parameter that is no JSON) raises TypeError or ValueError. Methods that are not `async` are quick in this
    process and one short HTTP request to a sidecar; those that manage raise ManagementError when that fails or a name
    is unknown. A manager belongs to one event loop.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._open = False

    @classmethod
    def from_files(
        cls,
        routes: str | PathLike[str] = "routes.yaml",
        policies: str | PathLike[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """Run the engine in this process, without any socket of its own; changed files are taken over.

        `policies` None: `policies/` beside the routes. `environment` None: this process's. Entering the manager loads
        the files, and raises `proxy.errors.ConfigError` with every problem in them.
        """
        from proxy.manager.embedded import Embedded  # noqa: PLC0415  the engine takes its time to import

        return cls(Embedded(Path(routes), None if policies is None else Path(policies), environment))

    @classmethod
    def connect(
        cls,
        url: str = DATA,
        admin: str = ADMIN,
        *,
        token: str | None = None,
        client_key: str | None = None,
        state_dir: str | PathLike[str] | None = None,
    ) -> Self:
        """Use a running sidecar: `url` is its app's listener, `admin` the operator's.

        `token` None: `SIDESTEP_ADMIN_TOKEN`, else the one that a sidecar of this user keeps in `state_dir`.
        `client_key` is for a sidecar that wants one. Raises ValueError when `url` is no http URL.
        """
        from proxy.manager.remote import Remote  # noqa: PLC0415  only this needs aiohttp's client

        return cls(
            Remote(
                url,
                admin,
                Secret(token) if token else None,
                Secret(client_key) if client_key else None,
                None if state_dir is None else Path(state_dir),
            )
        )

    async def __aenter__(self) -> Self:
        await self._backend.open()
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Release everything, streams that are still open included. Safe to call twice."""
        if self._open:
            self._open = False
            await self._backend.close()

    async def generate_text(  # noqa: PLR0913  the common parameters of a completion, by name
        self,
        messages: Sequence[Message],
        *,
        preferred_provider: str | None = None,
        model: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: str | Mapping[str, Any] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  a deadline for the engine, which ends everything it has begun
        **parameters: Any,  # noqa: ANN401  any other field of OpenAI's request
    ) -> TextResult | ErrorResult:
        """Ask for a whole answer. `preferred_provider` is asked first; `timeout` bounds it all, in seconds."""
        document = _chat(
            messages,
            parameters,
            model=model,
            temperature=temperature,
            max_tokens=max_tokens,
            tools=tools,
            tool_choice=tool_choice,
        )
        return text_result(await self._running.ask(CHAT, _headers(preferred_provider, timeout), document))

    async def stream_text(  # noqa: PLR0913  as `generate_text`
        self,
        messages: Sequence[Message],
        *,
        preferred_provider: str | None = None,
        model: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: str | Mapping[str, Any] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  as `generate_text`
        **parameters: Any,  # noqa: ANN401  as `generate_text`
    ) -> AsyncGenerator[TextPiece | TextResult | ErrorResult, None]:
        """Ask for an answer piece by piece: `{"content": ...}` as it comes, then one result that holds all the rest.

        The last one is a TextResult with an empty `content`, or an ErrorResult when the answer is not whole. Closing
        the iterator ends the provider's work, too.
        """
        document = _chat(
            messages,
            {"stream_options": {"include_usage": True}, **parameters},
            model=model,
            temperature=temperature,
            max_tokens=max_tokens,
            tools=tools,
            tool_choice=tool_choice,
        )
        document["stream"] = True
        answer = await self._running.ask(CHAT, _headers(preferred_provider, timeout), document)
        if answer.status != 200:
            yield text_result(answer)
            return
        text = StreamedText(answer)
        if answer.pieces is None:
            if said := text.feed(answer.body):
                yield {"content": said}
        else:
            try:
                while data := await answer.pieces.read():
                    if said := text.feed(data):
                        yield {"content": said}
            except OSError as error:
                text.break_off(str(error))
            finally:
                answer.pieces.close()
        yield text.end()

    async def generate_texts(
        self,
        conversations: Sequence[Sequence[Message]],
        *,
        concurrency: int = 8,
        **parameters: Any,  # noqa: ANN401  those of `generate_text`
    ) -> list[TextResult | ErrorResult]:
        """Ask for many answers, at most `concurrency` at a time; they come back in the order of the questions."""
        if concurrency < 1:
            raise ValueError("concurrency must be at least 1")
        results: dict[int, TextResult | ErrorResult] = {}
        waiting = iter(enumerate(conversations))

        async def work() -> None:
            for place, messages in waiting:
                results[place] = await self.generate_text(messages, **parameters)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(concurrency, len(conversations))):
                    group.create_task(work())
        except ExceptionGroup as mistakes:  # calls do not raise: it can only be what cannot be meant
            raise mistakes.exceptions[0] from None
        return [results[place] for place in range(len(conversations))]

    async def generate_image(
        self,
        prompt: str,
        *,
        preferred_provider: str | None = None,
        model: str | None = None,
        size: str | None = None,
        seed: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  as `generate_text`
        **parameters: Any,  # noqa: ANN401  any other field of OpenAI's request
    ) -> str | ErrorResult:
        """Ask for an image, `size` as "1024x768"; return its URL, a `data:` URL when the provider sent the image."""
        if not prompt.strip():
            raise ValueError("an image needs a prompt")
        document = {"prompt": prompt, "response_format": "url", **parameters}
        document |= _given(model=model, size=size, seed=seed)
        return image_result(await self._running.ask(IMAGES, _headers(preferred_provider, timeout), document))

    async def health_check_all(self) -> dict[str, HealthResult]:
        """Check every provider now, by name."""
        names = await self._running.names()
        found = await asyncio.gather(*(self.force_health_check(name) for name in names))
        return dict(zip(names, found, strict=True))

    async def force_health_check(self, name: str) -> HealthResult:
        """Check one provider now, enabled or not."""
        return health_result(await self._running.check(name))

    def get_provider_status(self) -> Document:
        """Everything that is known: `statistics`, and `providers` and `routes` by name."""
        return self._running.status()

    def get_statistics(self) -> Document:
        """The counts since the start or the last reset: `total_requests`, `success_rate` (0-1), ..."""
        return self._running.statistics()

    def reset_statistics(self) -> None:
        """Count from 0."""
        self._running.reset_statistics()

    def set_failover_strategy(self, strategy: FailoverStrategy, *, route: str | None = None) -> None:
        """Choose in which order providers are asked, on one route or on all of them, reloads included."""
        chosen = FailoverStrategy(strategy).value
        for name in list(self.get_provider_status()["routes"]) if route is None else [route]:
            self._running.choose_strategy(name, chosen)

    def enable_provider(self, name: str) -> None:
        """Let a provider be asked, whatever the files say."""
        self._running.enable(name, enabled=True)

    def disable_provider(self, name: str) -> None:
        """Ask a provider no more; what it is answering goes on."""
        self._running.enable(name, enabled=False)

    @property
    def _running(self) -> Backend:
        if not self._open:
            raise RuntimeError("the manager is not open: use it inside `async with`")
        return self._backend


def _chat(messages: Sequence[Message], parameters: Mapping[str, Any], **common: Any) -> Document:  # noqa: ANN401
    """Write the body of a completion. Raises TypeError or ValueError for what cannot be meant."""
    if not all(isinstance(message, Mapping) for message in messages):
        raise TypeError('messages are a list like [{"role": "user", "content": "Hello!"}]')
    if not messages:
        raise ValueError("there are no messages")
    if "stream" in parameters:
        raise TypeError("use stream_text for a stream")
    return {"messages": [dict(message) for message in messages], **parameters, **_given(**common)}


def _given(**fields: Any) -> Document:  # noqa: ANN401  fields of a request
    return {name: value for name, value in fields.items() if value is not None}


def _headers(preferred_provider: str | None, timeout: float | None) -> dict[str, str]:
    headers = {}
    if preferred_provider is not None:
        if not (preferred_provider.isascii() and preferred_provider.isprintable()):
            raise ValueError("this is no provider's name")
        headers["x-sidestep-provider"] = preferred_provider
    if timeout is not None:
        if not (isfinite(timeout) and timeout > 0):
            raise ValueError("timeout must be a positive number of seconds")
        headers["x-sidestep-timeout"] = repr(float(timeout))
    return headers
