"""Asks a model in a real server process about examples of its test, before it ships."""

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
"""Seconds to wait until a server is ready, unless a cap says less."""
_PATIENCE = 60.0
"""Seconds for steps that take no time: accepting a request, and reporting what is loaded."""
_PAUSE = 0.05
_SURE = 1e-3
"""How much probabilities may differ: a batch of another size is computed in another order."""
_MOMENT = 1.0
"""Seconds in which a process that is ending ends."""
_ENDED_FROM_OUTSIDE = {-signal.SIGINT, -signal.SIGTERM, -signal.SIGKILL}
_LISTENS = re.compile(r"^.*: (http://\S+), metrics at \S+\n", re.MULTILINE)


class NotServedError(ArtifactError):
    """The model can't be served. The message is the end of a sentence."""


def missing() -> str:
    """What a server needs that is not installed here, as the end of a sentence; empty: nothing is missing."""
    absent = [module for module in extras.EXTRAS["serve"] if find_spec(module) is None]
    return f"{', '.join(absent)} is not installed (pip install '{extras.DISTRIBUTION}[serve]')" if absent else ""


def ask(run: Run, start_seconds: float | None, check: Callable[[], None]) -> Served:
    """Starts a server with the run's model, asks it about some of its test examples, and ends it.

    Args:
        run: A run that was tested.
        start_seconds: How long to wait until the server is ready; None: 300.
        check: Called regularly; raises to stop at once.

    Raises:
        NotServedError: The server does not start, or does not answer.
        ArtifactError: The test's examples or answers are missing or damaged.
        TransientError: The server did not reach the ledger, or a signal from outside ended it.
    """
    examples, expected = _examples(run)
    with _server(run, min(start_seconds or _LONGEST_START, _LONGEST_START), check) as (process, url, started):
        answers, seconds = _asked(url, examples, check)
        resident = memory.used(process.pid) or 0
    other = sum(map(_differs, answers, expected))
    return Served(len(answers), other, started, float(np.quantile(seconds, 0.99)), resident)


def _examples(run: Run) -> tuple[list[dict[str, NDArray[Any]]], list[dict[str, float]]]:
    """The inputs of each example, and the test's answer: class → probability. The same examples each time."""
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
    """The process, its address, and the seconds until it was ready. It ends when this process does, however that
    ends, because its standard input is then closed."""
    environment = {name: value for name, value in os.environ.items() if name != "CATWALK_SERVE_TOKEN"}
    environment |= {"CATWALK_STORE": run.store.url, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    # Files: a pipe that is not read blocks a model that prints.
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
    """The address that it prints."""
    while True:
        check()
        ended = process.poll() is not None
        if found := _LISTENS.search(_text(out)):
            return found[1]
        if ended:
            said = (_text(log).strip() or f"it exited with {process.returncode}").splitlines()[-1]
            raise NotServedError(f"the server does not start: {without_credentials(said):.300}")
        if time.monotonic() > deadline:
            raise NotServedError("the server does not listen in time")
        time.sleep(_PAUSE)


def _text(file: IO[bytes]) -> str:
    """What another process has written so far. That process's position in the file must not move."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")


def _check_ended_by_itself(process: subprocess.Popen[bytes], check: Callable[[], None]) -> None:
    """
    Raises:
        TransientError: A signal from outside ended it, which says nothing about the model.
    """
    with suppress(subprocess.TimeoutExpired):
        process.wait(_MOMENT)
    check()
    if process.returncode in _ENDED_FROM_OUTSIDE:
        name = signal.Signals(-process.returncode).name
        raise TransientError(f"{name} ended the server of the challenger, so its answers are unknown; try again")


def _wait(url: str, deadline: float, check: Callable[[], None]) -> None:
    """Returns once it is ready."""
    while True:
        check()
        found = _answer(url, "GET", "/model", check, _PATIENCE)
        if found.get("version"):
            return
        if found.get("refused"):
            raise NotServedError(f"the server refuses it: {found['trouble']:.300}")
        if time.monotonic() > deadline:
            if found.get("trouble"):
                raise StoreUnavailableError(f"the challenger's server has not read the ledger: {found['trouble']}")
            raise NotServedError("the server has not loaded it in time")
        time.sleep(_PAUSE)


def _answer(
    url: str, method: str, path: str, check: Callable[[], None], patience: float, body: bytes | None = None
) -> dict[str, Any]:
    """The JSON object that a page returns."""
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
    """The answer to each example, and the seconds that it takes."""
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
    """Values as JSON has them, with null for NaN."""
    if values.dtype.kind != "f" or not np.isnan(values).any():
        return values.tolist()
    found = values.astype(object)
    found[np.isnan(values)] = None
    return found.tolist()


def _differs(answer: dict[str, Any], expected: dict[str, float]) -> bool:
    """Whether its class, or its confidence, differs from the test's."""
    most = max(expected.values())
    said = expected.get(answer["class"], 0.0)
    return most - said > _SURE or abs(answer["confidence"] - most) > _SURE
