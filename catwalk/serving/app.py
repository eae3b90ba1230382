"""The pages of a server, in FastAPI."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catwalk.serving.answering import NOTHING_LOADED, Answering, Labelling, Question
from catwalk.serving.holder import Holder
from catwalk.serving.limits import BODIES_AT_ONCE, Limits, RefusedError
from catwalk.serving.workers import Workers

log = logging.getLogger("catwalk.serve")

_JSON = "application/json"
_RETRY = {"Retry-After": "1"}


class State:
    """State that the pages of one server share."""

    def __init__(self, holder: Holder, limits: Limits, token: str = "") -> None:
        self.holder, self.limits, self.token = holder, limits, token
        self.draining = False
        self.buffered = 0
        """Bytes of request bodies in memory."""
        self.predicting = Workers("predict", limits)
        self.labelling = Workers("labels", limits)
        """Separate workers, because labels wait for the disk, and predictions must not."""


def app(state: State) -> ASGIApp:
    """The pages."""
    pages = FastAPI(title="catwalk serve", docs_url=None, redoc_url=None, openapi_url=None)
    pages.add_exception_handler(RefusedError, _refusal)
    pages.add_exception_handler(HTTPException, _no_page)
    _add_state_pages(pages, state)
    _add_predict(pages, state)
    _add_labels(pages, state)
    return Closing(pages, state)


class Closing:
    """Adds `Connection: close` to each answer while the server drains, so that clients reconnect elsewhere."""

    def __init__(self, pages: ASGIApp, state: State) -> None:
        self._pages, self._state = pages, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and self._state.draining:
                message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
            await send(message)

        await self._pages(scope, receive, closing)


def _add_state_pages(pages: FastAPI, state: State) -> None:
    @pages.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the process lives."""
        return {"status": "ok"}

    @pages.get("/readyz")
    async def readyz() -> dict[str, str]:
        """Whether it takes requests now."""
        if state.draining:
            raise RefusedError(503, "the server is shutting down")
        if state.holder.current is None:
            trouble = "" if state.token else state.holder.trouble  # this page needs no token; `/model` has the reason
            raise RefusedError(503, trouble or NOTHING_LOADED)
        if state.predicting.are_stuck:
            raise RefusedError(503, f"every worker has been busy for longer than {state.limits.seconds:g} s")
        return {"status": "ready"}

    @pages.get("/model")
    async def model(request: Request) -> dict[str, Any]:
        """The version, and the inputs that it takes."""
        _check_token(state, request)
        return _described(state.holder)


def _described(holder: Holder) -> dict[str, Any]:
    version = holder.current
    found: dict[str, Any] = {
        "model": holder.model,
        "champion_checked": holder.series.checked or None,
        "refused": holder.series.refused or None,
        "trouble": holder.trouble or None,
        "version": None,
    }
    if version:
        found |= {
            "version": version.run_id,
            "sha256": version.model_sha256,
            "loaded": version.loaded,
            "classes": list(version.classes),
            "inputs": {name: taken.words for name, taken in version.inputs.named.items()},
        }
    return found


def _add_predict(pages: FastAPI, state: State) -> None:
    answering = Answering(state.holder, state.limits)

    async def predict(request: Request) -> Response:
        """Predictions for one example or many."""
        kind = request.headers.get("content-type", _JSON).partition(";")[0].strip().lower()
        return await worked(
            state, state.predicting, request, lambda body: answering(Question(body, kind, request.query_params))
        )

    pages.add_route("/predict", predict, ["POST"])  # not a FastAPI operation, as `worked` reads the request


def _add_labels(pages: FastAPI, state: State) -> None:
    labelling = Labelling(state.holder, state.limits)

    async def labels(request: Request) -> Response:
        """Stores labels of earlier predictions."""
        return await worked(state, state.labelling, request, labelling)

    pages.add_route("/labels", labels, ["POST"])


async def worked(state: State, workers: Workers, request: Request, work: Callable[[bytes], bytes]) -> Response:
    """Reads a body and answers it in a worker thread, within the limits, and counts the answer.

    Args:
        state: The server's state.
        workers: The threads that answer it.
        request: The request whose body is read.
        work: Makes the JSON body of the answer.
    """
    try:
        _check_token(state, request)
        body = await _body(state, request)
        try:
            answer = Response(await workers.answer(lambda: work(body)), media_type=_JSON)
        finally:
            state.buffered -= len(body)
    except ClientDisconnect:
        return Response(status_code=400)  # not delivered: the client disconnected before its body was complete
    except RefusedError as error:
        answer = _refused(error)
    except Exception as error:  # an error of the model's own code, whose details go to the log only
        log.error("a request failed: %s: %s", type(error).__name__, error)
        answer = _refused(RefusedError(500, "the model failed; see the server's log"))
    state.holder.series.answered(answer.status_code)
    return answer


async def _body(state: State, request: Request) -> bytes:
    """The whole body. Its bytes count in `buffered` until the caller subtracts them."""
    most = state.limits.body_bytes
    declared = request.headers.get("content-length", "0")
    found, size = [], int(declared) if declared.isdigit() else 0
    try:
        async with asyncio.timeout(state.limits.seconds):
            if size > most:
                raise RefusedError(413, f"the body has {size:,} bytes; the limit is {most:,}")
            size = 0
            async for chunk in request.stream():
                size += len(chunk)
                state.buffered += len(chunk)
                found.append(chunk)
                if size > most:
                    raise RefusedError(413, f"the body has more than {most:,} bytes")
                if state.buffered > BODIES_AT_ONCE * most:
                    raise RefusedError(503, "too many large requests are in progress; try again")
    except BaseException as error:
        state.buffered -= sum(map(len, found))
        if isinstance(error, TimeoutError):
            raise RefusedError(408, f"the body did not arrive within {state.limits.seconds:g} s") from None
        raise
    return b"".join(found)


def _check_token(state: State, request: Request) -> None:
    """
    Raises:
        RefusedError: The server has a token, and the request does not.
    """
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    is_given = hmac.compare_digest(given.encode("latin-1"), state.token.encode())
    if state.token and not (scheme.lower() == "bearer" and is_given):
        raise RefusedError(401, "send the server's token: Authorization: Bearer …")


async def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return _refused(error)


def _refused(error: RefusedError) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else _RETRY if error.status == 503 else {}
    if error.status in (408, 413):
        headers = {"Connection": "close"}  # the rest of its body is not read
    return Response(json.dumps({"error": error.sentence}), error.status, headers, _JSON)


async def _no_page(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence = {404: f"no page {request.url.path:.100}", 405: f"this page does not support {request.method:.20}"}
    return JSONResponse({"error": sentence.get(error.status_code, error.detail)}, error.status_code, error.headers)
