"""PromQL that several dashboards need.

Grafana rounds the end of a range down to a whole step and queries one instant a step, which misses what lies between
two of them and after the last. So rules count events (prometheus/rules/dashboards.recording.yml), panels sum them over
whole steps, and each step looks ahead: the point at its beginning stands for all of it, and the last step reaches the
present.
"""

from __future__ import annotations

STEP = "[$__interval] offset -$__interval"
"""The step that begins at a point. The step that has just begun counts too, as far as it has come."""
_RATE = "[$__rate_interval] offset -$__interval"
"""The same for rates. A service that was started a minute ago has one at every range."""
REMEMBERED = "7d"
"""How long the exporter's last word still counts as known."""
OTHER_HEADLINE = f'last_over_time(catwalk_metric_info{{model="$model", headline="true", unit!="ratio"}}[{REMEMBERED}])'
"""The headline of a model, if it isn't a share."""
_FAR = 3
"""Tukey's "far out": in distances of the quartiles from each other."""
STATSD_EXPORTER = 'job="statsd_exporter"'


def of_part(label: str, part: str) -> str:
    """A matcher for a part. Prometheus also remembers the name that the exporter had in the previous release."""
    return f'{label}=~"exporter|registry"' if part == "exporter" else f'{label}="{part}"'


def counted(counter: str, where: str = "", by: str = "") -> str:
    """How much a counter has grown in each step, the first event of a series included; empty where it hasn't.

    Args:
        counter: Its name; prometheus/rules/dashboards.recording.yml counts it.
        where: Further label matchers.
        by: The labels to keep.
    """
    return f"{_sum(by)} (sum_over_time({_growth(counter, where)}{STEP}))"


def counted_in_a_day(counter: str, where: str = "") -> str:
    """How much a counter of statsd_exporter has grown in the last 24 hours.

    It is 0 only while statsd_exporter is scraped and counted, and if at most 30 scrapes of the day failed.
    """
    up = f"up{{{STATSD_EXPORTER}}}"
    watched = f"max(count_over_time({up}[1d]) - sum_over_time({up}[1d]) <= 30 and {up} == 1"
    watched += " and on (job, instance) job:process_start_time_seconds:last)"  # otherwise the rules are missing
    return f"sum(sum_over_time({_growth(counter, where)}[1d])) or 0 * {watched}"


def mean(histogram: str, where: str = "", by: str = "") -> str:
    """Mean of a histogram's observations in each step; empty where it has none."""
    return f"{counted(f'{histogram}_sum', where, by)} / {counted(f'{histogram}_count', where, by)}"


def worst(aggregation: str, gauge: str, by: str = "") -> str:
    """The minimum (`min`) or maximum (`max`) of a gauge in each step, so that no outage is skipped."""
    keep = f" by ({by})" if by else ""
    return f"{aggregation}{keep} ({aggregation}_over_time({gauge}{STEP}))"


def rate(counter: str, by: str = "") -> str:
    """The rate of a counter in each step, per second."""
    return f"{_sum(by)} (rate({counter}{_RATE}))"


def known(selector: str) -> str:
    """The current value of a target's series or, while it has none, the last one."""
    return f"({selector} or last_over_time({selector}[{REMEMBERED}]) unless on () {selector})"


def newest_champion() -> str:
    """The run that was promoted last, as far as known: while the exporter is silent, Prometheus may remember two."""
    promoted = f'catwalk_champion_promoted_timestamp_seconds{{model="$model"}}[{REMEMBERED}]'
    return f"topk(1, max by (run_id) (last_over_time({promoted})))"


def service_state(where: str = "") -> str:
    """The state of each model's service, as a key of `grafana.words.SERVICE`; empty for a model without a service.

    Args:
        where: Label matchers.
    """
    info = f"catwalk_service_info{{{where}}}"
    states = {
        3: _service_alert("ServiceSilent", where),
        4: _service_alert("ServiceErrors", where),
        5: f"(group by (model) (last_over_time({info}[{REMEMBERED}])) unless group by (model) ({info}))",
        1: _service_alert("ServiceInputDrifted|ServicePredictionsShifted", where),
        2: _service_alert("Service.+", where, 'severity!="info"'),
        0: f"group by (model) ({info})",
    }
    return " or ".join(f"{state} * {models}" for state, models in states.items())


def _service_alert(names: str, *where: str) -> str:
    """The models for which one of these alerts is firing."""
    matchers = ", ".join(filter(None, ('alertstate="firing"', f'alertname=~"{names}"', 'model!=""', *where)))
    return f"group by (model) (ALERTS{{{matchers}}})"


def in_service(family: str, where: str = "") -> str:
    """A value of the version in service, as far as known.

    Args:
        family: The metric, which has the label `role`.
        where: Further label matchers.
    """
    of_champion = ", ".join(filter(None, ('model="$model", role="champion"', where)))
    figure = f"last_over_time({family}{{{of_champion}}}[{REMEMBERED}])"
    return f"({figure} and on (run_id) {newest_champion()})"


def of_other_headline(expr: str, on: str = "") -> str:
    """An expression for a model whose headline isn't a share, such as an error in its own unit; otherwise empty.

    Args:
        on: ``metric`` if the expression has every metric, to keep the headline.
    """
    return f"({expr} and on ({on}) {OTHER_HEADLINE})"


def headline_in_service() -> str:
    """The headline of the version in service, with the label `metric`, if it isn't a share."""
    return f"max by (metric) {of_other_headline(in_service('catwalk_model_metric'), on='metric')}"


def metric_of_test(runs: str) -> str:
    """The metrics of each run's test, with the labels run_id and metric: as recorded, or of a test that has just ended.

    Args:
        runs: Label matchers of the runs, and of the metric.
    """
    recorded = f"last_over_time(run:test_metric:last{{{runs}}}[$__range])"
    return f'max by (run_id, metric) ({recorded} or run:metric:last{{{runs}, split="test"}})'


def headline_of_test(runs: str) -> str:
    """The headline of each run's test, if it isn't a share.

    Args:
        runs: Label matchers of the runs.
    """
    return f"max by (run_id) {of_other_headline(metric_of_test(runs), on='metric')}"


def of_share(expr: str) -> str:
    """An expression for a model whose headline is a share, which can be shown in per cent."""
    return f"({expr} unless on () {OTHER_HEADLINE})"


def points(share: str) -> str:
    """A difference of shares in percentage points."""
    return f"100 * ({share})"


def text(values: str, label: str, by: str, digits: float = 0.0001, unit: str = "") -> str:
    """Numbers as texts in a label, rounded and with their unit: a table's column can have many units that way."""
    told = f'count_values by ({by}) ("{label}", round({values}, {digits:g}))'
    return f'label_replace({told}, "{label}", "$1 {unit}", "{label}", "(.+)")' if unit else told


def gap_bounds(low: str, high: str, by: str) -> str:
    """The bounds of gaps as one text, in the label `bounds`: in points such as `-0.52 to 1.1`, or as the headline."""
    shares = _bounds(points(of_share(low)), points(of_share(high)), by, 0.01)
    return f"{shares} or {_bounds(of_other_headline(low), of_other_headline(high), by, 0.0001)}"


def _bounds(low: str, high: str, by: str, digits: float) -> str:
    texts = (text(low, "low", by, digits), text(high, "high", by, digits))
    return f'label_join({f" * on ({by}) group_left (high) ".join(texts)}, "bounds", " to ", "low", "high")'


def far_off(values: str, goal: str = "maximize", beside: str = "") -> str:
    """Where an axis ends, so that values far worse than the others don't flatten all; empty if there are none.

    They lie beyond the quartiles by more than three times the distance between these, which needs five values or more.

    Args:
        goal: Whether the values should be large (``maximize``) or small (``minimize``).
        beside: Other lines of the chart, which stay in sight.
    """
    finite = f"(({values}) < 1e300 > -1e300)"  # otherwise NaN counts as the smallest
    low, high = (f"quantile({share}, {finite})" for share in (0.25, 0.75))
    if goal == "maximize":
        end, name, aggregation, most = f"{1 + _FAR} * {low} - {_FAR} * {high} > min({values})", "min", "min", "1e300"
    else:
        end, name, aggregation, most = f"{1 + _FAR} * {high} - {_FAR} * {low} < max({values})", "max", "max", "-1e300"
    if beside:
        end = f"clamp_{'max' if name == 'min' else 'min'}({end}, scalar({aggregation}({beside}) or vector({most})))"
    return _end(name, end)


def far_off_goal(values: str, beside: str = "") -> str:
    """The same for the selected metric; empty if its goal is unknown."""
    asked = f'last_over_time(catwalk_metric_info{{model="$model", metric="$metric", goal="%s"}}[{REMEMBERED}])'
    ends = (f"{far_off(values, goal, beside)} and on () {asked % goal}" for goal in ("maximize", "minimize"))
    return " or ".join(ends)


def far_above(values: str, usual: str) -> str:
    """Where an axis ends: above twice the largest usual value and the smallest one; empty if no value is larger.

    Args:
        values: What is compared with the usual, some of which must be in sight.
        usual: The usual values.
    """
    largest = f"max(({usual}) < 1e300)"
    smallest = f"scalar(1.2 * min(({values}) < 1e300) or vector(-1e300))"
    return _end("max", f"clamp_min({largest} + abs({largest}) < max({values}), {smallest})")


def _end(name: str, value: str) -> str:
    return f'label_replace({value}, "end", "{name}", "", "")'


def with_name(expr: str) -> str:
    """An expression by run_id, with the label `run`: when the run was created, without year and seconds, and 4 digits.

    A run_id that looks different is its own name.
    """
    parts = r"[0-9]{4}(..)(..)T(..)(..)..Z-(....).*"
    itself = f'label_replace({expr}, "run", "$1", "run_id", "(.*)")'
    return f'label_replace({itself}, "run", "$1-$2 $3:$4 $5", "run_id", "{parts}")'


def series(**parts: str) -> str:
    """One expression of several, each with its name in the label `series`; an underscore stands for a blank."""
    named = (f'label_replace({expr}, "series", "{name.replace("_", " ")}", "", "")' for name, expr in parts.items())
    return " or ".join(named)


def for_each_run(value: str, runs: str) -> str:
    """One value, such as the champion's, repeated for the runs of an expression."""
    return f"0 * {runs} + on () group_left () max({value})"


def by_epoch(where: str, window: str) -> str:
    """The selected metric after each epoch, whether it has a family of its own or is a label of the general one.

    Args:
        where: Label matchers.
        window: How far to look back.
    """
    named = f'last_over_time(ml_epoch_metric{{{where}, metric="$metric"}}{window})'
    loss, accuracy = (
        f'label_replace(last_over_time({family}{{{where}}}{window}), "metric", "{name}", "", "")'
        for name, family in (("loss", "ml_epoch_loss"), ("accuracy", "ml_epoch_accuracy_ratio"))
    )
    return f'({named} or ({loss} or {accuracy}) and on (metric) label_replace(vector(1), "metric", "$metric", "", ""))'


def outcome(decision: str) -> str:
    """Decision and reason in one label, because a reason may ship, or only say that the run would have shipped.

    Args:
        decision: Series with the labels decision and reason.
    """
    return f'label_join({decision}, "outcome", " ", "decision", "reason")'


def parameters(where: str, window: str) -> str:
    """Parameters of runs, a series each with the labels run_id, name and value, whether number or text.

    Args:
        where: Label matchers.
        window: How far to look back.
    """
    numbers = f"max by (run_id, name) (last_over_time(catwalk_run_parameter{{{where}}}{window}))"
    texts = f"max by (run_id, name, value) (last_over_time(catwalk_run_setting{{{where}}}{window}))"
    return f'count_values by (run_id, name) ("value", {numbers}) or {texts}'


def not_scraped_seconds(jobs: str) -> str:
    """For how long each job hasn't been scraped: 0 while it is, the current Unix time if it never was.

    Args:
        jobs: A pattern for their names.
    """
    down = f'(min by (job) (up{{job=~"{jobs}"}}) == 0)'
    scraped = "last_over_time(job:scraped_timestamp_seconds:last"
    former = f'label_replace({scraped}{{job="registry"}}[{REMEMBERED}]), "job", "exporter", "", "")'
    last = f'max by (job) ({scraped}{{job=~"{jobs}"}}[{REMEMBERED}]) or {former})'
    return f'time() - {last} and {down} or time() * ({down} == bool 0) or min by (job) (up{{job=~"{jobs}"}}) - 1'


def _sum(by: str) -> str:
    return f"sum by ({by})" if by else "sum"


def _growth(counter: str, where: str) -> str:
    return f'job:counter:growth{{counter="{counter}"{f", {where}" if where else ""}}}'
