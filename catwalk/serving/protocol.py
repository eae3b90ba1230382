"""uvicorn's HTTP with limits on what precedes a body: by itself, it waits for headers, and collects them, forever."""

from __future__ import annotations

import asyncio
from asyncio import TimerHandle
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from catwalk.serving.limits import HEAD_BYTES, Limits


def limited(limits: Limits) -> type[asyncio.Protocol]:
    """The protocol of a server with these limits."""
    return type("Limited", (LimitedHttp,), {"seconds": limits.seconds})


class LimitedHttp(HttpToolsProtocol):
    """Closes a connection whose request does not begin in time, or whose headers exceed the limits of time or size. It
    also closes one whose request was answered and whose body then does not end in time."""

    seconds = Limits.seconds
    _head: TimerHandle | None = None
    _rest: TimerHandle | None = None
    _bytes = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._have_head()
        self._have_rest()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head:
            self._bytes += len(data)
            if self._bytes > HEAD_BYTES:
                self.transport.close()

    def on_message_begin(self) -> None:
        self._await_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._have_head()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.more_body:
            self._rest = self.loop.call_later(self.seconds, self.transport.close)

    def on_message_complete(self) -> None:
        self._have_rest()
        super().on_message_complete()

    def _await_head(self) -> None:
        self._have_head()
        self._bytes, self._head = 0, self.loop.call_later(self.seconds, self.transport.close)

    def _have_head(self) -> None:
        if self._head:
            self._head.cancel()
            self._head = None

    def _have_rest(self) -> None:
        if self._rest:
            self._rest.cancel()
            self._rest = None
