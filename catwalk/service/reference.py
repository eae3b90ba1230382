"""Makes a reference of held-out examples, keeps it with their run, and reads what a service is compared with."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catwalk.codec import from_json
from catwalk.errors import ConfigError, DamagedError, InputError, NotFoundError
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.records.reference import MOST_INPUTS, FeatureReference, ReferenceRecord, Side
from catwalk.ledger.runs import Run
from catwalk.problems import arrays
from catwalk.problems.interface import Problem
from catwalk.problems.scores import log_probabilities
from catwalk.service import calibration as calibrations
from catwalk.service import pictures, shift
from catwalk.service.bins import place_of, text
from catwalk.storage.store import Store

NAME = "reference.json"
BASELINE = "baseline.json"
"""Of the version's own days in service."""
_QUANTILES = np.arange(1, 10) / 10
_FEW = 10
"""Whole numbers of so many different values are categories."""
_MOST_CATEGORIES = 50
_LEAST_COVERED = 0.5
"""Of the examples, by a column's most frequent categories; below it the column names examples, and says nothing."""


def make(
    run: Run,
    problem: Problem,
    inputs: Any = None,
    scores: Any = None,
    floor: float = shift.GROSS,
    labels: Any = None,
) -> ReferenceRecord:
    """The reference of a run's model.

    Args:
        run: of the model.
        problem: what it is asked.
        inputs: of n held-out examples; see :meth:`catwalk.tracking.handle.TrackedRun.reference`.
        scores: the model's answers to them.
        floor: the least shift that matters.
        labels: the truth, which accuracy in service is estimated by.

    Raises:
        InputError: one line that names the argument, what was expected and what came.
    """
    check_floor(floor)
    calibration = None if labels is None or scores is None else calibrations.fitted(problem, labels, scores)
    kind = _kind(inputs)
    columns = _columns(inputs) if kind else {}
    kept, left = _watched(columns)
    classes = list(getattr(problem, "classes", ()))
    answers = _aspects(problem.kind, classes, scores) if scores is not None else {}
    made = [_feature(name, "input", values) for name, values in kept.items()]
    made += [_feature(name, "prediction", values, classes) for name, values in answers.items()]
    record = ReferenceRecord(
        model=run.record.model,
        run_id=run.run_id,
        kind=problem.kind,
        classes=classes,
        origin="test",
        inputs=kind,
        features=[replace(feature, floor=floor) for feature in made],
        left_out=left,
        created=time.time(),
        columns=list(columns),
        calibration=calibration,
    )
    if record.fault:
        raise InputError(f"reference: expected inputs or scores of held-out examples; {record.fault}")
    return record


def check_floor(floor: float) -> None:
    """
    Raises:
        InputError: it can't be the least shift that matters.
    """
    if not 0 < floor < 10:
        raise InputError(f"floor: expected the least shift that matters, such as {shift.FLOOR}; got {floor!r:.60}")


def watched(inputs: Mapping[str, NDArray[Any]]) -> Any:
    """Of a Trainable's examples what is watched: pictures, a table in one array, or what has one value an example.

    None: there is nothing of these.
    """
    others = {name: values for name, values in inputs.items() if name != "labels"}
    only = next(iter(others.values())) if len(others) == 1 else others.get("images")
    if only is not None and only.ndim > 1:
        return only
    return {name: values for name, values in others.items() if values.ndim == 1} or None


def store(run: Run, record: ReferenceRecord) -> ReferenceRecord:
    """Keeps it with the run."""
    run.store.put_record(run.key(NAME), record)
    return record


def of_run(run: Run) -> ReferenceRecord:
    """The reference that a run has of its test.

    Raises:
        NotFoundError: it has none.
        DamagedError: it is no reference, or another run's.
    """
    found = _stored(run, NAME)
    if found is None:
        raise NotFoundError(f"run {run.run_id} has no reference; make one with run.reference(…) when it is trained")
    return found


def baseline_of(run: Run) -> ReferenceRecord | None:
    """The reference that was made of the version's own days in service, if somebody has accepted one.

    Raises:
        DamagedError: it is no reference, or another run's.
    """
    return _stored(run, BASELINE)


def in_service(run: Run) -> ReferenceRecord:
    """What a version in service is compared with: its baseline, and before that is accepted the test's reference.

    Raises:
        NotFoundError: it has neither.
        DamagedError: it is no reference, or another run's.
    """
    return baseline_of(run) or of_run(run)


def _stored(run: Run, name: str) -> ReferenceRecord | None:
    found = run.store.find_record(ReferenceRecord, run.key(name))
    if found is None:
        return None
    fault = found[0].fault or (f"it is that of run {found[0].run_id}" if found[0].run_id != run.run_id else "")
    if fault:
        raise DamagedError(f"the {name.removesuffix('.json')} of run {run.run_id} can't be used: {fault}")
    return found[0]


def of_champion(store_: Store, model: str) -> ReferenceRecord:
    """What the version that is in service is compared with; see :func:`in_service`.

    Raises:
        NotFoundError: the model has no champion, or that has no reference.
        DamagedError: it is no reference.
    """
    current = Champions(store_).get(model)
    if current is None:
        raise NotFoundError(f"model {model} has no champion yet, so there is no reference of it either")
    return in_service(Run(store_, current[0].run_id))


def of_file(path: Path) -> ReferenceRecord:
    """A reference that was copied out of its ledger.

    Raises:
        ConfigError: it can't be read, or is no reference.
    """
    try:
        record = from_json(ReferenceRecord, path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is no reference: {error!s:.200}") from error
    return checked(record, str(path))


def checked(record: ReferenceRecord, where: str = "the record") -> ReferenceRecord:
    """The same reference.

    Raises:
        ConfigError: it contradicts itself, or is of another version of Catwalk.
    """
    if record.fault:
        raise ConfigError(f"{where} can't be used as a reference: {record.fault}")
    return record


def _kind(inputs: Any) -> Any:
    if inputs is None:
        return ""
    return "columns" if _is_table(inputs) or np.ndim(inputs) < 3 else "pictures"


def _is_table(inputs: Any) -> bool:
    return isinstance(inputs, Mapping) or hasattr(inputs, "columns")


def _columns(inputs: Any) -> dict[str, NDArray[Any]]:
    """Name → values; the columns of an array go by their numbers."""
    if _is_table(inputs):
        return {str(name): arrays.column(f"inputs[{name!r:.60}]", inputs[name], "a column, (n,)") for name in inputs}
    found = arrays.array("inputs", inputs, "a table (n, columns), pictures (n, height, width), or name → column")
    if found.ndim >= 3:
        return dict(zip(pictures.NAMES, pictures.features(found).T, strict=True))
    if found.ndim == 1:
        found = found[:, None]
    return {f"x{number}": column for number, column in enumerate(found.T)}


def _watched(columns: Mapping[str, NDArray[Any]]) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Those that there is room for, and the names of the others."""
    told = {name: values for name, values in columns.items() if _tells(values)}
    kept = dict(list(told.items())[:MOST_INPUTS])
    return kept, [name for name in columns if name not in kept]


def _tells(values: NDArray[Any]) -> bool:
    if values.dtype.kind in "iufb":
        return bool(np.isfinite(values).any())
    if values.dtype.kind not in "OUST":
        return False
    counted = Counter(each for each in arrays.texts(values) if each is not None)
    covered = sum(count for _, count in counted.most_common(_MOST_CATEGORIES))
    return covered > 0 and covered >= _LEAST_COVERED * sum(counted.values())


def _aspects(kind: str, classes: Sequence[str], scores: Any) -> dict[str, NDArray[Any]]:
    """What of n answers is watched: class and confidence, or the score itself."""
    found = arrays.array("scores", scores, "the model's answers, (n,) or (n, classes)")
    if kind != "multiclass":
        return {"score": arrays.floats("scores", arrays.column("scores", found, "numbers, (n,)"), "numbers, (n,)")}
    if found.ndim == 1:
        return {"class": _named(arrays.class_indices("scores", found, classes), classes)}
    numbers = arrays.floats("scores", found, "logits or probabilities, (n, classes)")
    return {"class": _named(numbers.argmax(1), classes), "confidence": probabilities(numbers).max(1)}


def probabilities(scores: NDArray[Any]) -> NDArray[np.float64]:
    """The softmax of each row, unless each is a distribution already."""
    if scores.min() >= 0 and np.allclose(scores.sum(1), 1, atol=1e-3):
        return np.asarray(scores, dtype=float)
    return np.asarray(np.exp(log_probabilities(scores)))


def _named(indices: NDArray[Any], classes: Sequence[str]) -> NDArray[Any]:
    return np.asarray([classes[each] if classes else str(each) for each in indices.tolist()], dtype=object)


def _feature(name: str, side: Side, values: NDArray[Any], classes: Sequence[str] = ()) -> FeatureReference:
    """Bins by the values' own quantiles, or by their categories, and how many examples are in each."""
    if _is_numeric(values):
        edges = _edges(values[np.isfinite(values)].astype(float))
        empty = FeatureReference(name, side, edges, [], [0] * (len(edges) + 1))
    else:
        listed = _categories(values, classes if name == "class" else ())
        empty = FeatureReference(name, side, [], listed, [0] * len(listed))
    place = place_of(empty)
    counted = Counter(map(place, values.tolist()))
    *counts, missing, other = (counted[index] for index in range(len(empty.bins)))
    return replace(empty, counts=counts, missing=missing, other=other)


def _is_numeric(values: NDArray[Any]) -> bool:
    if values.dtype.kind in "iu":
        return len(np.unique(values)) > _FEW
    return values.dtype.kind == "f"


def _edges(values: NDArray[Any]) -> list[float]:
    """Between ten bins of as many examples each; fewer, where many examples have one value."""
    return sorted({float(f"{edge:.6g}") for edge in np.quantile(values, _QUANTILES)})


def _categories(values: NDArray[Any], classes: Sequence[str]) -> list[str]:
    """All classes where there are few enough, else the values that come most often, in the order of their names."""
    if classes and len(classes) <= _MOST_CATEGORIES:
        return list(classes)
    counted = Counter(text(each) for each in _present(values))
    return sorted(name for name, _ in counted.most_common(_MOST_CATEGORIES))


def _present(values: NDArray[Any]) -> Iterator[Any]:
    return (each for each, told in zip(values.tolist(), arrays.texts(values), strict=True) if told is not None)
