"""Stories of accuracy that is estimated without labels: its value, and when it can't be trusted."""

from __future__ import annotations

import math

from tests.prometheus.scenario import RUN, Alert, Expectation, Scenario, constant, fires, has, scenario, series, silent
from tests.prometheus.service_cases import (
    CLEAN,
    DRIFTED,
    GROSS_108,
    PAGE,
    REFERENCE,
    asked,
    known,
    rising,
    rounded,
    served,
)

STEP, STEPS_A_DAY = "15m", 96
"""Estimates are of a day, and rules look back for references as long as a step."""
DRIFTED_A_DAY = 288
"""Steps of stories with shifts, which step by five minutes."""
VERSION = f'{{model="mlp", version="{RUN}"}}'
UNTRUSTED = "ServiceEstimateUntrusted"
ACCURACY, CONFIDENCE = 0.9, 0.88


def labelled(examples: float = 5_000, error: float = 0.01, accuracy: float = ACCURACY) -> dict[str, str]:
    """What a replica shows of its reference."""
    return {
        served("catwalk_reference_accuracy_ratio"): constant(accuracy),
        served("catwalk_reference_confidence_ratio"): constant(CONFIDENCE),
        served("catwalk_reference_calibration_error_ratio"): constant(error),
        served("catwalk_reference_labelled_examples"): constant(examples),
    }


def answers(
    a_day: float, chance: float = 0.9, variance: float = 0.08, instance: str = "service:1", steps: int = STEPS_A_DAY
) -> dict[str, str]:
    """Estimated answers, `a_day` of them, with a mean chance of being right and its variance."""
    step = a_day / steps
    return {
        served("catwalk_service_estimated_total", instance): rising(step),
        served("catwalk_service_estimated_right_total", instance): rising(step * chance),
        served("catwalk_service_estimated_variance_total", instance): rising(step * variance),
    }


def realised(low: float, high: float, labels: float = 300) -> dict[str, str]:
    """What the exporter reports about a week's labels."""
    of_week = {"model": "mlp", "version": RUN, "window": "7d"}
    bounds = {"low": low, "high": high}
    return {
        series("catwalk_realised_predictions", **of_week): constant(labels),
        **{
            series("catwalk_realised_metric", **of_week, metric="accuracy", bound=bound): constant(value)
            for bound, value in bounds.items()
        },
    }


def margin(predictions: float, examples: float, error: float, variance: float = 0.08) -> float:
    spread = variance / predictions + ACCURACY * (1 - ACCURACY) / examples
    return rounded(1.96 * math.sqrt(spread) + error)


def untrusted(reason: str) -> Alert:
    return Alert(
        {"severity": "info", "area": "model", "model": "mlp", "reason": reason},
        "mlp: the estimate of its accuracy in service can't be trusted",
        f"The accuracy of mlp is estimated from its confidence, which is not reliable now. Reason: {reason}.",
        PAGE,
    )


def distrusted(*reasons: str) -> tuple[Expectation, ...]:
    """At the 25th hour."""
    told = {f'{{model="mlp", reason="{reason}", version="{RUN}"}}': 1.0 for reason in reasons}
    return (
        has("model:service_estimate:distrust", "25h", told),
        has("model:service_estimate:trusted", "25h", {VERSION: 0.0 if reasons else 1.0}),
    )


SCENARIOS: list[Scenario] = [
    scenario(
        "two replicas' confidence has risen by 2 points, and so has the estimate",
        {**labelled(), **answers(1_728), **answers(1_152, instance="service:2")},
        has("model:service_estimate:examples", "25h", {VERSION: 2_880}),
        has("model:service_estimate:right", "25h", {VERSION: 2_592}),
        has("model:service_estimate:variance", "25h", {VERSION: 230.4}),
        has("model:reference_accuracy:last", "25h", {VERSION: ACCURACY}),
        has("model:reference_confidence:last", "25h", {VERSION: CONFIDENCE}),
        has("model:reference_calibration_error:last", "25h", {VERSION: 0.01}),
        has("model:reference_labelled:last", "25h", {VERSION: 5_000}),
        has("model:service_estimate:accuracy", "25h", {VERSION: 0.92}),
        has("model:service_estimate:margin", "25h", {VERSION: margin(2_880, 5_000, 0.015)}),
        *distrusted(),
        silent(UNTRUSTED, "25h"),
        interval=STEP,
    ),
    scenario(
        "an estimate is at most 1, and its margin is that of the calibration",
        {**labelled(error=0.03, accuracy=0.99), **answers(2_880, 0.97)},
        has("model:service_estimate:accuracy", "25h", {VERSION: 1}),
        has(
            "model:service_estimate:margin",
            "25h",
            {VERSION: rounded(1.96 * math.sqrt(0.08 / 2_880 + 0.99 * 0.01 / 5_000) + 0.03)},
        ),
        *distrusted(),
        interval=STEP,
    ),
    scenario(
        "an input is beyond its limit, so confidence tells nothing",
        {**labelled(), **answers(2_880, steps=DRIFTED_A_DAY), **known(REFERENCE), **asked(GROSS_108)},
        *distrusted("shift"),
        silent(UNTRUSTED, "2h35m"),
        fires(UNTRUSTED, "2h50m", untrusted("shift")),
        interval=DRIFTED,
    ),
    scenario(
        "an answer is beyond its limit",
        {
            **labelled(),
            **answers(2_880, steps=DRIFTED_A_DAY),
            **known(REFERENCE, "prediction", "class"),
            **asked(GROSS_108, "prediction", "class"),
        },
        *distrusted("shift"),
        interval=DRIFTED,
    ),
    scenario(
        "inputs like the reference's are no reason",
        {**labelled(), **answers(2_880, steps=DRIFTED_A_DAY), **known(REFERENCE), **asked(CLEAN)},
        *distrusted(),
        silent(UNTRUSTED, "25h"),
        interval=DRIFTED,
    ),
    scenario(
        "198 answers of a day are too few for an estimate, and no news",
        {**labelled(990), **answers(198)},
        *distrusted("few predictions", "few labelled examples"),
        silent(UNTRUSTED, "25h"),
        interval=STEP,
    ),
    scenario(
        "201 are enough",
        {**labelled(), **answers(201)},
        *distrusted(),
        interval=STEP,
    ),
    scenario(
        "a service without requests has no estimate",
        {**labelled(), **answers(0)},
        has("model:service_estimate:accuracy", "25h", {}),
        has("model:service_estimate:margin", "25h", {}),
        has("model:service_estimate:trusted", "25h", {}),
        silent(UNTRUSTED, "25h"),
        interval=STEP,
    ),
    scenario(
        "990 labelled examples are too few",
        {**labelled(990), **answers(2_880)},
        *distrusted("few labelled examples"),
        fires(UNTRUSTED, "25h", untrusted("few labelled examples")),
        interval=STEP,
    ),
    scenario(
        "1,010 are enough",
        {**labelled(1_010), **answers(2_880)},
        *distrusted(),
        silent(UNTRUSTED, "25h"),
        interval=STEP,
    ),
    scenario(
        "a calibration error of 5.1 points",
        {**labelled(error=0.051), **answers(2_880)},
        *distrusted("calibration"),
        fires(UNTRUSTED, "25h", untrusted("calibration")),
        interval=STEP,
    ),
    scenario(
        "one of 4.9",
        {**labelled(error=0.049), **answers(2_880)},
        *distrusted(),
        silent(UNTRUSTED, "25h"),
        interval=STEP,
    ),
    scenario(
        "by the labels of a week, the estimate of 92 % was too high",
        {**labelled(), **answers(2_880), **realised(0.85, 0.88)},
        has("model:service_estimate:accuracy7d", "25h", {VERSION: 0.92}),
        *distrusted("audit"),
        fires(UNTRUSTED, "25h", untrusted("audit")),
        interval=STEP,
    ),
    scenario(
        "it was too low",
        {**labelled(), **answers(2_880), **realised(0.96, 0.98)},
        *distrusted("audit"),
        interval=STEP,
    ),
    scenario(
        "it was a little too high, within its interval",
        {**labelled(), **answers(2_880), **realised(0.88, 0.9)},
        *distrusted(),
        silent(UNTRUSTED, "25h"),
        interval=STEP,
    ),
    scenario(
        "it was a little too low",
        {**labelled(), **answers(2_880), **realised(0.94, 0.97)},
        *distrusted(),
        interval=STEP,
    ),
    scenario(
        "of 190 labels an audit says nothing",
        {**labelled(), **answers(2_880), **realised(0.5, 0.6, labels=190)},
        *distrusted(),
        interval=STEP,
    ),
    scenario(
        "a model whose reference has no labels is not distrusted, whatever it is asked",
        {**known(REFERENCE), **asked(GROSS_108)},
        has("model:service_estimate:distrust", "25h", {}),
        silent(UNTRUSTED, "25h"),
        interval=DRIFTED,
    ),
]
