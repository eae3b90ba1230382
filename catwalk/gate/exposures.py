"""Counts the decisions for which a run's test examples were used: the more there are, the more of a lead is due to
chance.

They are counted by example, because a rolling split is a different one each night, with nearly the same examples.
"""

from __future__ import annotations

from safetensors.numpy import load

from catwalk.errors import DamagedError
from catwalk.ledger.examples import row_digests, split_body
from catwalk.ledger.records.dataset import DatasetRecord
from catwalk.ledger.records.exposure import ExposureRecord
from catwalk.ledger.runs import Run
from catwalk.storage.swap import swap

_DIGITS = 16


def count_decision(run: Run, dataset: DatasetRecord) -> int:
    """Records that a run's test examples decide about it; returns for how many decisions they were used, including this
    one, on average and rounded. Retries count once, and pruned runs stay counted.

    Raises:
        ArtifactError: the examples in the store don't match their record.
        DamagedError: the counts are damaged; the message says what to do.
    """
    examples = {one.hex()[:_DIGITS] for one in row_digests(load(split_body(run.store, dataset, "test")))}
    record = swap(f"the exposures of {run.record.model}", lambda: _counted(run, dataset, examples))
    return round(sum(record.counts.get(example, 1) for example in examples) / len(examples))


def _counted(run: Run, dataset: DatasetRecord, examples: set[str]) -> ExposureRecord:
    key = f"exposures/{run.record.model}/counts.json"
    try:
        found = run.store.find_record(ExposureRecord, key)
    except DamagedError as error:
        raise DamagedError(f"{error}; delete it to restart the count") from error
    known, etag = found or (ExposureRecord(dict.fromkeys(examples, _before(run, dataset))), None)
    if run.run_id in known.runs:
        return known
    counts = known.counts | {example: known.counts.get(example, 0) + 1 for example in examples}
    record = ExposureRecord(counts, [*known.runs, run.run_id])
    run.store.put_record(key, record, if_match=etag, create=etag is None)
    return record


def _before(run: Run, dataset: DatasetRecord) -> int:
    """Returns how many decisions an older version has counted for the same split: one object per run."""
    keys = (entry.key for entry in run.store.list(f"test_splits/{dataset.files['test']}/decided/"))
    return sum(1 for key in keys if not key.endswith(f"/{run.run_id}"))
