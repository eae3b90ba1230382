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
            help="With --test: the receiver to test, or one of its integrations (growth/slack); default: all.",
            show_default=False,
        ),
    ] = "",
    test: Annotated[
        bool, typer.Option("--test", help="Send a test notification through each integration, and show the results.")
    ] = False,
    history: Annotated[bool, typer.Option("--history", help="Show past notifications too.")] = False,
    owner: Annotated[str, typer.Option(help="Only alerts on this owner's models.", show_default=False)] = "",
    limit: Annotated[int, typer.Option(min=1, help="Read at most this many past notifications.")] = 50,
    json: Json = False,
) -> None:
    """Show the firing alerts, and past notifications with --history."""
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
    """Whether to show an alert to an owner. Every owner sees the Watchdog, which shows that alerts can arrive."""
    from catwalk.clients.episodes import WATCHDOGS

    return not owner or spelling(labels.get("owner", "")) == spelling(owner) or labels.get("alertname") in WATCHDOGS


def _firing() -> tuple[list[ActiveAlert] | None, CatwalkError | None]:
    """The firing alerts, or why they are unknown: the history may be known all the same."""
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
        raise CatwalkError("RECEIVER needs --test, and --test takes only RECEIVER and --json")
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
    minutes: Annotated[float | None, typer.Option(help="Duration, at most a week.", show_default=False)] = None,
    reason: Annotated[str, typer.Option(help="Shown with the silence.", show_default=False)] = "",
    by: By = "",
    end: Annotated[bool, typer.Option("--end", help="End the planned work: notifications resume.")] = False,
    json: Json = False,
) -> None:
    """Announce planned work: no notifications and no callouts for that time.

    The next `make up` ends it too. Alerts that are still firing then send their notifications.
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
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(until))
        print(f"silenced until {moment} UTC; `catwalk silence --end` ends it")


def _announce_work(chain: Chain, seconds: float, reason: str) -> None:
    from dataclasses import replace

    try:
        chain.announce(seconds, reason)
    except CatwalkError:
        with suppress(CatwalkError):  # half announced, the dead-man watch would be off and no one would know
            replace(chain, alertmanager_url="").end()
        raise


def _planned_seconds(minutes: float | None) -> float:
    if minutes is None or not 0 < minutes <= 7 * 1440:
        raise CatwalkError("--minutes is required: more than 0, at most 10080 (a week)")
    return 60 * minutes


def _ended(silences: int) -> str:
    return "notifications are on again" if silences else "no planned work was announced; notifications are on"
