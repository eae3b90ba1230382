"""Makes a reference of held-out examples, keeps it with their run, and reads what a service is compared with."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catwalk.codec import from_json
from catwalk.errors import ConfigError, DamagedError, InputError, NotFoundError
from catwalk.ledger.models.champion import Champions
from catwalk.ledger.records.reference import MOST_INPUTS, DeclinedRecord, FeatureReference, ReferenceRecord, Side
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
"""The reference of the version's own days in service."""
DECLINED = "baseline_declined.json"
"""Why no baseline was made automatically of the version's first days in service."""
_QUANTILES = np.arange(1, 10) / 10
_FEW = 10
"""Whole numbers with at most this number of different values are categories."""
_MOST_CATEGORIES = 50
_LEAST_COVERED = 0.5
"""The share of the examples that a column's most frequent categories must cover. Below it, the column is a name of
examples, and says nothing."""


def make(
    run: Run,
    problem: Problem,
    inputs: Any = None,
    scores: Any = None,
    floor: float = shift.GROSS,
    labels: Any = None,
) -> ReferenceRecord:
    """Returns the reference of a run's model.

    Args:
        run: The run of the model.
        problem: The kind of problem.
        inputs: The inputs of n held-out examples; see :meth:`catwalk.tracking.handle.TrackedRun.reference`.
        scores: The model's answers to them.
        floor: The smallest shift that matters.
        labels: The truth, from which accuracy in service is estimated.

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
        InputError: It can't be the smallest shift that matters.
    """
    if not 0 < floor < 10:
        raise InputError(f"floor: expected the smallest shift that matters, such as {shift.FLOOR}; got {floor!r:.60}")


def watched(inputs: Mapping[str, NDArray[Any]]) -> Any:
    """Returns what is watched of a Trainable's examples: pictures, a table in one array, or what has one value an
    example.

    Returns None if there is none of these.
    """
    others = {name: values for name, values in inputs.items() if name != "labels"}
    only = next(iter(others.values())) if len(others) == 1 else others.get("images")
    if only is not None and only.ndim > 1:
        return only
    return {name: values for name, values in others.items() if values.ndim == 1} or None


def store(run: Run, record: ReferenceRecord) -> ReferenceRecord:
    """Stores it with the run."""
    run.store.put_record(run.key(NAME), record)
    return record


def of_run(run: Run) -> ReferenceRecord:
    """Returns the reference of a run's test.

    Raises:
        NotFoundError: it has none.
        DamagedError: It is not a reference, or another run's.
    """
    found = _stored(run, NAME)
    if found is None:
        raise NotFoundError(f"run {run.run_id} has no reference; make one with run.reference(…) when it is trained")
    return found


def baseline_of(run: Run) -> ReferenceRecord | None:
    """Returns the reference of the version's own days in service, or None if it has none yet.

    Raises:
        DamagedError: It is not a reference, or another run's.
    """
    return _stored(run, BASELINE)


def in_service(run: Run) -> ReferenceRecord:
    """Returns what a version in service is compared with: its baseline, or the test's reference until there is one.

    Raises:
        NotFoundError: it has neither.
        DamagedError: It is not a reference, or another run's.
    """
    return baseline_of(run) or of_run(run)


def declined_of(run: Run) -> DeclinedRecord | None:
    """Returns why the version gets no baseline automatically, or None if that is not decided, or can't be read."""
    with suppress(DamagedError):
        found = run.store.find_record(DeclinedRecord, run.key(DECLINED))
        return found[0] if found else None
    return None


def _stored(run: Run, name: str) -> ReferenceRecord | None:
    found = run.store.find_record(ReferenceRecord, run.key(name))
    if found is None:
        return None
    fault = found[0].fault or (f"it is that of run {found[0].run_id}" if found[0].run_id != run.run_id else "")
    if fault:
        raise DamagedError(f"the {name.removesuffix('.json')} of run {run.run_id} can't be used: {fault}")
    return found[0]


def of_champion(store_: Store, model: str) -> ReferenceRecord:
    """Returns what the version in service is compared with; see :func:`in_service`.

    Raises:
        NotFoundError: the model has no champion, or that has no reference.
        DamagedError: It is not a reference.
    """
    current = Champions(store_).get(model)
    if current is None:
        raise NotFoundError(f"model {model} has no champion yet, so it has no reference either")
    return in_service(Run(store_, current[0].run_id))


def of_file(path: Path) -> ReferenceRecord:
    """Returns a reference that was copied out of its ledger.

    Raises:
        ConfigError: It can't be read, or is not a reference.
    """
    try:
        record = from_json(ReferenceRecord, path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is not a reference: {error!s:.200}") from error
    return checked(record, str(path))


def checked(record: ReferenceRecord, where: str = "the record") -> ReferenceRecord:
    """Returns the same reference.

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
    """Returns name → values; columns of an array are named by their numbers."""
    if _is_table(inputs):
        return {str(name): arrays.column(f"inputs[{name!r:.60}]", inputs[name], "a column, (n,)") for name in inputs}
    found = arrays.array("inputs", inputs, "a table (n, columns), pictures (n, height, width), or name → column")
    if found.ndim >= 3:
        return dict(zip(pictures.NAMES, pictures.features(found).T, strict=True))
    if found.ndim == 1:
        found = found[:, None]
    return {f"x{number}": column for number, column in enumerate(found.T)}


def _watched(columns: Mapping[str, NDArray[Any]]) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Returns the columns that there is room for, and the names of the others."""
    useful = {name: values for name, values in columns.items() if _tells(values)}
    kept = dict(list(useful.items())[:MOST_INPUTS])
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
    """Returns what is watched of n answers: class and confidence, or the score itself."""
    found = arrays.array("scores", scores, "the model's answers, (n,) or (n, classes)")
    if kind != "multiclass":
        return {"score": arrays.floats("scores", arrays.column("scores", found, "numbers, (n,)"), "numbers, (n,)")}
    if found.ndim == 1:
        return {"class": _named(arrays.class_indices("scores", found, classes), classes)}
    numbers = arrays.floats("scores", found, "logits or probabilities, (n, classes)")
    return {"class": _named(numbers.argmax(1), classes), "confidence": probabilities(numbers).max(1)}


def probabilities(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Returns the softmax of each row, unless each row is a distribution already."""
    if scores.min() >= 0 and np.allclose(scores.sum(1), 1, atol=1e-3):
        return np.asarray(scores, dtype=float)
    return np.asarray(np.exp(log_probabilities(scores)))


def _named(indices: NDArray[Any], classes: Sequence[str]) -> NDArray[Any]:
    return np.asarray([classes[each] if classes else str(each) for each in indices.tolist()], dtype=object)


def _feature(name: str, side: Side, values: NDArray[Any], classes: Sequence[str] = ()) -> FeatureReference:
    """Returns bins by the values' own quantiles, or by their categories, with the number of examples in each."""
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
    """Returns the edges of ten bins with the same number of examples each; fewer if many examples share a value."""
    return sorted({float(f"{edge:.6g}") for edge in np.quantile(values, _QUANTILES)})


def _categories(values: NDArray[Any], classes: Sequence[str]) -> list[str]:
    """Returns all classes if there are few enough, else the most frequent values, sorted by name."""
    if classes and len(classes) <= _MOST_CATEGORIES:
        return list(classes)
    counted = Counter(text(each) for each in _present(values))
    return sorted(name for name, _ in counted.most_common(_MOST_CATEGORIES))


def _present(values: NDArray[Any]) -> Iterator[Any]:
    return (each for each, text in zip(values.tolist(), arrays.texts(values), strict=True) if text is not None)
