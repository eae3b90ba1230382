"""``catwalk promote``, ``rollback`` and ``fetch``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from catwalk.cli import terminal
from catwalk.cli.lookup import champion_model, champion_of, ledger_store, resolve
from catwalk.cli.options import By, Json, Model, Reason, RunArgument, given, person
from catwalk.errors import CatwalkError

if TYPE_CHECKING:
    from catwalk.ledger.records.model import ChampionRecord


_DEFAULT = Path("model.safetensors")


def promote(run: RunArgument, reason: Reason, by: By = "", json: Json = False) -> None:
    """Put a run's model into service, whatever the gate decided."""
    from catwalk.gate.promotion import promote_by_hand

    _report_change(promote_by_hand(resolve(run), by or person(), given(reason)), json)


def rollback(reason: Reason, by: By = "", model: Model = "", json: Json = False) -> None:
    """Put the previous champion back into service; repeat it to go further back."""
    from catwalk.gate import promotion

    store = ledger_store()
    champion = champion_of(store, model)
    _report_change(promotion.rollback(store, champion.model, by or person(), given(reason)), json)


def _report_change(champion: ChampionRecord, json: bool) -> None:
    from catwalk.cli.tables import output

    announce(champion)
    if json:
        output.print_json(output.plain(champion))
        return
    before = f" in place of {champion.previous}" if champion.previous else ""
    print(f"{champion.model}: run {champion.run_id} is in service{before}, by {champion.by}: {champion.reason}")


def announce(champion: ChampionRecord) -> None:
    """Reports a champion that is in service already to Airflow, if one is configured."""
    from catwalk.clients.airflow_api import AirflowApi, AirflowError

    airflow = AirflowApi.from_environment()
    try:
        if airflow:
            airflow.announce({**champion.announcement, "by": champion.by, "reason": champion.reason})
    except AirflowError as error:
        terminal.complain(f"{champion.run_id} is in service, but Airflow was not notified: {error}")


def fetch(
    out: Annotated[Path, typer.Option(help="File to write, its folder, or - for standard output.")] = _DEFAULT,
    model: Model = "",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    json: Json = False,
) -> None:
    """Download the champion's model, verified by its sha256."""
    from catwalk.cli.tables import output

    terminal.check_stdout(out, json)
    if _fetch_files(out, model, force, json):
        return
    target = out / "model.safetensors" if out.is_dir() else out
    if target != terminal.STDOUT and target.exists() and not force:
        raise CatwalkError(f"{target} exists; --force replaces it")
    champion, _, body = champion_model(model)
    if target == terminal.STDOUT:
        terminal.put(body)
        return
    _write(target, body)
    facts = {"file": str(target), "bytes": len(body), "run_id": champion.run_id, "model": champion.model}
    if json:
        output.print_json({**facts, "sha256": champion.model_sha256, "promoted": champion.promoted})
    else:
        print(
            f"{target}: champion {champion.model} of run {champion.run_id}, {len(body):,} bytes, "
            f"sha256 {champion.model_sha256}"
        )


def _fetch_files(out: Path, model: str, force: bool, json: bool) -> bool:
    """Downloads the files of a model that a run has logged; False if the stages made the model."""
    from catwalk.cli.tables import output
    from catwalk.ledger.models.artifact import fetch_file
    from catwalk.ledger.runs import Run

    store = ledger_store()
    champion = champion_of(store, model)
    run = Run(store, champion.run_id)
    record = run.model()
    if record is None:
        return False
    if record.sha256 != champion.model_sha256:
        raise CatwalkError(f"the model of run {run.run_id} is not the one that was promoted; nothing was downloaded")
    if record.uri:
        raise CatwalkError(
            f"the model of run {run.run_id} is at {record.uri}, with sha256 {record.sha256}; download it from there"
        )
    targets = _targets(out, sorted(record.files))
    taken = [target for target in targets.values() if target.exists() and not force]
    if taken:
        raise CatwalkError(f"{taken[0]} exists; --force replaces it")
    for name, target in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        fetch_file(run, record, name, target)
    written = ", ".join(map(str, targets.values()))
    if json:
        facts = {"files": [str(target) for target in targets.values()], "bytes": record.bytes, "model": champion.model}
        output.print_json({**facts, "run_id": run.run_id, "sha256": record.sha256, "promoted": champion.promoted})
    else:
        print(
            f"{written}: champion {champion.model} of run {run.run_id}, {record.bytes:,} bytes, sha256 {record.sha256}"
        )
    return True


def _targets(out: Path, names: list[str]) -> dict[str, Path]:
    """File of the model → its target: several files go into a folder; a single one keeps its name by default."""
    if out == terminal.STDOUT:
        raise CatwalkError("a logged model can't go to standard output; name a file or a folder with --out")
    if len(names) > 1:
        folder = out if out != _DEFAULT else Path("model")
        return {name: folder / name for name in names}
    (name,) = names
    alone = Path(Path(name).name)
    return {name: out / alone if out.is_dir() else alone if out == _DEFAULT else out}


def _write(target: Path, body: bytes) -> None:
    from catwalk.files import write_whole

    try:
        write_whole(target, body)
    except OSError as error:
        raise CatwalkError(
            f"can't write {target}: {error.strerror}; name another file with --out, or - for standard output"
        ) from error
