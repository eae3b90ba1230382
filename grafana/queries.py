"""PromQL that several dashboards need.

Grafana floors a range's end to a whole step and asks for one instant a step. What lies between two of them, or after
the last, would not be shown. So what happens is counted by rules (prometheus/rules/dashboards.recording.yml) and summed
over whole steps, and each step looks ahead: the point at its beginning stands for all of it, and the last one reaches
to now.
"""

from __future__ import annotations

STEP = "[$__interval] offset -$__interval"
"""The step that begins at a point. The one that has just begun is there too, as far as it has come."""
REMEMBERED = "7d"
"""How long what the exporter said last still counts as known."""
OTHER_HEADLINE = f'last_over_time(catwalk_metric_info{{model="$model", headline="true", unit!="ratio"}}[{REMEMBERED}])'
"""What a model is judged by, if that is no share."""
STATSD_EXPORTER = 'job="statsd_exporter"'


def of_part(label: str, part: str) -> str:
    """A matcher of what is said of a part; the exporter's name in the release before is in Prometheus' memory too."""
    return f'{label}=~"exporter|registry"' if part == "exporter" else f'{label}="{part}"'


def counted(counter: str, where: str = "", by: str = "") -> str:
    """How much a counter has grown in each step, the first event of a series included; nothing where it has not.

    Args:
        counter: its name; prometheus/rules/dashboards.recording.yml counts it.
        where: further label matchers.
        by: labels to keep.
    """
    return f"{_sum(by)} (sum_over_time({_growth(counter, where)}{STEP}))"


def counted_in_a_day(counter: str, where: str = "") -> str:
    """How much a counter of statsd_exporter has grown in the last 24 hours.

    0 is claimed only while statsd_exporter is scraped and counted, and if at most 30 scrapes of the day failed.
    """
    up = f"up{{{STATSD_EXPORTER}}}"
    watched = f"max(count_over_time({up}[1d]) - sum_over_time({up}[1d]) <= 30 and {up} == 1"
    watched += " and on (job, instance) job:process_start_time_seconds:last)"  # else the rules are not there
    return f"sum(sum_over_time({_growth(counter, where)}[1d])) or 0 * {watched}"


def mean(histogram: str, where: str = "", by: str = "") -> str:
    """Mean of what a histogram has seen in each step; nothing where it has seen nothing."""
    return f"{counted(f'{histogram}_sum', where, by)} / {counted(f'{histogram}_count', where, by)}"


def worst(aggregation: str, gauge: str, by: str = "") -> str:
    """The least (`min`) or most (`max`) that a gauge has shown in each step, so that no outage is skipped."""
    keep = f" by ({by})" if by else ""
    return f"{aggregation}{keep} ({aggregation}_over_time({gauge}{STEP}))"


def known(selector: str) -> str:
    """What a target says now; while it says nothing of this, what it said last."""
    return f"({selector} or last_over_time({selector}[{REMEMBERED}]) unless on () {selector})"


def newest_champion() -> str:
    """The run that was promoted last, as far as it is known: while the exporter is silent, two may be remembered."""
    promoted = f'catwalk_champion_promoted_timestamp_seconds{{model="$model"}}[{REMEMBERED}]'
    return f"topk(1, max by (run_id) (last_over_time({promoted})))"


def service_state(where: str = "") -> str:
    """How each model's service stands, as `grafana.words.SERVICE` says it; nothing of a model that has none.

    Args:
        where: label matchers.
    """
    info = f"catwalk_service_info{{{where}}}"
    told = {
        3: _service_alert("ServiceSilent", where),
        4: _service_alert("ServiceErrors", where),
        5: f"(group by (model) (last_over_time({info}[{REMEMBERED}])) unless group by (model) ({info}))",
        1: _service_alert("ServiceInputDrifted|ServicePredictionsShifted", where),
        2: _service_alert("Service.+", where, 'severity!="info"'),
        0: f"group by (model) ({info})",
    }
    return " or ".join(f"{state} * {models}" for state, models in told.items())


def _service_alert(names: str, *where: str) -> str:
    """The models of which one of these alerts fires."""
    matchers = ", ".join(filter(None, ('alertstate="firing"', f'alertname=~"{names}"', 'model!=""', *where)))
    return f"group by (model) (ALERTS{{{matchers}}})"


def in_service(family: str, where: str = "") -> str:
    """A figure of the version in service, as far as it is known.

    Args:
        family: that has it by role.
        where: further label matchers.
    """
    of_champion = ", ".join(filter(None, ('model="$model", role="champion"', where)))
    figure = f"last_over_time({family}{{{of_champion}}}[{REMEMBERED}])"
    return f"({figure} and on (run_id) {newest_champion()})"


def of_other_headline(expr: str, on: str = "") -> str:
    """An expression where the model is judged by what is no share, such as an error in its own unit; else nothing.

    Args:
        on: ``metric`` if the expression is of every metric, to keep that one.
    """
    return f"({expr} and on ({on}) {OTHER_HEADLINE})"


def headline_in_service() -> str:
    """By metric, what the version in service is judged by, if that is no share."""
    return f"max by (metric) {of_other_headline(in_service('catwalk_model_metric'), on='metric')}"


def headline_of_test(runs: str) -> str:
    """By run, the same of its test.

    Args:
        runs: label matchers of the runs.
    """
    tested = f'last_over_time(run:metric:last{{{runs}, split="test"}}[$__range])'
    return f"max by (run_id) {of_other_headline(tested, on='metric')}"


def of_share(expr: str) -> str:
    """An expression unless the model is judged by something other than a share, so that it may be shown in per cent."""
    return f"({expr} unless on () {OTHER_HEADLINE})"


def started(starts: str, measured: str) -> str:
    """Starts of runs in milliseconds, of those that have a figure: a time alone is nothing that could be drawn."""
    return f"{starts} and on (run_id) {measured}"


def by_epoch(where: str, window: str) -> str:
    """The chosen metric after each epoch, whether it has a family of its own or travels by its name.

    Args:
        where: label matchers.
        window: within which it is looked for.
    """
    named = f'last_over_time(ml_epoch_metric{{{where}, metric="$metric"}}{window})'
    loss, accuracy = (
        f'label_replace(last_over_time({family}{{{where}}}{window}), "metric", "{name}", "", "")'
        for name, family in (("loss", "ml_epoch_loss"), ("accuracy", "ml_epoch_accuracy_ratio"))
    )
    return f'({named} or ({loss} or {accuracy}) and on (metric) label_replace(vector(1), "metric", "$metric", "", ""))'


def outcome(decision: str) -> str:
    """What was decided and why in one label, since one reason may ship, or would if it might.

    Args:
        decision: series with the labels decision and reason.
    """
    return f'label_join({decision}, "outcome", " ", "decision", "reason")'


def parameters(where: str, window: str) -> str:
    """Parameters of runs, a series each with the labels run_id, name and value: numbers and texts alike.

    Args:
        where: label matchers.
        window: within which they are looked for.
    """
    numbers = f"max by (run_id, name) (last_over_time(catwalk_run_parameter{{{where}}}{window}))"
    texts = f"max by (run_id, name, value) (last_over_time(catwalk_run_setting{{{where}}}{window}))"
    return f'count_values by (run_id, name) ("value", {numbers}) or {texts}'


def not_scraped_seconds(jobs: str) -> str:
    """For how long each job has not been scraped: 0 while it is, Unix time itself if it never was.

    Args:
        jobs: pattern of their names.
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
