"""Asks a model in a real server process about examples of its test, before it may ship."""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import IO, Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from catwalk import extras
from catwalk.errors import ArtifactError, StoreUnavailableError, TransientError
from catwalk.gate.served import Served
from catwalk.ledger.examples import split_body
from catwalk.ledger.runs import Run
from catwalk.problems.scores import log_probabilities
from catwalk.redaction import without_credentials
from catwalk.service import memory
from catwalk.serving.limits import UNHURRIED

EXAMPLES = 200
_LONGEST_START = 300.0
"""Seconds until a server that is not ready yet is given up, where no cap says less."""
_PATIENCE = 60.0
"""Seconds for what takes none: to accept a request, and to say what is loaded."""
_PAUSE = 0.05
_SURE = 1e-3
"""By how much probabilities may differ, since a batch of another size is computed in another order."""
_MOMENT = 1.0
"""Seconds in which a process that is about to end does."""
_ENDED_FROM_OUTSIDE = {-signal.SIGINT, -signal.SIGTERM, -signal.SIGKILL}
_LISTENS = re.compile(r"^.*: (http://\S+), metrics at \S+\n", re.MULTILINE)


class NotServedError(ArtifactError):
    """The model does not serve; the message is the end of a sentence."""


def missing() -> str:
    """What a server needs and is not installed here, as the end of a sentence; empty: all is."""
    absent = [module for module in extras.EXTRAS["serve"] if find_spec(module) is None]
    return f"{', '.join(absent)} is not installed (pip install '{extras.DISTRIBUTION}[serve]')" if absent else ""


def ask(run: Run, start_seconds: float | None, check: Callable[[], None]) -> Served:
    """Starts a server of the run's model, asks it about some of its test examples, and ends it.

    Args:
        run: that was tested.
        start_seconds: after which a server that is not ready is given up; None: 300.
        check: is called now and then, and may raise to stop at once.

    Raises:
        NotServedError: the server does not start, or does not answer.
        ArtifactError: the test's examples or answers are missing or damaged.
        TransientError: the server did not reach the ledger, or was ended from outside.
    """
    examples, expected = _examples(run)
    with _server(run, min(start_seconds or _LONGEST_START, _LONGEST_START), check) as (process, url, started):
        answers, seconds = _asked(url, examples, check)
        resident = memory.used(process.pid) or 0
    other = sum(map(_differs, answers, expected))
    return Served(len(answers), other, started, float(np.quantile(seconds, 0.99)), resident)


def _examples(run: Run) -> tuple[list[dict[str, NDArray[Any]]], list[dict[str, float]]]:
    """Inputs of each, and what the test has said of it: class → probability. The same ones each time."""
    dataset, stored = run.dataset(), run.store.find(run.key("predictions.safetensors"))
    if dataset is None or stored is None:
        raise ArtifactError(f"the test examples or answers of run {run.run_id} are missing")
    arrays = load(split_body(run.store, dataset, "test"))
    probabilities = np.exp(log_probabilities(load(stored.body)["logits"]))
    chosen = np.random.default_rng(0).permutation(len(probabilities))[:EXAMPLES]
    inputs = [{name: values[place] for name, values in arrays.items() if name != "labels"} for place in chosen]
    names = run.record.classes or [str(label) for label in range(probabilities.shape[1])]
    return inputs, [dict(zip(names, probabilities[place].tolist(), strict=True)) for place in chosen]


@contextmanager
def _server(
    run: Run, patience: float, check: Callable[[], None]
) -> Iterator[tuple[subprocess.Popen[bytes], str, float]]:
    """The process, its address, and the seconds until it was ready. It ends when this process does, whatever ends that:
    then its standard input does."""
    environment = {name: value for name, value in os.environ.items() if name != "CATWALK_SERVE_TOKEN"}
    environment |= {"CATWALK_STORE": run.store.url, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    # Files, because a pipe that nobody reads blocks a model that prints.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as log:
        begun = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "catwalk.serving", run.run_id],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=log,
            start_new_session=True,
        )
        try:
            url = _address(process, out, log, begun + patience, check)
            _wait(url, begun + patience, check)
            yield process, url, time.monotonic() - begun
        except NotServedError:
            _check_ended_by_itself(process, check)
            raise
        finally:
            process.kill()
            process.communicate()


def _address(
    process: subprocess.Popen[bytes], out: IO[bytes], log: IO[bytes], deadline: float, check: Callable[[], None]
) -> str:
    """Where it listens, once it says so."""
    while True:
        check()
        ended = process.poll() is not None
        if found := _LISTENS.search(_text(out)):
            return found[1]
        if ended:
            said = (_text(log).strip() or f"it ended with {process.returncode}").splitlines()[-1]
            raise NotServedError(f"the server does not start: {without_credentials(said):.300}")
        if time.monotonic() > deadline:
            raise NotServedError("the server does not listen in time")
        time.sleep(_PAUSE)


def _text(file: IO[bytes]) -> str:
    """What another process has written so far, whose place in the file must not move."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")


def _check_ended_by_itself(process: subprocess.Popen[bytes], check: Callable[[], None]) -> None:
    """
    Raises:
        TransientError: a signal from outside has ended it, which says nothing of the model.
    """
    with suppress(subprocess.TimeoutExpired):
        process.wait(_MOMENT)
    check()
    if process.returncode in _ENDED_FROM_OUTSIDE:
        name = signal.Signals(-process.returncode).name
        raise TransientError(f"{name} has ended the candidate's server, so nobody knows how it answers; try again")


def _wait(url: str, deadline: float, check: Callable[[], None]) -> None:
    """Returns once it is ready."""
    while True:
        check()
        told = _answer(url, "GET", "/model", check, _PATIENCE)
        if told.get("version"):
            return
        if told.get("refused"):
            raise NotServedError(f"the server refuses it: {told['trouble']:.300}")
        if time.monotonic() > deadline:
            if told.get("trouble"):
                raise StoreUnavailableError(f"the candidate's server has not read the ledger: {told['trouble']}")
            raise NotServedError("the server has not loaded it in time")
        time.sleep(_PAUSE)


def _answer(
    url: str, method: str, path: str, check: Callable[[], None], patience: float, body: bytes | None = None
) -> dict[str, Any]:
    """The object that a page answers with."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_PATIENCE)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answered, deadline = select.poll(), time.monotonic() + patience
        answered.register(connection.sock, select.POLLIN)
        while not answered.poll(1_000 * _PAUSE):
            check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer within {patience:.0f} s")
        answer = connection.getresponse()
        found: dict[str, Any] = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotServedError(f"{type(error).__name__} at {path}: {error}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise NotServedError(f"{path} answers {answer.status}: {found.get('error')}")
    return found


def _asked(
    url: str, examples: list[dict[str, NDArray[Any]]], check: Callable[[], None]
) -> tuple[list[dict[str, Any]], list[float]]:
    """What it says of each, and the seconds that this takes."""
    answers, seconds = [], []
    for example in examples:
        check()
        body = json.dumps({"inputs": {name: _plain(values) for name, values in example.items()}}).encode()
        begun = time.perf_counter()
        answer = _answer(url, "POST", "/predict", check, 2 * UNHURRIED.seconds, body)
        answers.append(answer["predictions"][0])
        seconds.append(time.perf_counter() - begun)
    return answers, seconds


def _plain(values: NDArray[Any]) -> Any:
    """As JSON has them; what is missing is null."""
    if values.dtype.kind != "f" or not np.isnan(values).any():
        return values.tolist()
    found = values.astype(object)
    found[np.isnan(values)] = None
    return found.tolist()


def _differs(answer: dict[str, Any], expected: dict[str, float]) -> bool:
    """Whether it says another class than the test, or the same with another confidence."""
    most = max(expected.values())
    said = expected.get(answer["class"], 0.0)
    return most - said > _SURE or abs(answer["confidence"] - most) > _SURE
