"""One request for predictions, from its body to the body of the answer. Runs in a worker thread."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from pydantic_core import from_json

from catwalk.serving.holder import Holder
from catwalk.serving.limits import Limits, RefusedError
from catwalk.serving.version import Version
from catwalk.trainable import Invert

if TYPE_CHECKING:
    from catwalk.trainable import Arrays

NOTHING_LOADED = "no version of the model is loaded yet"
_KEYS = {"inputs", "ids"}
_LONGEST_ID = 200
"""Characters."""


@dataclass(frozen=True)
class Question:
    """A request, before it is known which version reads it."""

    body: bytes
    kind: str
    """Its media type."""
    query: Mapping[str, str]


def parsed(body: bytes) -> dict[str, Any]:
    """The object that a body holds; no deeper than 200 lists, and no NaN.

    Raises:
        RefusedError: it holds none.
    """
    try:
        found = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise RefusedError(422, f"the body is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise RefusedError(422, "the body must be a JSON object")
    return found


def ids_of(found: Any, name: str = "ids") -> list[str]:
    """A list of ids, each of them once.

    Raises:
        RefusedError: it is none.
    """
    if not isinstance(found, list) or not all(isinstance(one, str) and 0 < len(one) <= _LONGEST_ID for one in found):
        raise RefusedError(422, f"{name}: expected a list of texts of at most {_LONGEST_ID} characters")
    if len(set(found)) < len(found):
        raise RefusedError(422, f"{name}: each may come once")
    return found


class Answering:
    """Answers questions by the version that a holder has at the time."""

    def __init__(self, holder: Holder, limits: Limits) -> None:
        self._holder = holder
        self._limits = limits

    def __call__(self, question: Question) -> bytes:
        """The body of the answer, JSON.

        Raises:
            RefusedError: there is none.
        """
        asked = self._asked(question)
        taken = self._holder.take(lambda version: self._within(asked.inputs(version)))
        if taken is None:
            raise RefusedError(503, NOTHING_LOADED)
        version, inputs, seen = taken
        examples = _count(inputs)
        if asked.ids is not None and len(asked.ids) != examples:
            raise RefusedError(422, f"ids: expected one for each of {examples} examples; got {len(asked.ids)}")
        with seen:
            probabilities = version.probabilities(inputs)
            seen.output = probabilities
        return _body(self._holder.model, version, probabilities, asked.ids)

    def _asked(self, question: Question) -> _Asked:
        if question.kind == "application/json":
            found = parsed(question.body)
            if "inputs" not in found or set(found) - _KEYS:
                raise RefusedError(
                    422, f"expected an object with inputs, and ids if you like; got {sorted(found)!r:.100}"
                )
            value = found["inputs"]
            ids = ids_of(found["ids"]) if "ids" in found else None
            return _Asked(lambda version: version.inputs.from_json(value), ids)
        ids = [question.query["id"]] if "id" in question.query else None
        if question.kind == "application/octet-stream":
            return _Asked(lambda version: version.inputs.from_bytes(question.body), ids)
        if question.kind.startswith("image/"):
            invert = question.query.get("invert", "auto")
            if invert not in get_args(Invert):
                raise RefusedError(422, f"invert: expected one of {', '.join(get_args(Invert))}")
            return _Asked(lambda version: version.inputs.from_picture(question.body, invert), ids)
        raise RefusedError(415, "send application/json, image/png or another picture, or application/octet-stream")

    def _within(self, inputs: Arrays) -> Arrays:
        """
        Raises:
            RefusedError: they are none, or too many.
        """
        if not 0 < _count(inputs) <= self._limits.batch:
            raise RefusedError(422, f"inputs: expected 1 to {self._limits.batch:,} examples; got {_count(inputs):,}")
        return inputs


@dataclass(frozen=True)
class _Asked:
    inputs: Any
    """Version → what it is asked."""
    ids: list[str] | None


def _count(inputs: Arrays) -> int:
    return len(next(iter(inputs.values())))


def _body(model: str, version: Version, probabilities: Any, ids: list[str] | None) -> bytes:
    best = probabilities.argmax(1)
    found: list[dict[str, Any]] = [
        {"class": version.classes[place], "confidence": sure}
        for place, sure in zip(best.tolist(), probabilities.max(1).tolist(), strict=True)
    ]
    if ids is not None:
        found = [{"id": one, **answer} for one, answer in zip(ids, found, strict=True)]
    return json.dumps({"model": model, "version": version.run_id, "predictions": found}).encode()
