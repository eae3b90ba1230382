"""`python -m stack up|down|status|env`: the native stack on this machine."""

from __future__ import annotations

import shlex
import sys
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from catwalk.entry_point import entry_point
from catwalk.environment.caller import no_proxy, other_s3_settings
from stack.configuration.environment import client_environment
from stack.native import control, grafana_release
from stack.native.supervisor import Supervisor
from stack.parts.order import logins, parts
from stack.settings import Settings

app = typer.Typer(
    help=__doc__, no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)
console = Console(highlight=False, soft_wrap=True)
Parts = Annotated[str, typer.Option(help="only these parts, separated by commas, such as s3,prometheus")]


@app.command()
def up(only: Parts = "") -> None:
    """Starts all parts, and returns when all are healthy."""
    settings = Settings.from_environment()
    started = time.monotonic()
    names = [name for name in only.split(",") if name]
    if not names or "grafana" in names:
        grafana_release.provide(settings, console.print)
    control.up(settings, names or None, console.print)
    show(settings)
    console.print(f"everything is up after {time.monotonic() - started:.0f} s; `make down` stops it")


@app.command()
def down() -> None:
    """Stops all parts within 30 seconds, and leaves no process behind."""
    control.down(Settings.from_environment(), console.print)


@app.command()
def status() -> None:
    """Shows each part, its address and whether it is healthy; exits with 1 if one is not."""
    if not show(Settings.from_environment()):
        raise typer.Exit(1)


@app.command()
def env() -> None:
    """Prints the stack's environment for `eval "$(python -m stack env)"`, including secrets."""
    environment = client_environment(Settings.from_environment())
    for name in other_s3_settings(environment):
        print(f"unset {name}")
    for name, value in (environment | no_proxy(environment)).items():
        print(f"export {name}={shlex.quote(value)}")


def show(settings: Settings) -> bool:
    """Prints the table of parts; returns whether all those that should run are healthy."""
    states = Supervisor(settings).states()
    if not states:
        console.print("nothing is running; `make up` starts the stack")
        return False
    table = Table(box=None, pad_edge=False)
    for column in ("part", "state", "where"):
        table.add_column(column, no_wrap=True)
    well = True
    known = parts(settings)
    for part in (known[name] for name in known if name in states):
        healthy = states[part.name] == "RUNNING" and part.healthy()
        well &= healthy
        state = "healthy" if healthy else f"[red]{states[part.name].lower()}, not healthy[/]"
        table.add_row(part.name, state, part.url)
    for name in sorted(states.keys() - known.keys()):
        table.add_row(name, f"{states[name].lower()}, but no longer a part", "")
    console.print(table)
    for line in logins(settings):
        console.print(line)
    return well


@entry_point("stack")
def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    sys.exit(main())
