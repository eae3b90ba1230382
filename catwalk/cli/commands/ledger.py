"""``catwalk prune`` and ``catwalk migrate``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from catwalk.cli.lookup import ledger_store, name_damaged, run_ids
from catwalk.cli.options import Json
from catwalk.cli.terminal import complain
from catwalk.errors import CatwalkError

if TYPE_CHECKING:
    from catwalk.ledger.migration import Migrated, Migration
    from catwalk.storage.store import Store
    from catwalk.trainable import Trainable


def prune(
    days: Annotated[
        float | None, typer.Option(min=0, help="Remove runs that ended more than this many days ago.")
    ] = None,
    keep: Annotated[int | None, typer.Option(min=0, help="Keep this many of each model's newest runs.")] = None,
    log_days: Annotated[
        int | None, typer.Option(min=1, help="Remove logged predictions and labels older than this many days.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be removed.")] = False,
    json: Json = False,
) -> None:
    """Remove old runs, but never a champion, a rollback target, an anchor, or a running run.

    It also removes old predictions of services with their labels; the daily results stay.
    """
    if days is None and keep is None and log_days is None:
        raise CatwalkError(
            "choose what to remove: --days, --keep or both (then only runs that match both), or --log-days"
        )
    store = ledger_store()
    outcome: dict[str, Sequence[str]] = {}
    if log_days is not None:
        outcome |= _prune_log(store, log_days, dry_run, said=not json)
    if days is not None or keep is not None:
        outcome |= _prune_runs(store, days, keep, dry_run, said=not json)
    if json:
        from catwalk.cli.tables import output

        output.print_json(outcome)


def _prune_log(store: Store, days: int, dry_run: bool, said: bool) -> dict[str, Sequence[str]]:
    from catwalk.service.labels import expiry

    now = time.time()
    going = expiry.expired(store, days, now)
    if not dry_run:
        expiry.remove(store, going, now)
    if said:
        print(f"{'would remove' if dry_run else 'removed'} {len(going):,} segments of predictions and labels")
    return {"removed_segments": [] if dry_run else going, "would_remove_segments": going if dry_run else []}


def _prune_runs(
    store: Store, days: float | None, keep: int | None, dry_run: bool, said: bool
) -> dict[str, Sequence[str]]:
    from catwalk.ledger import retention
    from catwalk.ledger.summaries import Summaries

    reader = Summaries(store)
    summaries = reader.read()
    name_damaged(reader)
    protected, unknown = retention.protected(store, summaries)
    for model, reason in unknown.items():
        complain(f"every run of {model} is kept: {reason}")
    going = [summary.run_id for summary in retention.expired(summaries, protected, time.time(), days, keep)]
    _remove(store, going, dry_run, said)
    if said:
        print(f"{len(summaries) - len(going)} of {len(summaries)} runs are kept")
    return {"removed": [] if dry_run else going, "would_remove": going if dry_run else []}


def _remove(store: Store, going: Sequence[str], dry_run: bool, said: bool) -> None:
    """Removes runs, and the sweeps that have no runs left."""
    from catwalk.ledger import retention, sweep
    from catwalk.ledger.runs import Run

    for number, run_id in enumerate(going, 1):
        if not dry_run:
            retention.remove(Run(store, run_id))
        if said:
            print(f"{'would remove' if dry_run else 'removed'} {run_id} ({number} of {len(going)})")
    if not dry_run:
        for reason in sweep.forget(store, set(run_ids(store, ""))).values():
            complain(f"{reason}; it is kept")


TrainedBy = Annotated[
    str,
    typer.Argument(
        metavar="[PACKAGE.MODULE:NAME]",
        help="The Trainable of runs whose record names none; default: CATWALK_TRAINABLE.",
        show_default=False,
    ),
]
OnlySay = Annotated[bool, typer.Option("--dry-run", help="Only print what would be written.")]


def migrate(trainable: TrainedBy = "", dry_run: OnlySay = False, json: Json = False) -> None:
    """Migrate runs that an older version stored; you can interrupt it and start it again.

    It skips runs that are still running, and leaves runs with a damaged record unchanged.
    """
    from rich.progress import track

    from catwalk.cli import trainables
    from catwalk.cli.tables import output
    from catwalk.ledger.summaries import Summaries

    model, store = trainables.chosen(trainable), ledger_store()
    migration = _migration(store, model, dry_run)
    console = output.stderr()
    found = track(run_ids(store, ""), "runs", console=console, disable=not console.is_terminal)
    outcomes = [migration.migrate(run_id) for run_id in found]
    if not dry_run:
        Summaries(store).read()  # so that the next reader finds a fresh index of summaries
    if json:
        output.print_json([output.plain(outcome) for outcome in outcomes])
    else:
        print("\n".join(output.migration_lines(outcomes, dry_run)))
    _name_left(outcomes)
    raise typer.Exit(int(any(outcome.damaged for outcome in outcomes)))


def _migration(store: Store, model: Trainable, dry_run: bool) -> Migration:
    from catwalk.ledger.migration import Migration
    from catwalk.ledger.summaries import shown_state, stalled_seconds
    from catwalk.trainable import origin

    now, stalled = time.time(), stalled_seconds()
    return Migration(
        store,
        lambda record: origin(model, record),
        lambda summary: shown_state(summary, now, stalled) == "running",
        dry_run,
    )


def _name_left(outcomes: Sequence[Migrated]) -> None:
    for outcome in outcomes:
        if outcome.waits:
            complain(f"{outcome.run_id} is still running: migrate again when it has ended")
        if outcome.damaged:
            complain(f"{outcome.run_id} is unchanged: {outcome.damaged}")
