"""``catwalk report`` and ``catwalk compare``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from catwalk import extras
from catwalk.cli import terminal
from catwalk.cli.lookup import ledger_store, name_damaged, resolve
from catwalk.cli.options import Json, Model, Open, RunArgument
from catwalk.cli.terminal import complain
from catwalk.errors import CatwalkError

if TYPE_CHECKING:
    from catwalk.ledger.runs import Run
    from catwalk.report.build import Report
    from catwalk.report.comparison.differences import Comparison


Where = Annotated[
    list[str],
    typer.Option(
        metavar="'KEY OP VALUE'",
        help="Add the runs that meet this, such as 'test_accuracy >= 0.9'; repeatable, and they must meet all.",
        show_default=False,
    ),
]


Out = Annotated[
    Path | None,
    typer.Option(
        help="Also write report.html and figures/*.png into this folder; - writes the page to standard output.",
        show_default=False,
    ),
]


def report(run: RunArgument, show_it: Open = False, out: Out = None, model: Model = "", json: Json = False) -> None:
    """Rebuild a run's report from the ledger, and store it there."""
    from catwalk.clients.exporter import shown_at
    from catwalk.report.build import build, write
    from catwalk.stages.artifacts import reports

    terminal.check_stdout(out, json, show_it)
    found = resolve(run, model)
    built = build(found)
    reports.store(found, built)
    if out == terminal.STDOUT:
        terminal.put(built.html)
        return
    folder = out or (_temporary_folder("catwalk-report-") if show_it else None)
    page = write(built, folder) if folder else None
    url = shown_at(found.run_id)
    _say_what_was_built(found, built, page, url, json)
    if show_it and page:
        _show_in_browser(page, url and f" or {url}")


def _say_what_was_built(run: Run, built: Report, page: Path | None, url: str, json: bool) -> None:
    from catwalk.cli.tables import output

    if json:
        facts = {"run_id": run.run_id, "key": run.key("report.html"), "url": url, "bytes": len(built.html)}
        output.print_json({**facts, "file": page and str(page), "missing": built.missing})
        return
    stored = f"{run.store.url.rstrip('/')}/{run.key('report.html')}"
    print(f"{stored} ({len(built.html):,} bytes)" + (f", shown at {url}" if url else ""))
    if page:
        print(page)
    for name, sentence in built.missing.items():
        print(f"without {name.replace('_', ' ')}: {sentence}")


def _temporary_folder(prefix: str) -> Path:
    import tempfile

    try:
        return Path(tempfile.mkdtemp(prefix=prefix))
    except OSError as error:
        raise CatwalkError(f"can't create a temporary folder ({error.strerror}); name a folder with --out") from error


def _show_in_browser(page: Path, elsewhere: str = "") -> None:
    import webbrowser

    if not webbrowser.open(page.resolve().as_uri()):
        raise CatwalkError(f"can't start a browser; open {page}{elsewhere} yourself")


Compared = Annotated[
    list[str],
    typer.Argument(
        metavar="[RUN]...", help="Runs, named as for `show`; the first is the baseline.", show_default=False
    ),
]
Newest = Annotated[int, typer.Option(min=2, help="Take at most this many of the runs that --where finds, the newest.")]
ComparisonOut = Annotated[
    Path | None,
    typer.Option(
        help="Folder for report.html and figures/*.png; default: comparison/ in CATWALK_HOME. - writes the page alone "
        "to standard output.",
        show_default=False,
    ),
]


def compare(
    runs: Compared = [],  # noqa: B006
    where: Where = [],  # noqa: B006
    limit: Newest = 40,
    out: ComparisonOut = None,
    show_it: Open = False,
    model: Model = "",
    json: Json = False,
) -> None:
    """Compare runs with the first: curves, parameters, and which differences are more than noise."""
    from catwalk.report.comparison.differences import compare as compare_runs

    terminal.check_stdout(out, json, show_it)
    chosen = [resolve(name, model).run_id for name in runs]
    chosen += [run_id for run_id in _chosen_by(where, limit) if run_id not in chosen]
    comparison = compare_runs(ledger_store(), chosen)
    for entry in comparison.entries:
        if entry.record.why:
            complain(entry.record.why)
    if out == terminal.STDOUT:
        from catwalk.report.comparison.page import build

        terminal.put(build(comparison).html)
        return
    page, problem = _shown(comparison, out, json)
    if problem and (out or show_it):
        raise CatwalkError(problem)
    if problem:
        complain(f"no page was written: {problem}")
    if page and show_it:
        _show_in_browser(page)


def _shown(comparison: Comparison, out: Path | None, json: bool) -> tuple[Path | None, str]:
    """Prints how the runs differ, and writes the page; returns its path, or why there is none."""
    from catwalk.cli.tables import comparison_table, output

    if not json:
        output.show(*comparison_table.tables(comparison, output.width()))
    page, problem = _written(comparison, out)
    if json:
        output.print_json({**comparison_table.as_plain(comparison), "file": page and str(page)})
    elif page:
        print(f"\n{page}")
    return page, problem


def _written(comparison: Comparison, out: Path | None) -> tuple[Path | None, str]:
    """The page's path, or why there is none: a failure here must not lose the results."""
    from catwalk.environment.parts import home

    try:
        from catwalk.report.build import write
        from catwalk.report.comparison.page import build

        return write(build(comparison), out or home() / "comparison"), ""
    except (CatwalkError, OSError) as error:
        return None, str(error)
    except ModuleNotFoundError as error:
        return None, extras.complaint(error, "cli")


def _chosen_by(where: Sequence[str], limit: int) -> list[str]:
    """The newest runs that meet every condition, oldest first; none without a condition."""
    if not where:
        return []
    from catwalk.cli.tables import run_table
    from catwalk.ledger.summaries import Summaries, stalled_seconds

    conditions = [run_table.parts(text) for text in where]
    reader = Summaries(ledger_store())
    met, _ = run_table.meeting(conditions, reader.read(), time.time(), stalled_seconds())
    name_damaged(reader)
    return [row["run_id"] for row in met][-limit:]
