"""Fleet: every model in one table, first the one that needs a look most.

It reads what rules hold of the exporter's families (prometheus/rules/exporter.recording.yml): what an exporter said
last of its models stays while it is away, beside what another one says of others, and nothing is looked back for.
"""

from __future__ import annotations

from grafana import board, words
from grafana.panels import LOOK, About, joined, link, mapped, query, run_links, tile
from grafana.queries import outcome, service_state
from grafana.sources import sources
from grafana.transformations import Column

_INFO, _RUN, _DECISION, _DUE, _PROMOTED = (
    f"exporter:{name}:held"
    for name in (
        "model_info",
        "last_run_started_timestamp_seconds",
        "last_decision_timestamp_seconds",
        "next_run_due_timestamp_seconds",
        "champion_promoted_timestamp_seconds",
    )
)
_UNREAD = "on (job, instance) exporter:ledger_unread:info"
_WRAPPED = {"type": "auto", "wrapText": True}
"""A cell that shows all of a long name: the ends tell models apart."""
_LOOKED_AT = 5
"""From this value of `ATTENTION` on, nothing needs a look."""


def _models(selector: str) -> str:
    return f"group by (model) ({selector})"


def _firing(severity: str, where: str = 'model!=""') -> str:
    return f'ALERTS{{alertstate="firing", severity=~"{severity}", area!="", {where}}}'


def _one(value: str, labels: str) -> str:
    """A series a model: of what two exporters say of the same ledger, one; the later, of times."""
    return f"topk by (model) (1, max by (model, {labels}) ({value}))"


_IN_USE, _OUT_OF_USE = (f'{_INFO}{{retired="{said}"}}' for said in ("false", "true"))
_WRONG = f'{_RUN}{{state=~"failed|lost|stalled|untested"}}'
_GRACE = 'model:threshold:last{name="schedule_grace_seconds"}'
KNOWN = f"({_models(_INFO)} or {_models(_RUN)})"
RETIRED = _models(_OUT_OF_USE)
WAITS = f"({_models(_IN_USE)} unless {_models(_RUN)})"
NO_DATA = f"({_models(f'{_INFO} and {_UNREAD}')} unless {_models(f'{_INFO} unless {_UNREAD}')})"
WENT_WRONG = f"({_models(_WRONG)} unless {RETIRED})"
OVERDUE = f'(time() - max by (model) ({_DUE}{{model!=""}}) > on (model) {_GRACE})'
_LOOKS = {
    0: _firing("critical"),
    1: NO_DATA,
    2: _firing("warning"),
    3: WENT_WRONG,
    4: OVERDUE,
    5: WAITS,
    7: RETIRED,
    6: KNOWN,  # all others are fine
}
ATTENTION = " or ".join(f"{value} * {_models(which)}" for value, which in _LOOKS.items())
"""The first that holds of a model; words.FLEET has their names."""
SERVICE = service_state()
STANDING = f"2 * {RETIRED} or {WAITS} or 0 * {KNOWN}"
DESCRIPTION = _one(_INFO, "kind, owner, schedule")
LAST_RUN = f"1000 * {_one(_RUN, 'run_id, state')}"
DECISION = outcome(_one(_DECISION, "decision, reason"))
DUE = f'1000 * max by (model) ({_DUE}{{model!=""}})'
CHAMPION_AGE = f"time() - max by (model) ({_PROMOTED})"
FIRING = f"count by (model) (group by (model, alertname) ({_firing('critical|warning')}))"
GRAVEST = _one(f"2 * {_firing('critical')} or {_firing('warning')}", "alertname")

_NONE = "0 * max(exporter:store_up:held == 1)"
"""Nought, where a ledger was read and rules are evaluated."""
IN_USE_COUNT = f"count({KNOWN} unless {RETIRED}) or {_NONE}"
RETIRED_COUNT = f"count({RETIRED})"
LOOK_COUNT = f"count(({ATTENTION}) < {_LOOKED_AT}) or {_NONE}"
OVERDUE_COUNT = f"count({OVERDUE}) or {_NONE}"
FIRING_COUNT = (
    f"count(group by (model, alertname) ({_firing('critical|warning', '')}))"
    ' or 0 * max(ALERTS{alertname="Watchdog", alertstate="firing"})'
)

_UNKNOWN = "not known: no ledger was read, or no rule is evaluated."
_PLACE = "&${__url_time_range}&${datasource:queryparam}"
_MODEL = "${__data.fields.Model:percentencode}"
_OF_MODEL = [
    link("Home", f"/d/catwalk-home?var-model={_MODEL}{_PLACE}"),
    link("Model health", f"/d/catwalk-model?var-model={_MODEL}{_PLACE}"),
    link("Service", f"/d/catwalk-service?var-model={_MODEL}{_PLACE}"),
    link("Owner, limits and links", f"${{exporter}}/models#model-{_MODEL}", elsewhere=True),
]
_RUNBOOK = link("Runbook", "${courier}/runbooks/${__value.raw}", elsewhere=True)

DASHBOARD = board.board(
    "catwalk-fleet",
    "Catwalk: fleet",
    "Which of all models needs a look, and why?",
    [board.place("exporter"), board.place("courier")],
    [],
    [
        tile(
            About("Models", "How many models are known, and how many of them are out of use?", _UNKNOWN, "none", 4, 4),
            query(IN_USE_COUNT, legend="in use", now=True),
            query(RETIRED_COUNT, "B", "retired", now=True),
            named=True,
        ),
        tile(
            About(
                "Need a look",
                "On how many models does an alert fire, was the last run no good, is a run overdue, or is nothing "
                "measured?",
                _UNKNOWN,
                "none",
                5,
                4,
            ),
            query(LOOK_COUNT, now=True),
            alarming=LOOK,
        ),
        tile(
            About(
                "Overdue",
                "How many models wait for a run that their schedule has called for, and longer than their grace?",
                _UNKNOWN,
                "none",
                4,
                4,
            ),
            query(OVERDUE_COUNT, now=True),
            alarming=LOOK,
        ),
        tile(
            About(
                "Alerts firing",
                "How many critical alerts and warnings fire, those about no single model included?",
                "no alert rule is evaluated.",
                "none",
                5,
                4,
            ),
            query(FIRING_COUNT, now=True),
            alarming=LOOK,
        ),
        sources("exporter", width=6),
        joined(
            About(
                "Every model",
                "Which model needs a look first, and how does it stand? Last run: scheduled or by hand; times that "
                "have passed under next due are overdue. The gravest of the alerts that fire is named.",
                "no model is known.",
                "none",
                24,
                20,
            ),
            "model",
            [
                query(ATTENTION, "A", table=True),
                query(DESCRIPTION, "B", table=True),
                query(LAST_RUN, "C", table=True),
                query(DUE, "D", table=True),
                query(DECISION, "E", table=True),
                query(CHAMPION_AGE, "F", table=True),
                query(FIRING, "G", table=True),
                query(GRAVEST, "H", table=True),
                query(STANDING, "I", table=True),
                query(SERVICE, "J", table=True),
            ],
            [
                Column("Value #A", "Look", {**mapped(words.FLEET), "custom.width": 100, "custom.align": "left"}),
                Column("model", "Model", {"links": _OF_MODEL, "custom.minWidth": 140, "custom.cellOptions": _WRAPPED}),
                Column("owner", "Owner", {"custom.width": 105}),
                Column("Value #G", "Firing", {"custom.width": 60}),
                Column("alertname", "Gravest alert", {"links": [_RUNBOOK], "custom.minWidth": 205}),
                Column("Value #J", "Service", {**mapped(words.SERVICE), "custom.width": 90, "custom.align": "left"}),
                Column("state", "Last run", {**mapped(words.STATES), "custom.width": 85}),
                Column("Value #C", "Started", {"unit": "dateTimeFromNow", "custom.width": 115}),
                Column("Value #D", "Next due", {"unit": "dateTimeFromNow", "custom.width": 95}),
                Column("outcome", "Last decision", {**mapped(words.OUTCOMES), "custom.minWidth": 260}),
                Column("Value #F", "Champion's age", {"unit": "s", "decimals": 0, "custom.width": 105}),
                Column("Value #I", "State", {**mapped(words.STANDING), "custom.width": 65, "custom.align": "left"}),
                Column("kind", "Kind", {"custom.width": 90}),
                Column("schedule", "Schedule", {"custom.width": 130}),
                Column("run_id", "Run", run_links("__data.fields.Model")),
            ],
            order="Look",
        ),
    ],
    {},
)
"""As JSON."""
