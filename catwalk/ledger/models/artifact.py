"""Models of runs that log: any files, stored unchanged and never opened.

Each attempt has its own folder of files, so that a superseded attempt can't damage anything.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from catwalk.errors import ArtifactError, InputError, NotFoundError
from catwalk.ledger.models.champion import verified_model
from catwalk.ledger.records.training import ModelFile, ModelRecord
from catwalk.ledger.runs import Run

_CHUNK = 2**20
_NAME = "model.json"


def store_files(run: Run, attempt: int, source: Path) -> ModelRecord:
    """Copies a file, or all files below a folder, into the store.

    Raises:
        InputError: The source doesn't exist, or is empty.
    """
    paths = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
    if not paths:
        raise InputError(f"model: expected a file, or a folder with files; there is {_absence(source)} at {source}")
    above = source.parent if source.is_file() else source
    folder = f"model/{attempt}"
    files: dict[str, ModelFile] = {}
    for path in paths:
        name = path.relative_to(above).as_posix()
        files[name] = _file(path)
        run.store.put_file(run.key(f"{folder}/{name}"), path)
    return _recorded(run, ModelRecord(_digest(files), sum(file.bytes for file in files.values()), folder, files))


def store_bytes(run: Run, attempt: int, body: bytes, name: str = "model.bin") -> ModelRecord:
    """Writes bytes into the store as a file."""
    folder = f"model/{attempt}"
    run.store.put(run.key(f"{folder}/{name}"), body)
    digest = hashlib.sha256(body).hexdigest()
    return _recorded(run, ModelRecord(digest, len(body), folder, {name: ModelFile(digest, len(body))}))


def store_uri(run: Run, uri: str, sha256: str) -> ModelRecord:
    """Records where a model is stored, and its hash."""
    return _recorded(run, ModelRecord(sha256, 0, "", {}, uri))


def _recorded(run: Run, record: ModelRecord) -> ModelRecord:
    run.store.put_record(run.key(_NAME), record)
    return record


def verify(run: Run) -> str:
    """Reads a run's model, compares it with its record, and returns its sha256. A model that is stored elsewhere is not
    read.

    Raises:
        ArtifactError: A file is missing or has changed.
    """
    record = run.model()
    if record is None:
        return hashlib.sha256(verified_model(run)).hexdigest()
    training, evaluation = run.training(), run.evaluation()
    recorded = {found.model_sha256 for found in (training, evaluation) if found} - {""}
    if recorded != {record.sha256}:
        raise ArtifactError(f"the model of run {run.run_id} differs from its record; start a new run")
    with tempfile.TemporaryDirectory() as folder:
        for name in record.files:
            fetch_file(run, record, name, Path(folder) / "file")
    return record.sha256


def fetch_file(run: Run, record: ModelRecord, name: str, target: Path) -> None:
    """Copies one file of a model, which must match its record.

    Raises:
        ArtifactError: It is missing or has changed; then no copy is left.
    """
    key = run.key(f"{record.folder}/{name}")
    try:
        run.store.get_file(key, target)
    except NotFoundError:
        raise ArtifactError(f"the model of run {run.run_id} lacks {name} ({key})") from None
    if _file(target) != record.files[name]:
        target.unlink()
        raise ArtifactError(f"{key} doesn't match its sha256: it was changed or damaged")


def _file(path: Path) -> ModelFile:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ModelFile(digest, path.stat().st_size)


def _digest(files: dict[str, ModelFile]) -> str:
    if len(files) == 1:
        return next(iter(files.values())).sha256
    listed = "".join(f"{file.sha256}  {name}\n" for name, file in sorted(files.items()))
    return hashlib.sha256(listed.encode()).hexdigest()


def _absence(source: Path) -> str:
    return "an empty folder" if source.is_dir() else "nothing"
