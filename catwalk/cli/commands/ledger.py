"""``catwalk prune`` and ``catwalk migrate``."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from catwalk.cli.lookup import ledger_store, name_damaged, run_ids
from catwalk.cli.options import Json
from catwalk.cli.terminal import complain
from catwalk.errors import CatwalkError


def prune(
    days: Annotated[
        float | None, typer.Option(min=0, help="Remove runs that ended more than this many days ago.")
    ] = None,
    keep: Annotated[int | None, typer.Option(min=0, help="Keep this many of each model's newest runs.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    json: Json = False,
) -> None:
    """Remove old runs; never a champion, what a rollback may put back, an anchor, or a run that runs."""
    from catwalk.cli.tables import output
    from catwalk.ledger import retention, sweep
    from catwalk.ledger.runs import Run
    from catwalk.ledger.summaries import Summaries

    if days is None and keep is None:
        raise CatwalkError("say what may go: --days, --keep or both (then only runs that both let go)")
    store = ledger_store()
    reader = Summaries(store)
    summaries = reader.read()
    name_damaged(reader)
    protected, unknown = retention.protected(store, summaries)
    for model, reason in unknown.items():
        complain(f"every run of {model} stays: {reason}")
    going = [summary.run_id for summary in retention.expired(summaries, protected, time.time(), days, keep)]
    for number, run_id in enumerate(going, 1):
        if not dry_run:
            retention.remove(Run(store, run_id))
        if not json:
            print(f"{'would remove' if dry_run else 'removed'} {run_id} ({number} of {len(going)})")
    if not dry_run:
        for reason in sweep.forget(store, set(run_ids(store, ""))).values():
            complain(f"{reason}; it stays")
    if json:
        output.print_json({"removed": [] if dry_run else going, "would_remove": going if dry_run else []})
    else:
        print(f"{len(summaries) - len(going)} of {len(summaries)} runs stay")


def migrate(
    trainable: Annotated[
        str,
        typer.Argument(
            metavar="[PACKAGE.MODULE:NAME]",
            help="What has trained the runs that do not say so; default: CATWALK_TRAINABLE.",
            show_default=False,
        ),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be written.")] = False,
    json: Json = False,
) -> None:
    """Bring runs that an older version has stored up to date; stop it and start it again as you like.

    A run that still runs is left for later, and one with a damaged record as it is.
    """
    from rich.progress import track

    from catwalk.cli import trainables
    from catwalk.cli.tables import output
    from catwalk.ledger.migration import Migration
    from catwalk.ledger.summaries import Summaries, shown_state, stalled_seconds
    from catwalk.trainable import origin

    model = trainables.chosen(trainable)
    store, now, stalled = ledger_store(), time.time(), stalled_seconds()
    migration = Migration(
        store,
        lambda record: origin(model, record),
        lambda summary: shown_state(summary, now, stalled) == "running",
        dry_run,
    )
    console = output.stderr()
    found = track(run_ids(store, ""), "runs", console=console, disable=not console.is_terminal)
    outcomes = [migration.migrate(run_id) for run_id in found]
    if not dry_run:
        Summaries(store).read()  # whoever reads next finds the index of summaries renewed
    if json:
        output.print_json([output.plain(outcome) for outcome in outcomes])
    else:
        print("\n".join(output.migration_lines(outcomes, dry_run)))
    for outcome in outcomes:
        if outcome.waits:
            complain(f"{outcome.run_id} still runs: migrate again when it has ended")
        if outcome.damaged:
            complain(f"{outcome.run_id} stays as it is: {outcome.damaged}")
    raise typer.Exit(int(any(outcome.damaged for outcome in outcomes)))
