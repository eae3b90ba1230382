"""The ``catwalk`` command. Modules that take long to import are imported by the commands that need them."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from catwalk.cli import terminal
from catwalk.cli.knob_flags import KnobCommand, without_knobs
from catwalk.errors import CancelledError, CatwalkError

if TYPE_CHECKING:
    from catwalk.cli.planned_work import Chain
    from catwalk.cli.prediction import Answer
    from catwalk.cli.run_table import Recipe
    from catwalk.knobs import Config
    from catwalk.ledger.records import ChampionRecord
    from catwalk.ledger.runs import Ledger, Run
    from catwalk.ledger.summaries import Summaries
    from catwalk.report.comparison import Comparison
    from catwalk.stages.observer import Observer
    from catwalk.storage.store import Store
    from catwalk.trainable import Arrays, Invert, Readable, Trainable

R = TypeVar("R")
app = typer.Typer(
    name="catwalk",
    help="Train, inspect and serve models, and watch over what observes them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run id, the beginning of one, `latest` (newest run of any kind) or `champion`.",
        show_default=False,
    ),
]
Model = Annotated[
    str,
    typer.Option(
        help="Whose champion; needed where several have one but that of CATWALK_TRAINABLE.", show_default=False
    ),
]


def main(arguments: list[str] | None = None) -> None:
    """Entry point. Exit codes: 0 done, 1 failed, 2 wrong usage; an error is one line on stderr."""
    with terminal.streams():
        _main(arguments)


def _main(arguments: list[str] | None) -> None:
    try:
        app(arguments)
    except CatwalkError as error:
        _fail(error, str(error))
    except KeyboardInterrupt:
        raise SystemExit(_complain("interrupted")) from None
    except Exception as error:  # the last line of defence: a user gets a sentence, not a traceback
        known = _told_by_system(error) if isinstance(error, OSError) else ""
        _fail(error, known or f"unexpected {type(error).__name__}: {error} (set CATWALK_DEBUG=1 to see where)")


def _told_by_system(error: OSError) -> str:
    """What this machine lacks, as a sentence; empty where an error may mean anything."""
    if "temporary directory" in str(error):  # torch and matplotlib want one as soon as they are imported
        return "no temporary folder can be written to; set TMPDIR to one that can"
    return terminal.full(error)


def _fail(error: Exception, message: str) -> None:
    if os.environ.get("CATWALK_DEBUG"):
        raise error
    raise SystemExit(_complain(message)) from None


def _complain(message: str) -> int:
    print(f"catwalk: {' '.join(message.split())}", file=sys.stderr)
    return 1


@app.callback()
def _everything() -> None:
    """Train, inspect and serve models, and watch over what observes them."""
    from catwalk.clients.environment import load_environment

    load_environment()
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it warns where it has no home to keep its fonts in


@app.command("run", cls=KnobCommand)
@without_knobs
def _run(
    trainable: Annotated[
        str,
        typer.Argument(
            metavar="[PACKAGE.MODULE:NAME]",
            help="What to train; default: CATWALK_TRAINABLE. Its settings are flags of this command.",
            show_default=False,
        ),
    ] = "",
    run_id: Annotated[
        str | None, typer.Option(help="Take up this run, or start one under this id.", show_default=False)
    ] = None,
    json: Json = False,
    **settings: Any,
) -> None:
    """Train, test and decide on this machine: the stages that the DAG runs, without Airflow.

    The same run id takes up an interrupted run where it stopped, with the configuration it was started with.
    """
    from catwalk.cli import output, trainables
    from catwalk.cli.progress import ProgressObserver
    from catwalk.ledger.champion import in_service
    from catwalk.ledger.runs import new_run_id
    from catwalk.stages.opening import open_run
    from catwalk.stages.pipeline import run_stages

    given = {name: value for name, value in settings.items() if value is not None}
    model = trainables.chosen(trainable)
    ledger, observer = _observed_ledger()
    run_id = run_id or new_run_id()
    config, finished_epochs = _configuration(ledger, run_id, model, given)
    console = output.stderr()
    # Where no bar is drawn, the log's line an epoch takes its place.
    logging.basicConfig(
        level=logging.WARNING if console.is_terminal else logging.INFO, format="%(message)s", stream=sys.stderr
    )
    logging.getLogger("botocore").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, _interrupt)
    run = open_run(ledger, run_id, model, config, "cli", observer=observer)
    console.print(f"run {run_id}", highlight=False)
    with ProgressObserver(observer, console, model.plan(config).epochs, finished_epochs) as progress:
        try:
            run_stages(run, progress)
        except (CancelledError, KeyboardInterrupt) as stop:
            _mark_cancelled(run)
            again = f"catwalk run {trainable} --run-id {run_id}" if trainable else f"catwalk run --run-id {run_id}"
            raise CatwalkError(f"cancelled; `{again}` goes on where it stopped") from stop
    champion = in_service(run)
    if champion:
        _announce(champion)
    _report(run, progress.resent, json)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """SIGTERM between two stages; within one, the stage itself listens."""
    raise KeyboardInterrupt


def _mark_cancelled(run: Run) -> None:
    """Between two stages nobody else records that the run was stopped by hand."""
    from dataclasses import replace

    run.update_summary(
        lambda summary: summary if summary.state == "succeeded" else replace(summary, state="cancelled", error="")
    )


def _observed_ledger() -> tuple[Ledger, Observer]:
    from catwalk.ledger.runs import Ledger
    from catwalk.storage.store import Store
    from catwalk.telemetry.emitter import observer_from_environment

    observer = observer_from_environment()
    return Ledger(Store.from_environment(observer.store_operation)), observer


def _configuration(ledger: Ledger, run_id: str, model: Trainable, given: dict[str, Any]) -> tuple[Config, int]:
    """The configuration in force and the epochs that are done: of an existing run, unless flags contradict it.

    Raises:
        CatwalkError: the run is another Trainable's.
    """
    from catwalk.errors import NotFoundError

    run = ledger.run(run_id)
    try:
        record = run.record
    except NotFoundError:
        return model.config.from_flat(given), 0
    if record.trainable not in ("", model.reference):
        raise CatwalkError(
            f"run {run_id} is one of {record.trainable}: `catwalk run {record.trainable} --run-id {run_id}`"
        )
    recorded = model.config.from_dict(record.config)
    training = run.training()
    config = model.config.from_flat({**recorded.flat(), **given}) if given else recorded
    return config, len(training.epochs) if training else 0


def _report(run: Run, resent: int, json: bool) -> None:

    from catwalk.cli import output
    from catwalk.ledger.summaries import run_seconds

    summary, evaluation = run.summary(), run.evaluation()
    if json:
        output.print_json({"summary": output.plain(summary), "points_sent_again": resent})
        return
    assert summary is not None  # run_stages has written it
    if evaluation:
        output.show(output.evaluation_facts(evaluation), "")
    took = output.duration(run_seconds(summary, time.time()))
    sent = (
        f"{resent:,} points sent"
        if resent
        else "no points sent" + ("" if os.environ.get("CATWALK_STATSD") else " (CATWALK_STATSD is not set)")
    )
    output.show(
        output.sentence(summary),
        f"run {run.run_id} {output.coloured(summary.state)} in {took}; {sent}",
    )


@app.command()
def runs(
    where: Annotated[
        list[str],
        typer.Option(
            metavar="'KEY OP VALUE'",
            help="Only runs that meet this, such as 'test_accuracy >= 0.9', 'state = failed' or "
            "'started >= 2026-11-26'; may be repeated.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    sort: Annotated[str, typer.Option(metavar="KEY", help="Sort by this; -KEY from the highest down.")] = "-run_id",
    limit: Annotated[int, typer.Option(min=1, help="Show at most this many.")] = 20,
    by: Annotated[
        Literal["run", "recipe"], typer.Option(help="A line a run, or one for all runs that differ in their seed only.")
    ] = "run",
    model: Annotated[str, typer.Option(help="Only runs of this model.", show_default=False)] = "",
    csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV with every key; an apostrophe keeps text from being a formula.")
    ] = False,
    json: Json = False,
) -> None:
    """List runs, newest first."""
    from catwalk.cli import output, run_table
    from catwalk.ledger.summaries import Summaries, stalled_seconds

    told = [_parts(text) for text in where] + ([("model", "=", model)] if model else [])
    plain = not told and sort == "-run_id" and by == "run"
    reader = Summaries(_store())
    summaries, now, stalled = reader.read(newest=limit if plain else None), time.time(), stalled_seconds()
    if not reader.total and by == "run" and not json and not csv:
        print("no runs yet; `catwalk run` or a DAG makes one")
        return
    keys = run_table.keys_of(summaries)
    conditions = [run_table.Condition(*parts, keys) for parts in told]
    by_id = {summary.run_id: summary for summary in summaries}
    rows = [run_table.row(summary, now, stalled, keys) for summary in summaries]
    met = [row for row in rows if all(condition.holds(row) for condition in conditions)]
    found = run_table.ordered(met, sort, keys)[:limit]
    shown = [by_id[row["run_id"]] for row in found]
    if by == "recipe":
        _show_recipes(run_table.recipes(met)[:limit], json)
    elif json:
        output.print_json([output.plain(summary) for summary in shown])
    elif csv:
        print(run_table.as_csv(found, keys), end="")
    elif not shown:
        print(f"none of {len(summaries)} runs meets that")
    else:
        output.show(output.runs_table(shown, now, stalled, output.width()))
        left = (reader.total if plain else len(met)) - limit
        if left > 0:
            print(f"{left} {'older' if plain else 'more'}: --limit {left + limit}")
    _name_damaged(reader)


def _name_damaged(reader: Summaries) -> None:
    for key, reason in reader.damaged.items():
        _complain(f"{key} is damaged and left out: {reason}")


def _parts(text: str) -> tuple[str, str, str]:
    key, operator, value, *_ = [*text.split(maxsplit=2), "", "", ""]
    if not value:
        raise CatwalkError(f"--where takes KEY OP VALUE with spaces between, such as 'epochs >= 10', not {text!r}")
    return key, operator, value


def _show_recipes(recipes: Sequence[Recipe], json: bool) -> None:
    from dataclasses import asdict

    from catwalk.cli import output

    if json:
        output.print_json([asdict(recipe) for recipe in recipes])
    elif not recipes:
        print("no tested runs")
    else:
        output.show(output.recipes_table(recipes))


@app.command()
def show(run: RunArgument, model: Model = "", json: Json = False) -> None:
    """Show everything about one run."""
    from catwalk.cli import output
    from catwalk.ledger.summaries import stalled_seconds

    found = _resolve(run, model)

    summary, training, evaluation = found.summary(), _sound(found.training), _sound(found.evaluation)
    attempts = _sound(found.attempts) or []
    if json:
        facts = {
            "summary": summary,
            "run": _sound(lambda: found.record),
            "dataset": _sound(found.dataset),
            "training": training,
            "evaluation": evaluation,
            "decision": _sound(found.decision),
        }
        records = {name: record and output.plain(record) for name, record in facts.items()}
        output.print_json({**records, "attempts": [output.plain(attempt) for attempt in attempts]})
        return
    if summary is None:
        raise CatwalkError(
            f"run {found.run_id} has no summary: it was interrupted as it started; run or trigger it again"
        )
    output.show(output.run_facts(summary, training, evaluation, attempts, time.time(), stalled_seconds()))


def _sound(read: Callable[[], R]) -> R | None:
    """What is damaged is named, and the rest is shown."""
    from catwalk.errors import DamagedError

    try:
        return read()
    except DamagedError as error:
        _complain(str(error))
        return None


Open = Annotated[bool, typer.Option("--open", help="Show it in a browser.")]


@app.command()
def report(
    run: RunArgument,
    show_it: Open = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write report.html and figures/*.png into this folder too; - writes the page to standard output.",
            show_default=False,
        ),
    ] = None,
    model: Model = "",
    json: Json = False,
) -> None:
    """Build a run's report again from S3, and store it there."""
    from catwalk.cli import output
    from catwalk.clients.environment import public_url
    from catwalk.report.build import build, upload, write

    _check_stdout(out, json, show_it)
    found = _resolve(run, model)
    built = build(found)
    upload(found, built)
    if out == terminal.STDOUT:
        terminal.put(built.html)
        return
    folder = out or (_temporary_folder("catwalk-report-") if show_it else None)
    page = write(built, folder) if folder else None
    url = f"{public_url('registry')}/runs/{found.run_id}"
    if json:
        facts = {"run_id": found.run_id, "key": found.key("report.html"), "url": url, "bytes": len(built.html)}
        output.print_json({**facts, "file": page and str(page), "missing": built.missing})
    else:
        print(f"{found.store.url.rstrip('/')}/{found.key('report.html')} ({len(built.html):,} bytes), shown at {url}")
        if page:
            print(page)
        for name, sentence in built.missing.items():
            print(f"without {name.replace('_', ' ')}: {sentence}")
    if show_it and page:
        _show_in_browser(page, f" or {url}")


def _check_stdout(out: Path | None, *others: bool) -> None:
    """
    Raises:
        CatwalkError: a file is to go to standard output, and something else as well.
    """
    if out == terminal.STDOUT and any(others):
        raise CatwalkError("--out - gives standard output to the file alone: leave out --json and --open")


def _temporary_folder(prefix: str) -> Path:
    import tempfile

    try:
        return Path(tempfile.mkdtemp(prefix=prefix))
    except OSError as error:
        raise CatwalkError(f"no temporary folder can be made ({error.strerror}); name one with --out") from error


def _show_in_browser(page: Path, elsewhere: str = "") -> None:
    import webbrowser

    if not webbrowser.open(page.resolve().as_uri()):
        raise CatwalkError(f"no browser could be started; open {page}{elsewhere} yourself")


Where = Annotated[
    list[str],
    typer.Option(
        metavar="'KEY OP VALUE'",
        help="Also the runs that meet this, such as 'test_accuracy >= 0.9'; repeated, they must meet all.",
        show_default=False,
    ),
]


@app.command()
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="[RUN]...", help="Runs as for `show`; the first is the baseline.", show_default=False),
    ] = [],  # noqa: B006
    where: Where = [],  # noqa: B006
    limit: Annotated[int, typer.Option(min=2, help="Of those that --where finds, take the newest.")] = 40,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for report.html and figures/*.png; default: comparison in CATWALK_HOME. - writes the page "
            "alone, to standard output.",
            show_default=False,
        ),
    ] = None,
    show_it: Open = False,
    model: Model = "",
    json: Json = False,
) -> None:
    """Compare runs with the first one: curves, parameters, and which differences are more than noise."""
    from catwalk.cli import comparison_table, output
    from catwalk.report.comparison import compare as compare_runs

    _check_stdout(out, json, show_it)
    chosen = [_resolve(name, model).run_id for name in runs]
    chosen += [run_id for run_id in _chosen_by(where, limit) if run_id not in chosen]
    comparison = compare_runs(_store(), chosen)
    for entry in comparison.entries:
        if entry.record.why:
            _complain(entry.record.why)
    if out == terminal.STDOUT:
        from catwalk.report import compare_page

        terminal.put(compare_page.build(comparison).html)
        return
    if not json:
        output.show(*comparison_table.tables(comparison, output.width()))
    page, problem = _written(comparison, out)
    if json:
        output.print_json({**comparison_table.as_plain(comparison), "file": page and str(page)})
    elif page:
        print(f"\n{page}")
    if problem and (out or show_it):
        raise CatwalkError(problem)
    if problem:
        print(f"catwalk: no page was written: {problem}", file=sys.stderr)
    if page and show_it:
        _show_in_browser(page)


def _written(comparison: Comparison, out: Path | None) -> tuple[Path | None, str]:
    """The page's path, or why there is none: what was found out must not be lost with it."""
    from catwalk.clients.environment import home

    try:
        from catwalk.report import compare_page
        from catwalk.report.build import write

        return write(compare_page.build(comparison), out or home() / "comparison"), ""
    except (CatwalkError, OSError) as error:
        return None, str(error)


def _chosen_by(where: Sequence[str], limit: int) -> list[str]:
    """The newest runs that meet every condition, oldest first; none where there is no condition."""
    if not where:
        return []
    from catwalk.cli import run_table
    from catwalk.ledger.summaries import Summaries, stalled_seconds

    told = [_parts(text) for text in where]
    now, stalled, reader = time.time(), stalled_seconds(), Summaries(_store())
    summaries = reader.read()
    keys = run_table.keys_of(summaries)
    conditions = [run_table.Condition(*parts, keys) for parts in told]
    rows = [run_table.row(summary, now, stalled, keys) for summary in summaries]
    _name_damaged(reader)
    met = [row["run_id"] for row in rows if all(condition.holds(row) for condition in conditions)]
    return met[-limit:]


@app.command()
def prune(
    days: Annotated[
        float | None, typer.Option(min=0, help="Remove runs that ended more than this many days ago.")
    ] = None,
    keep: Annotated[int | None, typer.Option(min=0, help="Keep this many of each model's newest runs.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    json: Json = False,
) -> None:
    """Remove old runs; never a champion, what a rollback may put back, an anchor, or a run that runs."""
    from catwalk.cli import output
    from catwalk.ledger import retention, sweep
    from catwalk.ledger.runs import Run
    from catwalk.ledger.summaries import Summaries

    if days is None and keep is None:
        raise CatwalkError("say what may go: --days, --keep or both (then only runs that both let go)")
    store = _store()
    reader = Summaries(store)
    summaries = reader.read()
    _name_damaged(reader)
    protected, unknown = retention.protected(store, summaries)
    for model, reason in unknown.items():
        _complain(f"every run of {model} stays: {reason}")
    going = [summary.run_id for summary in retention.expired(summaries, protected, time.time(), days, keep)]
    for number, run_id in enumerate(going, 1):
        if not dry_run:
            retention.remove(Run(store, run_id))
        if not json:
            print(f"{'would remove' if dry_run else 'removed'} {run_id} ({number} of {len(going)})")
    if not dry_run:
        for reason in sweep.forget(store, set(_run_ids(store, ""))).values():
            _complain(f"{reason}; it stays")
    if json:
        output.print_json({"removed": [] if dry_run else going, "would_remove": going if dry_run else []})
    else:
        print(f"{len(summaries) - len(going)} of {len(summaries)} runs stay")


@app.command()
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

    from catwalk.cli import output, trainables
    from catwalk.ledger.migration import Migration
    from catwalk.ledger.summaries import Summaries, shown_state, stalled_seconds
    from catwalk.trainable import origin

    model = trainables.chosen(trainable)
    store, now, stalled = _store(), time.time(), stalled_seconds()
    migration = Migration(
        store,
        lambda record: origin(model, record),
        lambda summary: shown_state(summary, now, stalled) == "running",
        dry_run,
    )
    console = output.stderr()
    run_ids = track(_run_ids(store, ""), "runs", console=console, disable=not console.is_terminal)
    outcomes = [migration.migrate(run_id) for run_id in run_ids]
    if not dry_run:
        Summaries(store).read()  # whoever reads next finds the index of summaries renewed
    if json:
        output.print_json([output.plain(outcome) for outcome in outcomes])
    else:
        print("\n".join(output.migration_lines(outcomes, dry_run)))
    for outcome in outcomes:
        if outcome.waits:
            print(f"catwalk: {outcome.run_id} still runs: migrate again when it has ended", file=sys.stderr)
        if outcome.damaged:
            _complain(f"{outcome.run_id} stays as it is: {outcome.damaged}")
    raise typer.Exit(int(any(outcome.damaged for outcome in outcomes)))


Reason = Annotated[str, typer.Option(help="Why, for the history.", show_default=False)]
By = Annotated[str, typer.Option(help="Who; default: CATWALK_BY, else the user of this shell.", show_default=False)]


@app.command()
def promote(run: RunArgument, reason: Reason, by: By = "", json: Json = False) -> None:
    """Put a run's model into service, whatever the gate has said."""
    from catwalk.ledger.champion import Champions

    chosen = _resolve(run)
    _report_change(Champions(chosen.store).promote_by_hand(chosen, by or _person(), _given(reason)), json)


@app.command()
def rollback(reason: Reason, by: By = "", model: Model = "", json: Json = False) -> None:
    """Put back the model that the champion has replaced; once more goes one further back."""
    from catwalk.ledger.champion import Champions

    store = _store()
    champion = _champion(store, model)
    _report_change(Champions(store).rollback(champion.model, by or _person(), _given(reason)), json)


def _given(reason: str) -> str:
    if not reason.strip():
        raise CatwalkError("--reason is empty; say why, for whoever reads the history")
    return reason.strip()


def _person() -> str:
    """Who changes the champion: `CATWALK_BY`, or whoever has called sudo, or this shell's user.

    Raises:
        CatwalkError: nobody can tell; within a container everybody is the image's one user.
    """
    import getpass

    from catwalk.clients.environment import in_container

    named = os.environ.get("CATWALK_BY")
    if named or not in_container():
        try:
            return named or os.environ.get("SUDO_USER") or getpass.getuser()
        except (OSError, KeyError):
            pass
    raise CatwalkError("it can't be told who you are; say so with --by or CATWALK_BY, for whoever reads the history")


def _report_change(champion: ChampionRecord, json: bool) -> None:
    from catwalk.cli import output

    _announce(champion)
    if json:
        output.print_json(output.plain(champion))
        return
    before = f" in place of {champion.previous}" if champion.previous else ""
    print(f"{champion.model}: run {champion.run_id} is in service{before}, by {champion.by}: {champion.reason}")


def _announce(champion: ChampionRecord) -> None:
    """Tells Airflow, where one is configured, of a champion that is in service already."""
    from catwalk.clients.airflow_api import AirflowApi, AirflowError

    airflow = AirflowApi.from_environment()
    try:
        if airflow:
            airflow.announce(champion)
    except AirflowError as error:
        print(f"catwalk: {champion.run_id} is in service, but Airflow was not told: {error}", file=sys.stderr)


@app.command()
def fetch(
    out: Annotated[Path, typer.Option(help="File to write, a folder for it, or - for standard output.")] = Path(
        "model.safetensors"
    ),
    model: Model = "",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    json: Json = False,
) -> None:
    """Download the champion's model, verified by its sha256."""
    from catwalk.cli import output

    _check_stdout(out, json)
    target = out / "model.safetensors" if out.is_dir() else out
    if target != terminal.STDOUT and target.exists() and not force:
        raise CatwalkError(f"{target} exists; --force replaces it")
    champion, _, body = _champion_model(model)
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


@app.command()
def predict(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="One input each, such as a picture; - reads one from standard input.",
            show_default=False,
        ),
    ],
    invert: Annotated[
        Literal["auto", "yes", "no"],
        typer.Option(help="Turn a picture into its negative; auto does so where it is not as those of the training."),
    ] = "auto",
    model: Model = "",
    json: Json = False,
) -> None:
    """Say what the champion makes of each file (its top three); one that can't be read stops no other."""
    from catwalk.cli import output

    champion, run, body = _champion_model(model)
    reader = _reader(run)
    seen = [(path, _seen(reader, path, invert)) for path in files]
    answers = _answers(run, body, [found for _, found in seen if not isinstance(found, str)])
    told = [(path, found if isinstance(found, str) else next(answers)) for path, found in seen]
    if json:
        guesses = [{"image": str(path), **_guess(answer)} for path, answer in told]
        output.print_json({"run_id": champion.run_id, "model": champion.model, "predictions": guesses})
    else:
        for path, answer in told:
            if not isinstance(answer, str):
                print(f"{path}: " + ", ".join(f"{name} {share:.1%}" for name, share in answer))
    raise typer.Exit(int(any(isinstance(answer, str) for _, answer in told)))


def _reader(run: Run) -> Readable:
    from catwalk.cli import trainables
    from catwalk.trainable import Readable, of_model

    found = of_model(run.record, trainables.default())
    if not isinstance(found, Readable):
        raise CatwalkError(f"{found.reference} can't read a file: it has no method `read`")
    return found


def _seen(reader: Readable, path: Path, invert: Invert) -> Arrays | str:
    """What is in a file, or why the champion can't be asked about it, which is said at once."""
    try:
        return reader.read(path, invert)
    except CatwalkError as error:
        _complain(str(error))
        return str(error)


def _answers(run: Run, body: bytes, inputs: Sequence[Arrays]) -> Iterator[Answer]:
    """One a file; where there is none, the model is not loaded for nothing."""
    if not inputs:
        return iter(())
    from catwalk.cli import trainables
    from catwalk.cli.prediction import top_classes
    from catwalk.trainable import of_model

    return iter(top_classes(of_model(run.record, trainables.default()), run.record, body, inputs, count=3))


def _guess(answer: Answer | str) -> dict[str, Any]:
    if isinstance(answer, str):
        return {"error": answer}
    return {"classes": [{"class": name, "probability": share} for name, share in answer]}


@app.command()
def doctor(json: Json = False) -> None:
    """Check every part, and say what to do about what is wrong."""
    from catwalk.cli import output
    from catwalk.cli.doctor import examine

    checks = []
    for check in examine():
        checks.append(check)
        if not json:
            output.show(output.check_line(check))
    if json:
        output.print_json([check.to_dict() for check in checks])
    raise typer.Exit(int(any(check.verdict == "FAIL" for check in checks)))


@app.command()
def alerts(
    receiver: Annotated[
        str, typer.Argument(metavar="RECEIVER", help="With --test: whose ways; default: all.", show_default=False)
    ] = "",
    test: Annotated[
        bool, typer.Option("--test", help="Send a test notification by each way, and say what came back.")
    ] = False,
    history: Annotated[bool, typer.Option("--history", help="Show what was told before as well.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Notifications of the history to look at, at most.")] = 50,
    json: Json = False,
) -> None:
    """Show what fires now, and with --history what was told before."""
    from catwalk.cli import alert_table, output
    from catwalk.clients.alertmanager import AlertmanagerError, active_alerts
    from catwalk.clients.courier import told
    from catwalk.clients.environment import part_url

    if test or receiver:
        _test_notifications(receiver, json, test and not history)
    kept = told(part_url("courier"), limit) if history else None
    try:
        firing, unheard = active_alerts(part_url("alertmanager")), None
    except AlertmanagerError as error:
        if kept is None:
            raise
        firing, unheard = None, error  # what was told is known all the same
    if json:
        output.print_json({"firing": firing and [alert.to_dict() for alert in firing], **(kept or {})})
    elif firing is not None:
        output.show(alert_table.firing(firing, time.time()), *([""] if kept else []))
    if kept and not json:
        output.show(alert_table.history(alert_table.episodes_of(kept["notifications"])))
    if unheard:
        raise unheard


def _test_notifications(receiver: str, json: bool, meant: bool) -> None:
    from catwalk.cli import output
    from catwalk.cli.drill import drill
    from catwalk.clients.environment import part_url

    if not meant:
        raise CatwalkError("RECEIVER goes with --test, and --test with nothing but RECEIVER and --json")
    outcomes = []
    for outcome in drill(part_url("alertmanager"), part_url("courier"), receiver):
        outcomes.append(outcome)
        if not json:
            failed = "" if outcome.delivered else "failed: "
            print(f"{f'{outcome.receiver}: {outcome.way}':<22}  {failed}{outcome.said}", flush=True)
    if json:
        output.print_json([outcome.to_dict() for outcome in outcomes])
    raise typer.Exit(int(not all(outcome.delivered for outcome in outcomes)))


@app.command()
def silence(
    minutes: Annotated[float | None, typer.Option(help="For how long, at most a week.", show_default=False)] = None,
    reason: Annotated[str, typer.Option(help="Why, for whoever looks at the silence.", show_default=False)] = "",
    by: By = "",
    end: Annotated[bool, typer.Option("--end", help="The planned work is over: alerts are told again.")] = False,
    json: Json = False,
) -> None:
    """Announce planned work: for so long, no alert is told and nobody is called out.

    The next `make up` ends it too. Alerts that still fire afterwards are told then.
    """
    from catwalk.cli import output
    from catwalk.cli.planned_work import Chain
    from catwalk.clients.environment import part_url

    chain = Chain(part_url("alertmanager"), part_url("courier"))
    if end:
        if minutes is not None or reason:
            raise CatwalkError("--end takes neither --minutes nor --reason")
        ended = chain.end()
        output.print_json({"ended": ended}) if json else print(_ended(ended))
        return
    seconds, why = _planned_seconds(minutes), _given(reason)
    _announce_work(chain, seconds, f"{why} ({by or _person()})")
    until = time.time() + seconds
    if json:
        output.print_json({"until": until, "reason": why})
    else:
        print(f"silent until {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(until))} UTC, or `catwalk silence --end`")


def _announce_work(chain: Chain, seconds: float, reason: str) -> None:
    from dataclasses import replace

    try:
        chain.announce(seconds, reason)
    except CatwalkError:
        with suppress(CatwalkError):  # half announced, the dead-man watch would be deaf and nobody would know
            replace(chain, alertmanager_url="").end()
        raise


def _planned_seconds(minutes: float | None) -> float:
    if minutes is None or not 0 < minutes <= 7 * 1440:
        raise CatwalkError("--minutes says for how long: more than 0, at most 10080 (a week)")
    return 60 * minutes


def _ended(silences: int) -> str:
    return "alerts are told again" if silences else "nothing was announced; alerts are told"


@app.command()
def replay(
    run: RunArgument,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write Prometheus blocks into this folder, whatever the run's age; - writes OpenMetrics to standard "
            "output, for promtool on another machine.",
            show_default=False,
        ),
    ] = None,
    model: Model = "",
    json: Json = False,
) -> None:
    """Send a run's metrics to Prometheus once more, from the ledger in S3.

    A run that ended in the last twelve hours goes by StatsD, stamped now. An older one becomes Prometheus blocks at
    its true time.
    """
    from catwalk.cli import output
    from catwalk.replay.replay import as_openmetrics
    from catwalk.replay.replay import replay as replay_run

    _check_stdout(out, json)
    found = _resolve(run, model)
    if out == terminal.STDOUT:
        terminal.put(as_openmetrics(found).encode())
        return
    result = replay_run(found, _observed_ledger()[1], out, time.time())
    if json:
        output.print_json(result.to_dict())
    else:
        print(result.sentence)


def _store() -> Store:
    from catwalk.storage.store import Store

    return Store.from_environment()


def _resolve(name: str, model: str = "") -> Run:
    """The run that a person means.

    Raises:
        CatwalkError: none, or more than one.
    """
    from catwalk.errors import DamagedError
    from catwalk.ledger.runs import RUN_ID, Run

    store = _store()
    if name == "champion":
        return Run(store, _champion(store, model).run_id)
    if RUN_ID.fullmatch(name):
        run = Run(store, name)
        with suppress(DamagedError):  # for the command to name
            _ = run.record  # raises where there is no such run
        return run
    found = _run_ids(store, "" if name == "latest" else name)
    if not found:
        raise CatwalkError(
            "there are no runs yet" if name == "latest" else f"no run begins with {name!r}; `catwalk runs` lists them"
        )
    if len(found) > 1 and name != "latest":
        raise CatwalkError(
            f"{len(found)} runs begin with {name!r}, such as {found[-1]} and {found[-2]}; give more of the id"
        )
    return Run(store, found[-1])


def _run_ids(store: Store, prefix: str) -> list[str]:
    """Ids that begin so, oldest first. Summaries are listed, not runs: they are one object a run."""
    from catwalk.ledger.runs import RUN_ID

    if not re.fullmatch(r"[0-9a-fTZ-]*", prefix):
        return []
    keys = [entry.key.removeprefix("summaries/").removesuffix(".json") for entry in store.list(f"summaries/{prefix}")]
    return [key for key in keys if RUN_ID.fullmatch(key)]


def _champion(store: Store, model: str) -> ChampionRecord:
    from catwalk.cli import trainables
    from catwalk.ledger.champion import Champions

    champions = Champions(store)
    models = champions.models()
    chosen = model or (models[0] if len(models) == 1 else trainables.default_model())
    found = champions.get(chosen) if chosen in models else None
    if found is None:
        known = f"; champions there are: {', '.join(models)} (--model)" if models else ""
        which = f"{chosen} has no champion yet: no run of it has shipped" if chosen else "no model is named"
        raise CatwalkError(f"{which}{known}")
    return found[0]


def _champion_model(model: str) -> tuple[ChampionRecord, Run, bytes]:
    """The champion, its run, and its verified weights."""
    from catwalk.ledger.champion import champion_weights
    from catwalk.ledger.runs import Run

    store = _store()
    champion = _champion(store, model)
    return champion, Run(store, champion.run_id), champion_weights(store, champion)


def _write(target: Path, body: bytes) -> None:
    from catwalk.files import write_whole

    try:
        write_whole(target, body)
    except OSError as error:
        raise CatwalkError(
            f"{target} can't be written: {error.strerror}; name another file with --out, or - for standard output"
        ) from error


if __name__ == "__main__":
    main()
