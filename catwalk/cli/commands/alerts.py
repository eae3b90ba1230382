"""``catwalk alerts`` and ``catwalk silence``."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from catwalk.cli.options import By, Json, given, person
from catwalk.errors import CatwalkError
from catwalk.ledger.model_names import spelling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from catwalk.clients.alertmanager import ActiveAlert
    from catwalk.clients.planned_work import Chain


def alerts(
    receiver: Annotated[
        str,
        typer.Argument(
            metavar="RECEIVER",
            help="With --test: whose ways, or which (growth/slack); default: all.",
            show_default=False,
        ),
    ] = "",
    test: Annotated[
        bool, typer.Option("--test", help="Send a test notification by each way, and say what came back.")
    ] = False,
    history: Annotated[bool, typer.Option("--history", help="Show what was told before as well.")] = False,
    owner: Annotated[
        str, typer.Option(help="Only what is about models that this owner answers for.", show_default=False)
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="Notifications of the history to look at, at most.")] = 50,
    json: Json = False,
) -> None:
    """Show what fires now, and with --history what was told before."""
    from catwalk.cli.tables import alert_table, output
    from catwalk.clients.courier import told
    from catwalk.clients.episodes import Notification, episodes
    from catwalk.environment.parts import part_url

    if test or receiver:
        _test_notifications(receiver, json, test and not history and not owner)
    kept = told(part_url("courier"), limit) if history else None
    firing, unheard = _firing()
    firing = firing and [alert for alert in firing if _concerns(owner, alert.labels)]
    if kept:
        kept["notifications"] = [one for one in kept["notifications"] if _concerns(owner, one["labels"])]
    if unheard and kept is None:
        raise unheard
    if json:
        output.print_json({"firing": firing and [alert.to_dict() for alert in firing], **(kept or {})})
    elif firing is not None:
        output.show(alert_table.firing(firing, time.time()), *([""] if kept else []))
    if kept and not json:
        output.show(alert_table.history(episodes(map(Notification.from_dict, kept["notifications"]))))
    if unheard:
        raise unheard


def _concerns(owner: str, labels: Mapping[str, str]) -> bool:
    """Whether an alert is to be shown to an owner; the Watchdog, which says that all else arrives, is to everybody."""
    from catwalk.clients.episodes import WATCHDOGS

    return not owner or spelling(labels.get("owner", "")) == spelling(owner) or labels.get("alertname") in WATCHDOGS


def _firing() -> tuple[list[ActiveAlert] | None, CatwalkError | None]:
    """What fires, or why that is unknown: what was told is known all the same."""
    from catwalk.clients.alertmanager import AlertmanagerError, active_alerts
    from catwalk.environment.parts import part_url

    try:
        return active_alerts(part_url("alertmanager")), None
    except AlertmanagerError as error:
        return None, error


def _test_notifications(receiver: str, json: bool, meant: bool) -> None:
    from catwalk.cli.drill import drill
    from catwalk.cli.tables import output
    from catwalk.environment.parts import part_url

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
    from catwalk.cli.tables import output
    from catwalk.clients.planned_work import Chain
    from catwalk.environment.parts import part_url

    chain = Chain(part_url("alertmanager"), part_url("courier"))
    if end:
        if minutes is not None or reason:
            raise CatwalkError("--end takes neither --minutes nor --reason")
        ended = chain.end()
        output.print_json({"ended": ended}) if json else print(_ended(ended))
        return
    seconds, why = _planned_seconds(minutes), given(reason)
    _announce_work(chain, seconds, f"{why} ({by or person()})")
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
