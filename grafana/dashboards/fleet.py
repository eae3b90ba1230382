"""Fleet: every model in one table, sorted by urgency.

It reads held series of the exporter (prometheus/rules/exporter.recording.yml): the models of an exporter stay visible
while it is down, beside those of another one, and no query looks back.
"""

from __future__ import annotations

from grafana import board, words
from grafana.panels import LOOK, RUN_ID, WRAPPED, About, hidden_run_id, joined, link, mapped, query, run_links, tile
from grafana.queries import outcome, service_state
from grafana.sources import sources
from grafana.transformations import Column

_INFO, _RUN, _DECISION, _DUE = (
    f"exporter:{name}:held"
    for name in (
        "model_info",
        "last_run_started_timestamp_seconds",
        "last_decision_timestamp_seconds",
        "next_run_due_timestamp_seconds",
    )
)
_UNREAD = "on (job, instance) exporter:ledger_unread:info"
_LOOKED_AT = 5
"""From this value of `ATTENTION` on, a model needs no attention."""


def _models(selector: str) -> str:
    return f"group by (model) ({selector})"


def _firing(severity: str, where: str = 'model!=""') -> str:
    return f'ALERTS{{alertstate="firing", severity=~"{severity}", area!="", {where}}}'


def _one(value: str, labels: str) -> str:
    """One series a model, even if two exporters read the same ledger; the later one of times."""
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
    6: KNOWN,  # all others
}
ATTENTION = " or ".join(f"{value} * {_models(which)}" for value, which in _LOOKS.items())
"""The first condition that applies to a model; words.FLEET has their names."""
SERVICE = service_state()
OWNER = _one(_INFO, "owner")
LAST_RUN = f"time() - {_one(_RUN, 'run_id, state')}"
DECISION = outcome(_one(_DECISION, "decision, reason"))
DUE = f'1000 * max by (model) ({_DUE}{{model!=""}})'
FIRING = f"count by (model) (group by (model, alertname) ({_firing('critical|warning')}))"
GRAVEST = _one(f"2 * {_firing('critical')} or {_firing('warning')}", "alertname")

_NONE = "0 * max(exporter:store_up:held == 1)"
"""0 if a ledger was read and rules are evaluated."""
IN_USE_COUNT = f"count({KNOWN} unless {RETIRED}) or {_NONE}"
RETIRED_COUNT = f"count({RETIRED})"
LOOK_COUNT = f"count(({ATTENTION}) < {_LOOKED_AT}) or {_NONE}"
OVERDUE_COUNT = f"count({OVERDUE}) or {_NONE}"
FIRING_COUNT = (
    f"count(group by (model, alertname) ({_firing('critical|warning', '')}))"
    ' or 0 * max(ALERTS{alertname="Watchdog", alertstate="firing"})'
)

_UNKNOWN = "not known: no ledger, or no rules."
_PLACE = "&${__url_time_range}&${datasource:queryparam}"
_MODEL = "${__data.fields.Model:percentencode}"
_OF_MODEL = [
    link("Home", f"/d/catwalk-home?var-model={_MODEL}{_PLACE}"),
    link("Model health", f"/d/catwalk-model?var-model={_MODEL}{_PLACE}"),
    link("Service", f"/d/catwalk-service?var-model={_MODEL}{_PLACE}"),
    link("Owner, limits and links", f"${{exporter}}/models#model-{_MODEL}", elsewhere=True),
]
_OF_RUN = run_links("__data.fields.Model", f"__data.fields.{RUN_ID}")
_RUNBOOK = link("Runbook", "${courier}/runbooks/${__value.raw}", elsewhere=True)

DASHBOARD = board.board(
    "catwalk-fleet",
    "Catwalk: fleet",
    "Which models need attention, and why?",
    [board.place("exporter"), board.place("courier")],
    [],
    [
        tile(
            About("Models", "How many models are in use, and how many are retired?", _UNKNOWN, "none", 4, 4),
            query(IN_USE_COUNT, legend="in use", now=True),
            query(RETIRED_COUNT, "B", "retired", now=True),
            named=True,
        ),
        tile(
            About(
                "Need attention",
                "How many models have a firing alert, a failed last run, an overdue run, or no data?",
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
                "How many models are late with a scheduled run, by more than their grace period?",
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
                "How many critical alerts and warnings are firing, including those about no single model?",
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
                "Which model needs attention first, and what is its state? Last run: scheduled or manual, and how long "
                "ago it started. A past time under Next due is overdue. Top alert: the most severe one that is firing. "
                "A model's name links to its other dashboards, and to its kind, schedule and limits.",
                "no model is known.",
                "none",
                24,
                20,
            ),
            "model",
            [
                query(ATTENTION, "A", table=True),
                query(OWNER, "B", table=True),
                query(LAST_RUN, "C", table=True),
                query(DUE, "D", table=True),
                query(DECISION, "E", table=True),
                query(FIRING, "F", table=True),
                query(GRAVEST, "G", table=True),
                query(SERVICE, "H", table=True),
            ],
            [
                Column("Value #A", "Status", {**mapped(words.FLEET), "custom.width": 112, "custom.align": "left"}),
                Column("model", "Model", {"links": _OF_MODEL, "custom.minWidth": 120, "custom.cellOptions": WRAPPED}),
                Column("owner", "Owner", {"custom.width": 85}),
                Column("Value #F", "Firing", {"custom.width": 52}),
                Column("alertname", "Top alert", {"links": [_RUNBOOK], "custom.width": 205}),
                Column("Value #H", "Service", {**mapped(words.SERVICE), "custom.width": 90, "custom.align": "left"}),
                Column("state", "Last run", {**_OF_RUN, **mapped(words.STATES), "custom.width": 85}),
                Column("Value #C", "Started", {"unit": "s", "decimals": 1, "custom.width": 78}),
                Column("Value #D", "Next due", {"unit": "dateTimeFromNow", "custom.width": 95}),
                Column("outcome", "Last decision", {**mapped(words.BRIEFLY), "custom.width": 150}),
                hidden_run_id(),
            ],
            order="Status",
        ),
    ],
    {},
)
"""The dashboard as JSON."""
