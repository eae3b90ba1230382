"""What one version has been asked and has answered, counted into the bins of its reference.

A prediction costs a few microseconds: the bins are plain lists of this version's, and nothing is looked up by label.
Nothing here raises because of a value: a value that can't be read is counted as such.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np

from catwalk.ledger.records.reference import FeatureReference, ReferenceRecord
from catwalk.problems.scores import log_probabilities
from catwalk.service import pictures
from catwalk.service.bins import Place, place_of
from catwalk.service.calibration import chance_of
from catwalk.telemetry.catalogue import SERVICE_SECONDS

Row = Sequence[Any]
_PLAIN = (float, int, str, list, tuple)
_PROBABLE = 1e-3
"""How far the sum of probabilities may be from 1."""


@dataclass(frozen=True)
class Estimated:
    """Answers whose chance p of being right is known."""

    predictions: int = 0
    right: float = 0.0
    """The expected number of right answers: the sum of p."""
    variance: float = 0.0
    """The variance of that number: the sum of p (1 − p)."""

    def plus(self, chances: Iterable[float]) -> Estimated:
        """Returns these and further ones."""
        found = list(chances)
        variance = sum(chance * (1 - chance) for chance in found)
        return Estimated(self.predictions + len(found), self.right + sum(found), self.variance + variance)


@dataclass(frozen=True)
class Snapshot:
    """The counts at one moment."""

    predictions: int
    errors: int
    durations: list[int]
    seconds: float
    bins: list[list[int]]
    """The counts of each feature, in the order of the reference."""
    estimated: Estimated
    """The answers whose chance of being right is known."""


class Counted:
    """A feature, and how often each of its bins was met."""

    __slots__ = ("bins", "feature", "other", "place")

    def __init__(self, feature: FeatureReference) -> None:
        self.feature = feature
        self.place: Place = place_of(feature)
        self.bins = [0] * len(feature.bins)
        self.other = len(self.bins) - 1


class Counts:
    """The counts of one version; methods may be called from any thread."""

    def __init__(self, reference: ReferenceRecord, version: str) -> None:
        self.reference = reference
        self.version = version
        self.features = [Counted(feature) for feature in reference.features]
        self.predictions = 0
        self.errors = 0
        self.durations = [0] * (len(SERVICE_SECONDS) + 1)
        self.seconds = 0.0
        self.estimated = Estimated()
        self.lock = Lock()
        self._inputs = [each for each in self.features if each.feature.side == "input"]
        self._answers = {each.feature.name: each for each in self.features if each.feature.side == "prediction"}
        self._names = [each.feature.name for each in self._inputs]
        columns = list(pictures.NAMES) if reference.inputs == "pictures" else reference.columns
        self._width = len(columns)
        self._positions = [columns.index(name) for name in self._names]
        self._classes = reference.classes
        self._chance = chance_of(reference)

    def count(self, inputs: Iterable[Any], outputs: Iterable[Any], seconds: float | None = None) -> None:
        """Counts predictions that were made together.

        Args:
            inputs: The inputs of each, as the reference has them; empty if there are none.
            outputs: The model's answer to each.
            seconds: The time that they took.
        """
        met = [each for row in inputs for each in self._of_inputs(row)]
        answers = list(outputs)
        for answer in answers:
            met += self._of_answer(answer)
        chances = self._chances(answers)
        with self.lock:
            self.predictions += len(answers)
            if chances:
                self.estimated = self.estimated.plus(chances)
            for counted, index in met:
                counted.bins[index] += 1
            if seconds is not None:
                self._took(seconds)

    def failed(self, seconds: float) -> None:
        """Counts a request that ended in an error."""
        with self.lock:
            self.errors += 1
            self._took(seconds)

    def snapshot(self) -> Snapshot:
        """Returns everything counted so far."""
        with self.lock:
            bins = [counted.bins.copy() for counted in self.features]
            durations = self.durations.copy()
            return Snapshot(self.predictions, self.errors, durations, self.seconds, bins, self.estimated)

    def _took(self, seconds: float) -> None:
        self.durations[bisect_left(SERVICE_SECONDS, seconds)] += 1
        self.seconds += seconds

    def rows(self, inputs: Any, many: bool) -> Iterable[Any]:
        """Returns the inputs of each prediction, as :meth:`count` takes them; an unreadable one fits no bin."""
        if inputs is None or not self._inputs:
            return ()
        try:
            if self.reference.inputs == "pictures":
                found: list[Any] = pictures.features(inputs if many else [inputs]).tolist()
                return found
            return _rows(inputs) if many else (inputs,)
        except Exception:
            return (None,)

    def outputs(self, output: Any, many: bool) -> Iterable[Any]:
        """Returns the answer of each prediction, as :meth:`count` takes it; an unreadable one fits no bin."""
        try:
            found = _plain(output)
            return list(found) if many else (found,)
        except Exception:
            return (None,)

    def answers(self, outputs: Iterable[Any]) -> list[tuple[Any, Any]]:
        """Returns the class and its confidence, or the score, of each answer of :meth:`outputs`; None for one that
        can't be read."""
        return [self._read(answer) for answer in outputs]

    def _read(self, answer: Any) -> tuple[Any, Any]:
        if self.reference.kind != "multiclass":
            return _single(answer), None
        try:
            found = self._of_class(answer)
        except Exception:
            return None, None
        return found["class"], found.get("confidence")

    def _of_inputs(self, row: Any) -> Iterable[tuple[Counted, int]]:
        if hasattr(row, "keys"):
            return [(each, each.place(_value(row, name))) for each, name in zip(self._inputs, self._names, strict=True)]
        try:
            if len(row) == self._width:
                return [
                    (each, each.place(row[position]))
                    for each, position in zip(self._inputs, self._positions, strict=True)
                ]
        except (TypeError, KeyError, IndexError):
            pass
        return [(each, each.other) for each in self._inputs]

    def _of_answer(self, answer: Any) -> list[tuple[Counted, int]]:
        if self.reference.kind != "multiclass":
            return [(each, each.place(_single(answer))) for each in self._answers.values()]
        try:
            found = self._of_class(answer)
        except Exception:
            found = {"class": None, "confidence": None}
        return [(each, each.place(found[name])) for name, each in self._answers.items() if name in found]

    def _chances(self, answers: Iterable[Any]) -> Sequence[float]:
        """Returns the chance of being right for the answers that have one."""
        if self._chance is None:
            return ()
        found = []
        for answer in answers:
            with suppress(Exception):  # it is not an answer
                found.append(self._chance(answer))
        return [chance for chance in found if chance is not None]

    def _of_class(self, answer: Any) -> Mapping[str, Any]:
        if not isinstance(answer, list | tuple):
            return {"class": self._name(answer)}
        if len(answer) == 1:
            return self._of_class(answer[0])
        if self._classes and len(answer) != len(self._classes):
            return {"class": "", "confidence": "?"}  # neither a class nor a number
        sure = max(answer)
        if sum(answer) != sum(answer):
            return {"class": None, "confidence": None}
        return {"class": self._name(answer.index(sure)), "confidence": _confidence(answer, sure)}

    def _name(self, answer: Any) -> Any:
        if isinstance(answer, str) or answer is None:
            return answer
        index = int(answer)
        if index != answer:
            return ""
        if not self._classes:
            return str(index)
        return self._classes[index] if 0 <= index < len(self._classes) else ""


def _confidence(answer: Sequence[float], sure: float) -> float:
    """Returns the highest probability: that of a distribution, or that of the softmax of logits."""
    if min(answer) >= 0 and abs(sum(answer) - 1) <= _PROBABLE:
        return sure
    return float(np.exp(log_probabilities(np.asarray([answer]))).max())


def _plain(output: Any) -> Any:
    """Returns numbers and lists, from any kind of tensor or array."""
    if type(output) in _PLAIN:
        return output
    for step in ("detach", "cpu", "tolist", "to_list"):
        output = getattr(output, step, lambda output=output: output)()
    return output


def _rows(inputs: Any) -> Iterable[Any]:
    """Returns the rows of a table: those of an array, of a list, or of name → column."""
    if not hasattr(inputs, "keys"):
        return list(_plain(inputs))
    names = [str(name) for name in inputs]
    columns = [list(_plain(inputs[name])) for name in inputs]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _single(answer: Any) -> Any:
    return answer[0] if isinstance(answer, list | tuple) and len(answer) == 1 else answer


def _value(row: Any, name: str) -> Any:
    try:
        return row[name]
    except (KeyError, IndexError, TypeError):
        return None
