"""Stories of models in service: what is asked, what is answered, how fast. The expected figures are numpy's."""

from __future__ import annotations

import math
from collections.abc import Mapping

from catwalk.service import shift
from tests.prometheus.scenario import (
    OLDER,
    RUN,
    Alert,
    Scenario,
    constant,
    fires,
    has,
    scenario,
    series,
    silent,
)

DRIFTED = "5m"
"""Interval of stories that last for days."""
STEPS_AN_HOUR = 12
WARNING = {"severity": "warning", "area": "model", "model": "mlp"}
CRITICAL = {"severity": "critical", "area": "model", "model": "mlp"}
PAGE = "catwalk-service?var-model=mlp"
SERVED = {"model": "mlp", "version": RUN}
LEVEL, DISPERSION, FLOOR, GROSS = 4.0, 1.5, 0.03, 0.5
Counts = Mapping[str, float]


def served(name: str, instance: str = "service:1", **labels: str) -> str:
    """A series of a replica."""
    return series(name, instance=instance, **{**SERVED, **labels})


def rising(step: float, samples: int = 400, start: float = 0) -> str:
    """A counter."""
    return f"{start:g}+{step:g}x{samples}"


def known(reference: Counts, side: str = "input", feature: str = "age", samples: int = 400) -> dict[str, str]:
    """A feature's reference, as a replica shows it."""
    labels = {"side": side, "feature": feature}
    return {
        **{
            served("catwalk_reference_bin_examples", **labels, bin=name): constant(count, samples)
            for name, count in reference.items()
        },
        served("catwalk_reference_dispersion", **labels): constant(DISPERSION, samples),
        served("catwalk_reference_floor", **labels): constant(FLOOR, samples),
        served("catwalk_reference_level"): constant(LEVEL, samples),
    }


def asked(steps: Counts, side: str = "input", feature: str = "age", samples: int = 400) -> dict[str, str]:
    """A counter for each bin that rises by this step every five minutes."""
    return {
        served("catwalk_service_bin_total", side=side, feature=feature, bin=name): rising(step, samples)
        for name, step in steps.items()
    }


def hourly(steps: Counts, hours: float = 1) -> dict[str, float]:
    """What they add up to."""
    return {name: step * STEPS_AN_HOUR * hours for name, step in steps.items()}


def of(window: str, side: str = "input", feature: str = "age") -> str:
    """The labels of a recorded feature."""
    parts = {"feature": feature, **SERVED, "side": side, **({"window": window} if window else {})}
    return "{" + ", ".join(f'{name}="{value}"' for name, value in parts.items()) + "}"


def of_bin(name: str, window: str = "") -> str:
    """The labels of a recorded bin."""
    return of(window).replace("{", f'{{bin="{name}", ', 1)


def excess(sample: Counts, reference: Counts, floor: float = FLOOR) -> float:
    """The excess of a feature with these bins."""
    counts, held = (list(map(float, values.values())) for values in (sample, reference))
    free, weight = shift.degrees(counts, held), shift.evidence(counts, held)
    return float(shift.statistic(counts, held) / shift.limit(free, weight, floor, DISPERSION, LEVEL))


def rounded(value: float) -> float:
    """As scenarios compare values."""
    return math.floor(float(value) * 1e6 + 0.5) / 1e6


def drifted(feature: str, window: str) -> Alert:
    return Alert(
        {**WARNING, "retrain": "yes"},
        "mlp: the inputs of the service have drifted",
        "The inputs of mlp differ from its reference by more than chance allows, and by more than the smallest shift "
        f"that matters. The worst feature is {feature}, in the last {window}.",
        PAGE,
    )


def shifted(feature: str, window: str) -> Alert:
    return Alert(
        {**WARNING},
        "mlp: the answers of the service have shifted",
        "The answers of mlp differ from its reference by more than chance allows, and by more than the smallest shift "
        f"that matters. The worst feature is {feature}, in the last {window}.",
        PAGE,
    )


REFERENCE = {"..40": 400, "40..": 600, "missing": 0, "other": 0}
STEPS = {"..40": 2, "40..": 1, "missing": 0}
"""Every five minutes; no replica has shown `other`, which the reference has."""
DAY, HOUR = ({**hourly(STEPS, hours), "other": 0} for hours in (24, 1))
WINDOWS = {"day": (DAY, FLOOR), "hour": (HOUR, GROSS)}


def _figures() -> dict[str, dict[str, float]]:
    """Record → window → what numpy says."""
    found: dict[str, dict[str, float]] = {}
    held = list(REFERENCE.values())
    for window, (sample, floor) in WINDOWS.items():
        counts = list(sample.values())
        free, weight = float(shift.degrees(counts, held)), float(shift.evidence(counts, held))
        push = weight * floor / DISPERSION
        statistic = float(shift.statistic(counts, held))
        values = {
            "examples": sum(counts),
            "pooled": sum(counts) + sum(held),
            "degrees": free,
            "evidence": weight,
            "statistic": statistic,
            "shift": (statistic - free) / weight,
            "floor": floor,
            "noncentrality": push,
            "spread": 2 / 9 * (free + 2 * push) / (free + push) ** 2,
            "limit": float(shift.limit(free, weight, floor, DISPERSION, LEVEL)),
        }
        for name, value in values.items():
            found.setdefault(name, {})[window] = value
    found["excess"] = {"day": excess(DAY, REFERENCE)}  # 36 in an hour are too few
    return found


FIGURES = [
    scenario(
        "a day of traffic: every figure is numpy's, and a bin that no replica has shown is 0",
        {**known(REFERENCE), **asked(STEPS)},
        has("model:service_bin:increase1h", "24h", {of_bin(name): value for name, value in hourly(STEPS).items()}),
        has("model:reference_bin:last", "24h", {of_bin(name): value for name, value in REFERENCE.items()}),
        has(
            "model:service_bin:window",
            "24h",
            {of_bin(name, window): value for window, (sample, _) in WINDOWS.items() for name, value in sample.items()},
        ),
        has(
            "model:service_bin:pooled",
            "24h",
            {
                of_bin(name, window): value + REFERENCE[name]
                for window, (sample, _) in WINDOWS.items()
                for name, value in sample.items()
            },
        ),
        has("model:reference_feature:examples", "24h", {of(""): 1_000}),
        has("model:reference_feature:dispersion", "24h", {of(""): DISPERSION}),
        has("model:reference_level:last", "24h", {f'{{model="mlp", version="{RUN}"}}': LEVEL}),
        *(
            has(
                f"model:service_feature:{name}", "24h", {of(window): rounded(value) for window, value in values.items()}
            )
            for name, values in _figures().items()
        ),
        interval=DRIFTED,
    ),
    scenario(
        "two replicas are added up, of which one starts again in the third hour",
        {
            **known(REFERENCE),
            served("catwalk_service_bin_total", side="input", feature="age", bin="..40"): "0+2x30 0+2x400",
            served("catwalk_service_bin_total", "service:2", side="input", feature="age", bin="..40"): rising(3),
        },
        has("model:service_bin:increase1h", "3h", {of_bin("..40"): 57.818182}),
        has("model:service_bin:increase1h", "6h", {of_bin("..40"): 60}),
        interval=DRIFTED,
    ),
    scenario(
        "a hole of half an hour within an hour is bridged",
        {
            **known(REFERENCE),
            served("catwalk_service_bin_total", side="input", feature="age", bin="..40"): "0+2x26 _x6 66+2x400",
        },
        has("model:service_bin:increase1h", "3h", {of_bin("..40"): 24}),
        interval=DRIFTED,
    ),
    scenario(
        "a service without requests has no figure, and no alert",
        {**known(REFERENCE), **asked(dict.fromkeys(REFERENCE, 0))},
        has("model:service_feature:examples", "24h", {of("day"): 0, of("hour"): 0}),
        has("model:service_feature:shift", "24h", {}),
        has("model:service_feature:excess", "24h", {}),
        silent("ServiceInputDrifted", "26h"),
        interval=DRIFTED,
    ),
]

ALL_LOW = {"..40": 1, "40..": 0, "missing": 0, "other": 0}
"""Twelve an hour: only a day is enough of them. 192 by hour 16, 204 by hour 17."""
GROSS_96 = {"..40": 8, "40..": 0, "missing": 0, "other": 0}
GROSS_108 = {"..40": 9, "40..": 0, "missing": 0, "other": 0}
CLEAN = {"..40": 4, "40..": 6, "missing": 0, "other": 0}
NEAR = {"..40": 5, "40..": 6, "missing": 0, "other": 0}
"""A shift above chance, and below the least that matters."""


def _gone(told: dict[str, str], after: int) -> dict[str, str]:
    """The same series, which end."""
    return {name: f"{text.rpartition('x')[0]}x{after}" for name, text in told.items()}


DRIFT = [
    scenario(
        "a shift in little traffic: an alarm once a day has 200 examples, and an hour later",
        {**known(REFERENCE), **asked(ALL_LOW), **known(REFERENCE, feature="height"), **asked(CLEAN, feature="height")},
        has('model:service_feature:excess{feature="age"}', "16h30m", {}),
        has(
            'model:service_feature:excess{feature="age"}',
            "17h30m",
            {of("day"): rounded(excess(hourly(ALL_LOW, 17), REFERENCE))},
        ),
        silent("ServiceInputDrifted", "17h55m"),
        fires("ServiceInputDrifted", "18h", drifted("age", "day")),
        silent("ServicePredictionsShifted", "20h"),
        interval=DRIFTED,
    ),
    scenario(
        "a gross shift of 96 examples an hour is not asked of the hour",
        {**known(REFERENCE), **asked(GROSS_96)},
        has("model:service_feature:excess", "1h30m", {}),
        silent("ServiceInputDrifted", "3h55m"),
        fires("ServiceInputDrifted", "4h", drifted("age", "day")),
        interval=DRIFTED,
    ),
    scenario(
        "a gross shift of 108 examples an hour is: two hours after its begin",
        {**known(REFERENCE), **asked(GROSS_108)},
        has(
            "model:service_feature:excess", "1h30m", {of("hour"): rounded(excess(hourly(GROSS_108), REFERENCE, GROSS))}
        ),
        silent("ServiceInputDrifted", "1h50m"),
        fires("ServiceInputDrifted", "2h", drifted("age", "day")),
        interval=DRIFTED,
    ),
    scenario(
        "traffic like the reference, and a shift that does not matter, raise no alarm",
        {
            **known(REFERENCE),
            **asked(CLEAN),
            **known(REFERENCE, feature="height"),
            **asked(NEAR, feature="height"),
            **known(REFERENCE, side="prediction", feature="score"),
            **asked(CLEAN, side="prediction", feature="score"),
        },
        silent("ServiceInputDrifted", "12h"),
        silent("ServiceInputDrifted", "30h"),
        silent("ServicePredictionsShifted", "30h"),
        interval=DRIFTED,
    ),
    scenario(
        "answers shift, and inputs do not",
        {
            **known(REFERENCE),
            **asked(CLEAN),
            **known(REFERENCE, side="prediction", feature="class"),
            **asked(GROSS_108, side="prediction", feature="class"),
        },
        silent("ServicePredictionsShifted", "1h50m"),
        fires("ServicePredictionsShifted", "2h", shifted("class", "day")),
        silent("ServiceInputDrifted", "20h"),
        interval=DRIFTED,
    ),
    scenario(
        "several features drift in one alarm, which stays for a day when the version has gone",
        _gone(
            {
                **known(REFERENCE),
                **asked(GROSS_108),
                **known(REFERENCE, feature="height"),
                **asked(GROSS_96, feature="height"),
            },
            36,
        ),
        fires("ServiceInputDrifted", "2h55m", drifted("age", "day")),
        fires(
            "ServiceInputDrifted",
            "27h",
            drifted("age", "day"),
        ),
        silent("ServiceInputDrifted", "28h"),
        interval=DRIFTED,
    ),
]


def requests(
    per_step: float, errors: float = 0, le: Mapping[str, float] | None = None, samples: int = 200
) -> dict[str, str]:
    """Requests of a service, every ten seconds: all of them, those that fail, and those within each bound."""
    bounds = {"1.0": per_step, **(le or {}), "+Inf": per_step}
    return {
        served("catwalk_service_duration_seconds_count"): rising(per_step, samples),
        served("catwalk_service_errors_total"): rising(errors, samples),
        **{
            served("catwalk_service_duration_seconds_bucket", le=bound): rising(count, samples)
            for bound, count in bounds.items()
        },
    }


def failing(share: str) -> Alert:
    return Alert(
        {**CRITICAL},
        f"mlp: {share} of the service's requests fail",
        f"{share} of the requests to mlp in the last 10 minutes ended in an error.",
        PAGE,
    )


def slow(seconds: str) -> Alert:
    return Alert(
        {**WARNING},
        f"mlp: one in a hundred of the service's requests takes more than {seconds}",
        f"The 99th percentile of the requests to mlp in the last 10 minutes is {seconds}.",
        PAGE,
    )


def full(share: str) -> Alert:
    return Alert(
        {**WARNING},
        f"mlp: the service uses {share} of its memory",
        f"A replica of mlp uses {share} of the memory that it may use. If it needs more than that, the kernel kills "
        "it.",
        PAGE,
    )


def memory(*used: float) -> dict[str, str]:
    """Memory of replicas that may use 1,000 bytes each."""
    told = {}
    for number, value in enumerate(used, start=1):
        told[served("catwalk_service_memory_bytes", f"service:{number}")] = constant(value)
        told[served("catwalk_service_memory_limit_bytes", f"service:{number}")] = constant(1_000)
    return told


OWN_LIMITS = {
    series("catwalk_threshold", model="mlp", name="service_error_ratio"): constant(0.5),
    series("catwalk_threshold", model="mlp", name="service_duration_seconds"): constant(5),
}
LABELS = '{model="mlp"}'

HEALTH = [
    scenario(
        "5.2 % of the requests fail",
        requests(10, 0.52),
        silent("ServiceErrors", "5m"),
        fires("ServiceErrors", "15m", failing("5.2%")),
        has("model:service_requests:increase10m", "20m", {LABELS: 600}),
        has("model:service_errors:increase10m", "20m", {LABELS: 31.2}),
    ),
    scenario(
        "4.9 % of the requests fail",
        requests(10, 0.49),
        silent("ServiceErrors", "30m"),
    ),
    scenario(
        "half of the requests fail of a service that is hardly asked",
        requests(0.16, 0.08),
        silent("ServiceErrors", "30m"),
    ),
    scenario(
        "a few more requests are enough",
        requests(0.18, 0.09),
        fires("ServiceErrors", "20m", failing("50%")),
    ),
    scenario(
        "a model with limits of its own may fail and be slow",
        {**requests(10, 1, {"1.0": 9, "2.5": 10}), **OWN_LIMITS},
        silent("ServiceErrors", "30m"),
        silent("ServiceSlow", "30m"),
    ),
    scenario(
        "half of the requests fail, and are slow, of a service whose model the ledger does not know",
        {**requests(10, 5, {"1.0": 9.8, "2.5": 10}), series("catwalk_model_info", model="churn"): constant(1)},
        fires("ServiceErrors", "20m", failing("50%")),
        fires("ServiceSlow", "20m", slow("1.75s")),
    ),
    scenario(
        "one in fifty requests takes two seconds",
        requests(10, 0, {"1.0": 9.8, "2.5": 10}),
        silent("ServiceSlow", "5m"),
        fires("ServiceSlow", "20m", slow("1.75s")),
        has("model:service_duration_seconds:p99_10m", "20m", {LABELS: 1.75}),
    ),
    scenario(
        "a little more than a second is over it",
        requests(10, 0, {"1.0": 9.896, "2.5": 10}),
        fires("ServiceSlow", "20m", slow("1.058s")),
    ),
    scenario(
        "nearly a second is not over it",
        requests(10, 0, {"0.5": 9, "1.0": 10}),
        silent("ServiceSlow", "30m"),
    ),
    scenario(
        "96 slow requests in ten minutes are too few to tell",
        requests(1.6, 0, {"1.0": 0.8, "2.5": 1.6}),
        silent("ServiceSlow", "30m"),
    ),
    scenario(
        "108 are not",
        requests(1.8, 0, {"1.0": 0.9, "2.5": 1.8}),
        fires("ServiceSlow", "20m", slow("2.47s")),
    ),
    scenario(
        "of two replicas one is nearly out of memory",
        memory(300, 920),
        silent("ServiceMemoryHigh", "4m50s"),
        fires("ServiceMemoryHigh", "6m", full("92%")),
        has("model:service_memory:ratio", "6m", {LABELS: 0.92}),
    ),
    scenario(
        "88 % of the memory is no alarm",
        memory(880),
        silent("ServiceMemoryHigh", "30m"),
    ),
]


def made(text: str) -> dict[str, str]:
    """Predictions ever made, every five minutes."""
    return {served("catwalk_service_predictions_total"): text}


def quiet(usual: int) -> Alert:
    return Alert(
        {**CRITICAL},
        "mlp: the service makes no predictions",
        f"mlp has made no prediction for an hour, in which it usually makes {usual}: the service is down, gets no "
        "requests, or is not scraped.",
        PAGE,
    )


def champion(run_id: str) -> dict[str, str]:
    return {series("catwalk_champion_info", model="mlp", run_id=run_id): constant(1)}


def replica(number: int, version: str = RUN) -> dict[str, str]:
    """One that answers by a version."""
    return {served("catwalk_service_info", f"service:{number}", version=version, origin="test"): constant(1)}


def stale(replicas: int) -> Alert:
    return Alert(
        {**WARNING, "version": RUN},
        "mlp: the service answers with a version other than the champion",
        f"{replicas} replicas of mlp answer with version {RUN}, which is not the champion.",
        PAGE,
    )


def refusing(number: int, minutes: str) -> dict[str, str]:
    """A replica that could not load the previous version, a sample each minute."""
    return {served("catwalk_server_model_refused", f"service:{number}", version=OLDER): minutes}


def refused(replicas: int) -> Alert:
    return Alert(
        {**WARNING, "version": OLDER},
        "mlp: servers refuse the version that should answer",
        f"{replicas} replicas of mlp could not load version {OLDER}. The previous version, if there is one, keeps "
        "answering.",
        PAGE,
    )


HOURS_26, A_DAY = 26 * 12, 24 * 12
RETIRED = {series("catwalk_model_info", model="mlp", retired="true"): constant(1, 3_000)}
"""Hours of a week, in steps of five minutes."""
WEEK = 7 * A_DAY

PRESENCE = [
    scenario(
        "a service that made 108 predictions an hour is gone",
        made(rising(9, HOURS_26)),
        has("model:service_predictions:increase1h", "24h", {LABELS: 108}),
        silent("ServiceSilent", "26h30m"),
        fires("ServiceSilent", "28h", quiet(108)),
        interval=DRIFTED,
    ),
    scenario(
        "it is up, and gets no requests",
        made(f"{rising(9, HOURS_26)} {9 * HOURS_26}+0x200"),
        silent("ServiceSilent", "27h15m"),
        fires("ServiceSilent", "28h", quiet(108)),
        interval=DRIFTED,
    ),
    scenario(
        "96 an hour are too few to miss",
        made(rising(8, HOURS_26)),
        silent("ServiceSilent", "28h"),
        interval=DRIFTED,
    ),
    scenario(
        "a service that is asked less than yesterday is not silent",
        made(f"{rising(9, HOURS_26)} {9 * HOURS_26}+1x200"),
        silent("ServiceSilent", "30h"),
        interval=DRIFTED,
    ),
    scenario(
        "its model was retired",
        {**made(rising(9, HOURS_26)), **RETIRED},
        silent("ServiceSilent", "28h"),
        interval=DRIFTED,
    ),
    scenario(
        "a service that rested a week ago may rest, whatever was yesterday",
        made(f"0+0x{A_DAY} {rising(9, WEEK - A_DAY)} {9 * (WEEK - A_DAY)}+0x300"),
        silent("ServiceSilent", "178h"),
        interval=DRIFTED,
    ),
    scenario(
        "the champion has changed, and two replicas still serve the previous version",
        {**replica(1), **replica(2), **champion(OLDER)},
        silent("ServiceModelStale", "55m"),
        fires("ServiceModelStale", "1h5m", stale(2)),
        interval="1m",
    ),
    scenario(
        "every replica answers by the champion",
        {**replica(1), **replica(2), **champion(RUN)},
        silent("ServiceModelStale", "2h"),
        interval="1m",
    ),
    scenario(
        "two replicas of `catwalk serve` can't load the new champion",
        {**refusing(1, constant(1)), **refusing(2, constant(1))},
        silent("ServiceModelRefused", "1m"),
        fires("ServiceModelRefused", "3m", refused(2)),
        interval="1m",
    ),
    scenario(
        "the champion is put back, and nothing is refused any more",
        refusing(1, "1x4 _x200"),
        fires("ServiceModelRefused", "6m", refused(1)),
        silent("ServiceModelRefused", "15m"),
        interval="1m",
    ),
    scenario(
        "a model without a champion is served all the same",
        replica(1),
        silent("ServiceModelStale", "2h"),
        interval="1m",
    ),
]


def at_its_test(
    value: float, metric: str = "accuracy", goal: str = "maximize", headline: str = "true"
) -> dict[str, str]:
    """A metric of the champion's test, and whether it is the headline."""
    labels = {"model": "mlp", "metric": metric}
    return {
        series("catwalk_model_metric", role="champion", run_id=RUN, **labels): constant(value),
        series("catwalk_model_metric", role="latest", run_id=OLDER, **labels): constant(0.1),
        series("catwalk_metric_info", goal=goal, unit="", headline=headline, **labels): constant(1),
    }


def realised(
    low: float, high: float, labelled: int = 100, metric: str = "accuracy", window: str = "7d", version: str = RUN
) -> dict[str, str]:
    """The metrics of a version's labelled predictions."""
    of = {"model": "mlp", "version": version, "window": window}
    return {
        series("catwalk_realised_metric", **of, metric=metric, bound="low"): constant(low),
        series("catwalk_realised_metric", **of, metric=metric, bound="value"): constant((low + high) / 2),
        series("catwalk_realised_metric", **of, metric=metric, bound="high"): constant(high),
        series("catwalk_realised_predictions", **of): constant(labelled),
    }


WEEK_OF_RUN = {"model": "mlp", "version": RUN, "window": "7d"}


def inaccurate(by: str, metric: str = "accuracy") -> Alert:
    return Alert(
        {**CRITICAL, "version": RUN, "metric": metric},
        f"mlp: {metric} in service is surely worse than at its test",
        f"The labels of its predictions show that the {metric} of version {RUN} of mlp is worse than at its test, by "
        f"at least {by} of the test's value.",
        PAGE,
    )


def shortfall(value: float, metric: str = "accuracy", window: str = "7d") -> dict[str, float]:
    return {f'{{metric="{metric}", model="mlp", version="{RUN}", window="{window}"}}': value}


REALISED = [
    scenario(
        "a hundred labels say that the accuracy is surely 5.5 % below the test's",
        {**at_its_test(0.8), **realised(0.7, 0.756)},
        has("model:service_realised:shortfall", "2m", shortfall(0.055)),
        fires("ServiceAccuracyLow", "2m", inaccurate("5.5%")),
    ),
    scenario(
        "an alarm stays for a day after its last sign",
        {
            **at_its_test(0.8),
            **realised(0.7, 0.75),
            series("catwalk_realised_metric", **WEEK_OF_RUN, metric="accuracy", bound="high"): "0.756x12 0.79x1000",
        },
        fires("ServiceAccuracyLow", "24h55m", inaccurate("5.5%")),
        silent("ServiceAccuracyLow", "25h10m"),
        interval=DRIFTED,
    ),
    scenario(
        "it may be 4.5 % below",
        {**at_its_test(0.8), **realised(0.2, 0.764)},
        has("model:service_realised:shortfall", "2m", shortfall(0.045)),
        silent("ServiceAccuracyLow", "5m"),
    ),
    scenario(
        "99 labels are too few to say so",
        {**at_its_test(0.8), **realised(0.1, 0.4, 99)},
        silent("ServiceAccuracyLow", "5m"),
    ),
    scenario(
        "the last week is too little, and four weeks are enough",
        {**at_its_test(0.8), **realised(0.1, 0.9, 20), **realised(0.6, 0.7, 400, window="28d")},
        fires("ServiceAccuracyLow", "2m", inaccurate("12.5%")),
        has(
            "model:service_realised:shortfall",
            "2m",
            {**shortfall(-0.125), **shortfall(0.125, window="28d")},
        ),
    ),
    scenario(
        "another version than the champion is compared with no test",
        {**at_its_test(0.8), **realised(0.1, 0.2, version=OLDER)},
        has("model:service_realised:shortfall", "2m", {}),
        silent("ServiceAccuracyLow", "5m"),
    ),
    scenario(
        "an error is surely 6 % above the test's",
        {**at_its_test(-10, "mae", "minimize"), **realised(-9.4, 50, metric="mae")},
        has("model:service_realised:shortfall", "2m", shortfall(0.06, "mae")),
        fires("ServiceAccuracyLow", "2m", inaccurate("6%", "mae")),
    ),
    scenario(
        "an error of which a newer run that was held has made no headline is surely 6 % above the test's",
        {**at_its_test(-10, "mae", "minimize", headline="false"), **realised(-9.4, 50, metric="mae")},
        has("model:service_realised:shortfall", "2m", shortfall(0.06, "mae")),
        fires("ServiceAccuracyLow", "2m", inaccurate("6%", "mae")),
    ),
    scenario(
        "so is a share",
        {**at_its_test(0.8, headline="false"), **realised(0.7, 0.756)},
        has("model:service_realised:shortfall", "2m", shortfall(0.055)),
        fires("ServiceAccuracyLow", "2m", inaccurate("5.5%")),
    ),
    scenario(
        "a metric whose better direction is unknown has no limit",
        {**at_its_test(10, "mae", "", headline="true"), **realised(20, 50, metric="mae")},
        has("model:service_realised:shortfall", "10m", {}),
        silent("ServiceAccuracyLow", "10m"),
    ),
    scenario(
        "it may be 4 % above",
        {**at_its_test(10, "mae", "minimize"), **realised(10.4, 50, metric="mae")},
        silent("ServiceAccuracyLow", "5m"),
    ),
    scenario(
        "a model may be as much worse as it says",
        {
            **at_its_test(0.8),
            **realised(0.6, 0.7),
            series("catwalk_threshold", model="mlp", name="service_headline_ratio"): constant(0.2),
        },
        silent("ServiceAccuracyLow", "5m"),
    ),
]


LABEL_STEP, LABEL_STEPS_A_DAY, LABEL_STEPS = "20m", 3 * 24, 400
"""Everything that alerts on labels look at lasts an hour at least."""


def labels_at(seconds: float) -> dict[str, str]:
    """When the last one came."""
    return {series("catwalk_labels_last_timestamp_seconds", model="mlp"): constant(seconds, LABEL_STEPS)}


def logged(text: str) -> dict[str, str]:
    """Predictions at every step; dropped ones do not count."""
    return {
        served("catwalk_service_log_total", outcome="logged"): text,
        served("catwalk_service_log_total", outcome="dropped"): rising(7, LABEL_STEPS),
    }


def unlabelled(ago: str) -> Alert:
    return Alert(
        {**WARNING},
        f"mlp: no labels for {ago}",
        f"Predictions of mlp are logged, but the last label for one came {ago} ago: you don't know how good they are.",
        PAGE,
    )


LABELLED = [
    scenario(
        "the last label came three days and an hour ago",
        {**labels_at(3_600), **logged(rising(5, LABEL_STEPS))},
        has("model:service_logged:increase1d", "48h", {LABELS: 5 * LABEL_STEPS_A_DAY}),
        silent("ServiceLabelsMissing", "74h"),
        fires("ServiceLabelsMissing", "74h20m", unlabelled("3d 1h 20m 0s")),
        interval=LABEL_STEP,
    ),
    scenario(
        "nothing is logged any more",
        {**labels_at(0), **logged(f"{rising(5, LABEL_STEPS_A_DAY)} {5 * LABEL_STEPS_A_DAY}+0x{LABEL_STEPS}")},
        silent("ServiceLabelsMissing", "80h"),
        interval=LABEL_STEP,
    ),
    scenario(
        "no label ever came, or the last one yesterday",
        {**logged(rising(5, LABEL_STEPS))},
        silent("ServiceLabelsMissing", "80h"),
        interval=LABEL_STEP,
    ),
    scenario(
        "a model's truth comes by the week",
        {
            **labels_at(0),
            **logged(rising(5, LABEL_STEPS)),
            series("catwalk_threshold", model="mlp", name="service_labels_age_seconds"): constant(604_800, LABEL_STEPS),
        },
        silent("ServiceLabelsMissing", "100h"),
        interval=LABEL_STEP,
    ),
]


def retraining(**states: str) -> dict[str, str]:
    """What the courier reports about a model's retraining on request: state → its series, every ten seconds."""
    return {series("catwalk_retraining_state", model="mlp", state=state): text for state, text in states.items()}


OPEN = Alert(
    {**WARNING},
    "mlp: alerts can no longer start a retraining",
    "Retraining mlp on request has not helped, or Airflow did not start it. No alert can start a retraining until you "
    "find the cause and close the breaker.",
    PAGE,
)

RETRAINING = [
    scenario(
        "the breaker opens, and a person closes it",
        retraining(breaker="0x11 1x59 0x60", cooling="1x11 0x59 0x60", idle="0x11 0x59 1x60"),
        silent("RetrainingBreakerOpen", "2m50s"),
        fires("RetrainingBreakerOpen", "3m20s", OPEN),
        fires("RetrainingBreakerOpen", "11m50s", OPEN),
        silent("RetrainingBreakerOpen", "13m"),
    ),
    scenario(
        "the courier goes away while the breaker is open",
        retraining(breaker="1x12"),
        fires("RetrainingBreakerOpen", "16m", OPEN),
        silent("RetrainingBreakerOpen", "18m"),
    ),
    scenario(
        "a retraining that runs, waits or cools opens nothing",
        retraining(breaker="0x200", running="1x60 0x140", cooling="0x60 1x140"),
        silent("RetrainingBreakerOpen", "5m"),
        silent("RetrainingBreakerOpen", "30m"),
    ),
]

SCENARIOS: list[Scenario] = FIGURES + DRIFT + HEALTH + PRESENCE + REALISED + LABELLED + RETRAINING
