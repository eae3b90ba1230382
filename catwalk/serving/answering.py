"""A request for predictions or with labels, from its body to the body of the answer. Runs in a worker thread."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from pydantic_core import from_json

from catwalk.errors import CatwalkError, InputError
from catwalk.service.log.lines import id_text
from catwalk.service.monitor import Prediction
from catwalk.serving.holder import Holder
from catwalk.serving.limits import Limits, RefusedError
from catwalk.serving.version import Version
from catwalk.trainable import Invert

if TYPE_CHECKING:
    from catwalk.trainable import Arrays

NOTHING_LOADED = "no version of the model is loaded yet"
_KEYS = {"inputs", "ids"}
_LABEL_KEYS = {"ids", "labels", "times"}


@dataclass(frozen=True)
class Question:
    """A request, before a version reads it."""

    body: bytes
    kind: str
    """Its media type."""
    query: Mapping[str, str]


def parsed(body: bytes) -> dict[str, Any]:
    """The JSON object in a body: at most 200 lists deep, and without NaN.

    Raises:
        RefusedError: The body is not such an object.
    """
    try:
        found = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise RefusedError(422, f"the body is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise RefusedError(422, "the body must be a JSON object")
    return found


def ids_of(found: Any) -> list[str]:
    """A list of unique ids.

    Raises:
        RefusedError: It is not such a list.
    """
    ids = [id_text(one) for one in found] if isinstance(found, list) else [""]
    if "" in ids:
        raise RefusedError(422, "ids: expected a list of printable texts of 1 to 200 characters")
    if len(set(ids)) < len(ids):
        raise RefusedError(422, "ids: expected each id once")
    return ids


class Answering:
    """Answers questions with the version that a holder has at the time."""

    def __init__(self, holder: Holder, limits: Limits) -> None:
        self._holder = holder
        self._limits = limits

    def __call__(self, question: Question) -> bytes:
        """The body of the answer, JSON.

        Raises:
            RefusedError: The request can't be answered.
        """
        asked = self._asked(question)
        taken = self._holder.take(lambda version: self._within(asked.inputs(version)), asked.ids)
        if taken is None:
            raise RefusedError(503, NOTHING_LOADED)
        version, inputs, seen = taken
        examples = _count(inputs)
        if asked.ids is not None and len(asked.ids) != examples:
            raise RefusedError(422, f"ids: expected one for each of {examples} examples; got {len(asked.ids)}")
        with seen:
            probabilities = version.probabilities(inputs)
            seen.output = probabilities
        return _body(self._holder.model, version, probabilities, seen, asked.ids)

    def _asked(self, question: Question) -> _Asked:
        if question.kind == "application/json":
            found = parsed(question.body)
            if "inputs" not in found or set(found) - _KEYS:
                raise RefusedError(
                    422, f"expected an object with inputs, and optionally ids; got {sorted(found)!r:.100}"
                )
            value = found["inputs"]
            ids = ids_of(found["ids"]) if "ids" in found else None
            return _Asked(lambda version: version.inputs.from_json(value), ids)
        ids = ids_of([question.query["id"]]) if "id" in question.query else None
        if question.kind == "application/octet-stream":
            return _Asked(lambda version: version.inputs.from_bytes(question.body), ids)
        if question.kind.startswith("image/"):
            invert = question.query.get("invert", "auto")
            if invert not in get_args(Invert):
                raise RefusedError(422, f"invert: expected one of {', '.join(get_args(Invert))}")
            return _Asked(lambda version: version.inputs.from_picture(question.body, invert), ids)
        raise RefusedError(415, "send application/json, a picture such as image/png, or application/octet-stream")

    def _within(self, inputs: Arrays) -> Arrays:
        """
        Raises:
            RefusedError: There are no examples, or too many.
        """
        if not 0 < _count(inputs) <= self._limits.batch:
            raise RefusedError(422, f"inputs: expected 1 to {self._limits.batch:,} examples; got {_count(inputs):,}")
        return inputs


@dataclass(frozen=True)
class _Asked:
    inputs: Any
    """Version → the inputs that it takes."""
    ids: list[str] | None


def _count(inputs: Arrays) -> int:
    return len(next(iter(inputs.values())))


def _body(model: str, version: Version, probabilities: Any, seen: Prediction, given: list[str] | None) -> bytes:
    examples = len(probabilities)
    best, sure = probabilities.argmax(1).tolist(), probabilities.max(1).tolist()
    found: list[dict[str, Any]] = [
        {"class": version.classes[place], "confidence": confidence, "logged": logged}
        for place, confidence, logged in zip(best, sure, seen.each_logged or [False] * examples, strict=True)
    ]
    ids = given or seen.ids
    if ids:
        found = [{"id": one, **answer} for one, answer in zip(ids, found, strict=True)]
    return json.dumps({"model": model, "version": version.run_id, "predictions": found}).encode()


class Labelling:
    """Stores labels of predictions that were logged."""

    def __init__(self, holder: Holder, limits: Limits) -> None:
        self._holder = holder
        self._limits = limits

    def __call__(self, body: bytes) -> bytes:
        """The body of the answer, JSON, once all labels are on the disk.

        Raises:
            RefusedError: They are not stored, or it is uncertain. The client may send them again.
        """
        if not self._holder.logs:
            raise RefusedError(404, "this server has no log; start it with --log FOLDER")
        if self._holder.monitor is None:
            raise RefusedError(503, NOTHING_LOADED)
        ids, labels, times = self._lists(parsed(body))
        try:
            self._holder.monitor.label(ids, labels, times)
        except InputError as error:
            raise RefusedError(422, str(error)) from None
        except CatwalkError as error:
            raise RefusedError(503, f"the labels are not stored; send them again: {error}") from error
        return json.dumps({"stored": len(ids)}).encode()

    def _lists(self, found: dict[str, Any]) -> tuple[list[Any], list[Any], list[Any] | None]:
        lists = [found.get(name) for name in ("ids", "labels")] + ([found["times"]] if "times" in found else [])
        if set(found) - _LABEL_KEYS or not all(isinstance(one, list) for one in lists):
            raise RefusedError(422, "expected an object with the lists ids and labels, and optionally times")
        ids, labels = found["ids"], found["labels"]
        if not 0 < len(ids) <= self._limits.batch:
            raise RefusedError(422, f"ids: expected 1 to {self._limits.batch:,}; got {len(ids):,}")
        return ids, labels, found.get("times")
