"""Scenarios for the rules on models."""

from __future__ import annotations

from tests.prometheus.scenario import (
    OLDER,
    RUN,
    Alert,
    Scenario,
    a_run,
    constant,
    fires,
    has,
    scenario,
    series,
    silent,
)

WARNING = {"severity": "warning", "area": "model"}
CRITICAL = {"severity": "critical", "area": "model"}
INFO = {"severity": "info", "area": "model"}
OF_RUN = {"run_id": RUN, "model": "mlp"}
OF_OLDER = {"run_id": OLDER, "model": "mlp"}
LINK = f"http://exporter/runs/{RUN}"
RUN_PAGE = f"catwalk-run?var-model=mlp&var-run={RUN}"
MODEL_PAGE = "catwalk-model?var-model=mlp"
LABELS = f'{{model="mlp", run_id="{RUN}"}}'


def curve(
    split: str, *losses: str | float, run: dict[str, str] = OF_RUN, every: int = 6, step: int = 1
) -> dict[str, str]:
    """A loss curve with an epoch every `every` scrapes. It leaves statsd_exporter an hour after it was sent."""
    found = {}
    for number, loss in enumerate(losses, 1):
        # promtool repeats numbers only
        values = f"_x{every * number} " + (" ".join([loss] * 30) if isinstance(loss, str) else f"{loss}x360")
        epoch = str(number * step)
        found[series("ml_epoch_loss", **run, split=split, epoch=epoch)] = values
        found[series("ml_epoch_index", **run, epoch=epoch)] = f"_x{every * number} {epoch}x360"
    return found


def role(role_: str, run_id: str, **families: float) -> dict[str, str]:
    """Families that the exporter exports by role."""
    return version(role_, run_id) | {
        series(f"catwalk_model_{name}", model="mlp", role=role_, run_id=run_id): constant(value)
        for name, value in families.items()
    }


def version(role_: str, run_id: str, model: str = "mlp") -> dict[str, str]:
    """Which run has a role."""
    return {series("catwalk_model_version_info", model=model, role=role_, run_id=run_id): constant(1)}


def not_numbers(role_: str, run_id: str, **families: str) -> dict[str, str]:
    """The same for values that promtool does not repeat."""
    return version(role_, run_id) | {
        series(f"catwalk_model_{name}", model="mlp", role=role_, run_id=run_id): " ".join([value] * 60)
        for name, value in families.items()
    }


def classes(role_: str, run_id: str, family: str = "class_accuracy_ratio", **values: float) -> dict[str, str]:
    """A family that has a series a class."""
    return {
        series(f"catwalk_model_{family}", model="mlp", role=role_, run_id=run_id, class_=name): constant(value)
        for name, value in values.items()
    }


def statistics(role_: str, run_id: str, model: str = "mlp", **values: float) -> dict[str, str]:
    """What the exporter shows about a run's data."""
    return {
        series("catwalk_model_dataset_statistic", model=model, role=role_, run_id=run_id, statistic=name): constant(
            value
        )
        for name, value in values.items()
    }


def of_statistics(run_id: str = RUN, **values: float) -> dict[str, float]:
    """What is recorded of statistics, of a run or of none."""
    run = f'run_id="{run_id}", ' if run_id else ""
    return {f'{{model="mlp", {run}statistic="{name}"}}': value for name, value in values.items()}


def asked(run_id: str = RUN, **thresholds: float) -> dict[str, str]:
    """What the gate has asked of a run."""
    return {
        series("catwalk_gate_threshold", model="mlp", run_id=run_id, check=check): constant(value)
        for check, value in thresholds.items()
    }


def latest(run_id: str = RUN, accuracy: float = 0.9) -> dict[str, str]:
    """The run that has the role."""
    return role("latest", run_id, accuracy_ratio=accuracy)


TRAINING: list[Scenario] = [
    scenario(
        "a loss becomes NaN in the second epoch",
        {**a_run(), **curve("train", 0.5, "NaN"), **curve("validation", 0.5, 0.5)},
        silent("ModelLossNotFinite", "1m50s"),
        fires(
            "ModelLossNotFinite",
            "2m",
            Alert(
                {**WARNING, **OF_RUN},
                "mlp: the loss became NaN or infinite",
                f"Run {RUN} of mlp has stopped, because its loss is no longer a number (on 1 of 2 splits). {LINK}",
                RUN_PAGE,
            ),
        ),
        fires(
            "ModelLossNotFinite",
            "20m",  # statsd_exporter has forgotten the curve
            Alert(
                {**WARNING, **OF_RUN},
                "mlp: the loss became NaN or infinite",
                f"Run {RUN} of mlp has stopped, because its loss is no longer a number (on 1 of 2 splits). {LINK}",
                RUN_PAGE,
            ),
        ),
    ),
    scenario(
        "a loss becomes infinite on both splits",
        {**a_run(), **curve("train", 0.5, "Inf"), **curve("validation", 0.5, "Inf")},
        fires(
            "ModelLossNotFinite",
            "2m",
            Alert(
                {**WARNING, **OF_RUN},
                "mlp: the loss became NaN or infinite",
                f"Run {RUN} of mlp has stopped, because its loss is no longer a number (on 2 of 2 splits). {LINK}",
                RUN_PAGE,
            ),
        ),
    ),
    scenario(
        "a sweep's and an older run's losses are NaN: neither is the pipeline's latest",
        {
            **a_run(started=100),
            **curve("train", 0.5),
            **a_run("sweep", started=500, trigger="sweep"),
            **curve("train", "NaN", run={"run_id": "sweep", "model": "mlp"}),
            **a_run(OLDER, started=50),
            **curve("train", "NaN", run=OF_OLDER),
        },
        silent("ModelLossNotFinite", "5m"),
        has("model:latest_run_started_timestamp_seconds:max", "5m", {LABELS: 100}),
        has(
            "run:pipeline_run:info",
            "5m",
            {
                f'{{model="mlp", run_id="{RUN}", trigger="schedule"}}': 1,
                f'{{model="mlp", run_id="{OLDER}", trigger="schedule"}}': 1,
            },
        ),
    ),
    scenario(
        "training loss rises from 0.5 to just above half as much again and its median",
        {**a_run(), **curve("train", 0.6, 0.5, 1.37)},
        silent("ModelTrainingDiverged", "3m20s"),
        fires(
            "ModelTrainingDiverged",
            "3m30s",
            Alert(
                {**WARNING, **OF_RUN, "split": "train"},
                "mlp: training diverges",
                f"The training loss of run {RUN} of mlp has risen to 1.37, far above its best. {LINK}",
                RUN_PAGE,
            ),
        ),
    ),
    scenario(
        "training loss rises from 0.5 to just below that, and validation loss beyond",
        {**a_run(), **curve("train", 0.6, 0.5, 1.33), **curve("validation", 0.6, 0.5, 1.37)},
        silent("ModelTrainingDiverged", "5m"),
    ),
    scenario(
        "losses of another size: a large one rises by half, a small one doubles",
        {
            **a_run(), **curve("train", 4e6, 6.2e6),
            **a_run("other", model="mlp-synthetic"),
            **curve("train", 0.5, 0.1, 0.01, 0.02, run={"run_id": "other", "model": "mlp-synthetic"}),
        },
        silent("ModelTrainingDiverged", "5m"),
        has("run:loss:median", "2m10s", {
            f'{{model="mlp", run_id="{RUN}", split="train"}}': 5.1e6,
            '{model="mlp-synthetic", run_id="other", split="train"}': 0.3,
        }),
    ),
    scenario(
        "a loss below zero, as a likelihood's may be, falls, and rises by a little less than it may",
        {**a_run(), **curve("train", -8, -10, 2.9)},
        silent("ModelTrainingDiverged", "5m"),
    ),
    scenario(
        "a loss below zero rises by a little more",
        {**a_run(), **curve("train", -8, -10, 3.1)},
        fires(
            "ModelTrainingDiverged",
            "3m30s",
            Alert(
                {**WARNING, **OF_RUN, "split": "train"},
                "mlp: training diverges",
                f"The training loss of run {RUN} of mlp has risen to 3.1, far above its best. {LINK}",
                RUN_PAGE,
            ),
        ),
    ),
    scenario(
        "a diverged sweep",
        {**a_run(trigger="sweep"), **curve("train", 0.5, 9)},
        silent("ModelTrainingDiverged", "5m"),
    ),
    scenario(
        "the gap is just above 0.85 of the best validation loss, which has just risen by more than 0.15",
        {**a_run(), **curve("train", 0.4, 0.2, 0.09), **curve("validation", 0.4, 0.298, 0.344)},
        silent("ModelOverfitting", "3m20s"),
        fires(
            "ModelOverfitting",
            "3m30s",
            Alert(
                {**WARNING, **OF_RUN},
                "mlp: overfits, validation loss rises",
                f"In run {RUN} of mlp the validation loss is 0.254 above the training loss, and rising. {LINK}",
                RUN_PAGE,
            ),
        ),
        has("run:generalisation_gap:last", "4m", {LABELS: 0.254}),
        has(
            "run:loss:last",
            "4m",
            {
                f'{{model="mlp", run_id="{RUN}", split="train"}}': 0.09,
                f'{{model="mlp", run_id="{RUN}", split="validation"}}': 0.344,
            },
        ),
        has('run:loss:best{split="validation"}', "4m", {f'{{model="mlp", run_id="{RUN}", split="validation"}}': 0.298}),
        has(
            "run:epoch_index:latest",
            "4m",
            {f'{{epoch="3", instance="statsd_exporter:1", job="statsd_exporter", model="mlp", run_id="{RUN}"}}': 3},
        ),
        has("run:epoch_index:last", "4m", {LABELS: 3}),
        has("run:epoch_index:best", "4m", {LABELS: 2}),
        has("run:epochs_since_best:count", "4m", {LABELS: 1}),
    ),
    scenario(
        "the gap is just below 0.85",
        {**a_run(), **curve("train", 0.4, 0.2, 0.1), **curve("validation", 0.4, 0.298, 0.344)},
        silent("ModelOverfitting", "5m"),
    ),
    scenario(
        "the gap is wide, but validation loss just less than 0.15 above its best",
        {**a_run(), **curve("train", 0.4, 0.2, 0.05), **curve("validation", 0.4, 0.306, 0.351)},
        silent("ModelOverfitting", "5m"),
    ),
    scenario(
        "a sweep overfits",
        {**a_run(trigger="sweep"), **curve("train", 0.4, 0.1), **curve("validation", 0.4, 0.8)},
        silent("ModelOverfitting", "5m"),
    ),
    scenario(
        "the best of eight epochs is the second: six bring nothing",
        {**a_run(), **curve("validation", 0.5, 0.3, 0.3, *[0.31] * 5)},
        has("run:epoch_index:best", "8m", {LABELS: 2}),
        silent("ModelPlateaued", "8m20s"),
        fires(
            "ModelPlateaued",
            "8m30s",
            Alert(
                {**INFO, **OF_RUN},
                "mlp: no better for 6 epochs or steps",
                f"Run {RUN} of mlp has trained 6 epochs or steps without a better validation loss. {LINK}",
                RUN_PAGE,
            ),
        ),
    ),
    scenario(
        "five epochs bring nothing",
        {**a_run(), **curve("validation", 0.5, 0.3, *[0.31] * 5)},
        silent("ModelPlateaued", "10m"),
    ),
    scenario(
        "ten of thirty epochs bring nothing",
        {**a_run(), **curve("validation", *[0.5] * 19, 0.3, *[0.31] * 10)},
        fires(
            "ModelPlateaued",
            "31m",
            Alert(
                {**INFO, **OF_RUN},
                "mlp: no better for 10 epochs or steps",
                f"Run {RUN} of mlp has trained 10 epochs or steps without a better validation loss. {LINK}",
                RUN_PAGE,
            ),
        ),
    ),
    scenario(
        "nine of twenty-nine epochs bring nothing",
        {**a_run(), **curve("validation", *[0.5] * 19, 0.3, *[0.31] * 9)},
        silent("ModelPlateaued", "31m"),
    ),
    *(
        scenario(
            f"tested every 1,000 steps, a run is no better {tests} times",
            {**a_run(), **curve("validation", 0.5, 0.3, *[0.31] * tests, step=1_000)},
            has("run:epochs_since_best:count", "12m", {LABELS: 1_000 * tests}),
            fires("ModelPlateaued", "12m", *told),
        )
        for tests, told in (
            (5, ()),
            (
                6,
                [
                    Alert(
                        {**INFO, **OF_RUN},
                        "mlp: no better for 6000 epochs or steps",
                        f"Run {RUN} of mlp has trained 6000 epochs or steps without a better validation loss. {LINK}",
                        RUN_PAGE,
                    )
                ],
            ),
        )
    ),
    scenario(
        "a sweep stands still",
        {**a_run(trigger="sweep"), **curve("validation", 0.3, *[0.31] * 8)},
        silent("ModelPlateaued", "10m"),
    ),
    scenario(
        "accuracies of a run whose epoch 10 comes after 9",
        {
            **{
                series("ml_epoch_accuracy_ratio", **OF_RUN, split="train", epoch=str(epoch)): constant(value)
                for epoch, value in ((2, 0.7), (9, 0.9), (10, 0.8))
            },
            **{
                series("ml_epoch_index", **OF_RUN, epoch=str(epoch)): constant(epoch) for epoch in (2, 9, 10)
            },
            series("ml_test_accuracy_ratio", **OF_RUN): "0.89x10",
        },
        has("run:accuracy_ratio:last", "5m", {f'{{model="mlp", run_id="{RUN}", split="train"}}': 0.8}),
        has("run:test_accuracy_ratio:last", "20m", {LABELS: 0.89}),
    ),
]  # fmt: skip


def said(best_epoch: int, samples: int = 1_000, **losses: float) -> dict[str, str]:
    """What the exporter reports about all epochs of a run."""
    figures = {"best_epoch": best_epoch, **losses}
    return {series(f"catwalk_run_{name}", **OF_RUN): constant(value, samples) for name, value in figures.items()}


def long_curve(split: str, best: float, at: int, then: float) -> dict[str, str]:
    """A loss over 30 hours and 2,000 epochs, of which each 25th is shown; every 5 minutes a scrape."""
    found = {}
    for epoch in range(25, 2_001, 25):
        begins, loss = epoch * 360 // 2_000, best if epoch in (at, 1_975) else then
        labels = {**OF_RUN, "epoch": str(epoch)}
        found[series("ml_epoch_loss", **labels, split=split)] = f"_x{begins} {loss}x12"
        found[series("ml_epoch_index", **labels)] = f"_x{begins} {epoch}x12"
    return found


LONG: list[Scenario] = [
    scenario(
        "2,000 epochs in 30 hours: what was best in the second hour, and is reached once more, is the best to the end",
        {
            **a_run(),
            **long_curve("validation", 0.3, 125, 0.31),
            **long_curve("train", 0.2, 1_975, 0.25),
            **said(125, best_validation_loss=0.3, best_train_loss=0.1, median_train_loss=0.22),
        },
        *(
            fires(
                "ModelPlateaued",
                at,
                Alert(
                    {**INFO, **OF_RUN},
                    f"mlp: no better for {count} epochs or steps",
                    f"Run {RUN} of mlp has trained {count} epochs or steps without a better validation loss. {LINK}",
                    RUN_PAGE,
                ),
            )
            for at, count in (("24h", 1_475), ("30h", 1_875))
        ),
        has("run:epoch_index:last", "30h", {LABELS: 2_000}),
        has("run:epoch_index:best", "30h", {LABELS: 125}),
        has(
            "run:loss:best",
            "30h",
            {
                f'{{model="mlp", run_id="{RUN}", split="train"}}': 0.1,
                f'{{model="mlp", run_id="{RUN}", split="validation"}}': 0.3,
            },
        ),
        has("run:loss:median", "30h", {f'{{model="mlp", run_id="{RUN}", split="train"}}': 0.22}),
        interval="5m",
    ),
    scenario(
        "a better epoch is here before the exporter has read of it",
        {**a_run(), **curve("validation", 0.5, 0.3), **said(1, best_validation_loss=0.5)},
        has("run:epoch_index:best", "3m", {LABELS: 2}),
    ),
    scenario(
        "a better epoch is here since the exporter has another address",
        {
            **a_run(),
            **{
                name.replace("exporter:1", "exporter:0"): values
                for name, values in said(2, 9, best_validation_loss=0.5).items()
            },
            **said(4, best_validation_loss=0.3),
        },
        has("run:epoch_index:best", "3m", {LABELS: 4}),
    ),
    scenario(
        "after 26 hours training loss rises far above the best, which is of the first: it diverges",
        {
            **a_run(),
            **long_curve("train", 0.9, 0, 0.9),
            **said(1, best_train_loss=0.3, median_train_loss=0.4),
        },
        fires(
            "ModelTrainingDiverged",
            "30h",
            Alert(
                {**WARNING, **OF_RUN, "split": "train"},
                "mlp: training diverges",
                f"The training loss of run {RUN} of mlp has risen to 0.9, far above its best. {LINK}",
                RUN_PAGE,
            ),
        ),
        interval="5m",
    ),
]  # fmt: skip


def logged(name: str, epoch: int, value: float | str, split: str = "validation", **run: str) -> dict[str, str]:
    """A metric by its name, after an epoch that ended at once."""
    labels = {**(run or OF_RUN), "epoch": str(epoch)}
    values = " ".join([value] * 360) if isinstance(value, str) else constant(value)
    return {
        series("ml_epoch_metric", **labels, split=split, metric=name): values,
        series("ml_epoch_index", **labels): constant(epoch),
    }


def of_metric(split: str, metric: str) -> str:
    """Labels of a metric's last value."""
    return f'{{metric="{metric}", model="mlp", run_id="{RUN}", split="{split}"}}'


NAMED: list[Scenario] = [
    scenario(
        "every metric of a run by one name, at the last epoch that has it, and of its test",
        {
            **logged("r2", 2, 0.7), **logged("r2", 9, -0.5), **logged("mae", 9, 3.0), **logged("mae", 10, 2.5),
            **logged("mae", 10, 1.5, split="train"),
            series("ml_epoch_loss", **OF_RUN, split="train", epoch="10"): constant(0.4),
            series("ml_epoch_accuracy_ratio", **OF_RUN, split="train", epoch="10"): constant(0.8),
            series("ml_test_metric", **OF_RUN, metric="mae"): "2.75x10",
            series("ml_test_metric", **OF_RUN, metric="mae", slice="country", slice_value="PT"): "9x10",
            series("ml_test_accuracy_ratio", **OF_RUN): "0.89x10",
            series("ml_test_loss", **OF_RUN): "0.3x10",
            series("ml_test_calibration_error_ratio", **OF_RUN): "0.02x10",
        },
        has(
            "run:metric:last",
            "20m",
            {
                of_metric("validation", "r2"): -0.5,
                of_metric("validation", "mae"): 2.5,
                of_metric("train", "mae"): 1.5,
                of_metric("train", "loss"): 0.4,
                of_metric("train", "accuracy"): 0.8,
                of_metric("test", "mae"): 2.75,
                of_metric("test", "accuracy"): 0.89,
                of_metric("test", "log_loss"): 0.3,
                of_metric("test", "calibration_error"): 0.02,
            },
        ),
    ),
    scenario(
        "a run without a loss: one metric is NaN, another infinite, two are numbers",
        {
            **a_run(), **logged("mae", 1, "NaN"), **logged("rmse", 1, "-Inf"),
            **logged("r2", 1, 0.5), **logged("r2", 1, 0.75, split="train"),
        },
        fires(
            "ModelLossNotFinite",
            "1m",
            Alert(
                {**WARNING, **OF_RUN, "source": "metrics"},
                "mlp: a metric became NaN or infinite",
                f"2 metrics of run {RUN} of mlp are no longer numbers, and it logs no loss. {LINK}",
                RUN_PAGE,
            ),
        ),
    ),
    scenario(
        "a metric that is undefined beside a loss, or in a sweep, or a test's",
        {
            **a_run(), **curve("validation", 0.5), **logged("auc", 1, "NaN"),
            **a_run("sweep", started=500, trigger="sweep", model="other"),
            **logged("auc", 1, "NaN", run_id="sweep", model="other"),
            **a_run("tested", model="third"),
            series("ml_test_metric", run_id="tested", model="third", metric="r2"): " ".join(["NaN"] * 60),
        },
        silent("ModelLossNotFinite", "5m"),
    ),
    scenario(
        "a loss is minus infinity",
        {**a_run(), **curve("train", 0.5, "-Inf")},
        fires(
            "ModelLossNotFinite",
            "2m",
            Alert(
                {**WARNING, **OF_RUN},
                "mlp: the loss became NaN or infinite",
                f"Run {RUN} of mlp has stopped, because its loss is no longer a number (on 1 of 2 splits). {LINK}",
                RUN_PAGE,
            ),
        ),
    ),
]  # fmt: skip


def below_floor(run_id: str, severity: dict[str, str], accuracy: str = "87.9%") -> Alert:
    """An accuracy that is too low."""
    return Alert(
        {**severity, "run_id": run_id, "model": "mlp"},
        f"mlp: accuracy {accuracy} is below the floor",
        f"Run {run_id} of mlp classifies {accuracy} of the test examples right, less than the gate's floor. "
        f"http://exporter/runs/{run_id}",
        MODEL_PAGE,
    )


def collapsed(run_id: str, severity: dict[str, str]) -> Alert:
    """A class of which 59.9 % are recognised."""
    return Alert(
        {**severity, "run_id": run_id, "model": "mlp", "class": "shirt"},
        "mlp: only 59.9% of class shirt recognised",
        f"Run {run_id} of mlp recognises 59.9% of class shirt, less than the gate's floor. "
        f"http://exporter/runs/{run_id}",
        MODEL_PAGE,
    )


def uncalibrated(run_id: str, severity: dict[str, str], error: str = "5.1%") -> Alert:
    """A calibration error that is too large."""
    return Alert(
        {**severity, "run_id": run_id, "model": "mlp"},
        f"mlp: calibration error {error}",
        f"The probabilities of run {run_id} of mlp are off by {error} on average, more than the gate allows. "
        f"http://exporter/runs/{run_id}",
        MODEL_PAGE,
    )


QUALITY: list[Scenario] = [
    scenario(
        "the latest run is just below the gate's floor, the champion at it",
        {**latest(accuracy=0.879), **role("champion", OLDER, accuracy_ratio=0.88), **asked(accuracy_floor=0.88)},
        silent("ModelAccuracyBelowFloor", "20s"),
        fires("ModelAccuracyBelowFloor", "30s", below_floor(RUN, WARNING)),
        has("model:gate_threshold:latest", "1m", {'{check="accuracy_floor", model="mlp"}': 0.88}),
        has("model:accuracy_ratio:change", "1m", {LABELS: -0.001}),
    ),
    scenario(
        "what is in service is just below the floor",
        {**latest(), **role("champion", OLDER, accuracy_ratio=0.879), **asked(accuracy_floor=0.88)},
        silent("ModelAccuracyBelowFloor", "20s"),
        fires("ModelAccuracyBelowFloor", "30s", below_floor(OLDER, CRITICAL)),
    ),
    scenario(
        "a try by hand asked for more; the next run is tested and not yet decided",
        {
            series("catwalk_model_accuracy_ratio", model="mlp", role="latest", run_id=OLDER): "0.9x60 stale",
            series("catwalk_model_accuracy_ratio", model="mlp", role="latest", run_id=RUN): "_x61 0.879x100",
            series("catwalk_model_version_info", model="mlp", role="latest", run_id=OLDER): "1x60 stale",
            series("catwalk_model_version_info", model="mlp", role="latest", run_id=RUN): "_x61 1x100",
            **asked(OLDER, accuracy_floor=0.88),
            **asked("by hand", accuracy_floor=0.95),
        },
        has("model:gate_threshold:latest", "5m", {'{check="accuracy_floor", model="mlp"}': 0.88}),
        silent("ModelAccuracyBelowFloor", "10m"),
        fires("ModelAccuracyBelowFloor", "11m", below_floor(RUN, WARNING)),
    ),
    scenario(
        "a diverged model: its values are no numbers, and neither are some of what is in service",
        {
            **not_numbers("latest", RUN, accuracy_ratio="NaN", calibration_error_ratio="NaN"),
            **not_numbers("champion", OLDER, accuracy_ratio="NaN", calibration_error_ratio="NaN"),
            **asked(accuracy_floor=0.88, calibration=0.05),
        },
        fires(
            "ModelAccuracyBelowFloor", "1m",
            below_floor(RUN, WARNING, "NaN%"), below_floor(OLDER, CRITICAL, "NaN%"),
        ),
        fires(
            "ModelCalibrationPoor", "1m",
            uncalibrated(RUN, WARNING, "NaN%"), uncalibrated(OLDER, CRITICAL, "NaN%"),
        ),
    ),
    scenario(
        "one class of the latest run is just below the gate's floor",
        {
            **latest(),
            **classes("latest", RUN, shirt=0.599, bag=0.61, coat=0.3 + 0.3),
            **classes("champion", OLDER, shirt=0.6, bag=0.7),
            **asked(recall_floor=0.6),
        },
        silent("ModelClassCollapsed", "20s"),
        fires("ModelClassCollapsed", "30s", collapsed(RUN, WARNING)),
        has(
            "model:class_accuracy_ratio:change",
            "1m",
            {
                f'{{class="shirt", model="mlp", run_id="{RUN}"}}': -0.001,
                f'{{class="bag", model="mlp", run_id="{RUN}"}}': -0.09,
            },
        ),
    ),
    scenario(
        "two classes of what is in service are below the floor: one alert, for the worse",
        {
            **latest(), **classes("latest", RUN, shirt=0.6), **classes("champion", OLDER, shirt=0.599, coat=0.5999),
            **asked(recall_floor=0.6),
        },
        silent("ModelClassCollapsed", "20s"),
        fires("ModelClassCollapsed", "30s", collapsed(OLDER, CRITICAL)),
    ),
    scenario(
        "two classes of the latest run are below the floor: one alert, for the worse",
        {**latest(), **classes("latest", RUN, shirt=0.599, coat=0.5999), **asked(recall_floor=0.6)},
        fires("ModelClassCollapsed", "1m", collapsed(RUN, WARNING)),
    ),
    scenario(
        "the latest run's calibration is just beyond the cap, the champion's at it",
        {
            **latest(), **role("latest", RUN, calibration_error_ratio=0.051),
            **role("champion", OLDER, calibration_error_ratio=0.05), **asked(calibration=0.05),
        },
        silent("ModelCalibrationPoor", "20s"),
        fires("ModelCalibrationPoor", "30s", uncalibrated(RUN, WARNING)),
    ),
    scenario(
        "the calibration of what is in service is just beyond the cap",
        {
            **latest(), **role("latest", RUN, calibration_error_ratio=0.05),
            **role("champion", OLDER, calibration_error_ratio=0.051), **asked(calibration=0.05),
        },
        silent("ModelCalibrationPoor", "20s"),
        fires("ModelCalibrationPoor", "30s", uncalibrated(OLDER, CRITICAL)),
    ),
    scenario(
        "the whole interval of the difference is below 0",
        {**latest(), series("catwalk_gate_high", model="mlp", run_id=RUN, check="better"): constant(-0.0021)},
        fires(
            "ModelRegressedAgainstChampion",
            "0s",
            Alert(
                {**WARNING, **OF_RUN},
                "mlp: worse than the champion",
                f"Run {RUN} of mlp is worse than the champion by 0.21 points at least. {LINK}",
                MODEL_PAGE,
            ),
        ),
    ),
    scenario(
        "the interval ends just above 0; another check's and another run's lie below",
        {
            **latest(),
            series("catwalk_gate_high", model="mlp", run_id=RUN, check="better"): constant(0.0001),
            series("catwalk_gate_high", model="mlp", run_id=RUN, check="not_inferior_anchor"): constant(-0.1),
            series("catwalk_gate_high", model="mlp", run_id="by hand", check="better"): constant(-0.1),
        },
        silent("ModelRegressedAgainstChampion", "5m"),
    ),
    scenario(
        "three runs in a row are blocked",
        {**latest(), series("catwalk_runs_blocked", model="mlp"): "2x10 3x100"},
        silent("ModelShipBlockedRepeatedly", "1m40s"),
        fires(
            "ModelShipBlockedRepeatedly",
            "1m50s",
            Alert(
                {**WARNING, **OF_RUN},
                "mlp: 3 runs in a row were not fit to ship",
                f"The gate has held 3 runs of mlp in a row for a blocking reason, up to {RUN}. {LINK}",
                MODEL_PAGE,
            ),
        ),
    ),
]  # fmt: skip


def metrics(role_: str, run_id: str, **values: float | str) -> dict[str, str]:
    """A version of a model that is judged by metrics of its own."""
    return version(role_, run_id) | {
        series("catwalk_model_metric", model="mlp", role=role_, run_id=run_id, metric=name): (
            " ".join([value] * 60) if isinstance(value, str) else constant(value)
        )
        for name, value in values.items()
    }


def described(metric: str, goal: str, headline: str = "true") -> dict[str, str]:
    """What a metric is."""
    labels = {"model": "mlp", "metric": metric, "goal": goal, "headline": headline}
    return {series("catwalk_metric_info", **labels): constant(1)}


def regressed(metric: str, share: str) -> Alert:
    """A headline that is worse than the champion's."""
    return Alert(
        {**WARNING, **OF_RUN, "metric": metric},
        f"mlp: {metric} is {share} worse than the champion's",
        f"The {metric} of run {RUN} of mlp is worse than the champion's by {share} of its value. {LINK}",
        MODEL_PAGE,
    )


def floor_missed(metric: str, run_id: str, severity: dict[str, str], by: str) -> Alert:
    """A metric on the wrong side of its limit."""
    return Alert(
        {**severity, "run_id": run_id, "model": "mlp", "metric": metric},
        f"mlp: {metric} misses the gate's limit by {by}",
        f"The {metric} of run {run_id} of mlp misses the floor or cap that the gate requires, by {by}. "
        f"http://exporter/runs/{run_id}",
        MODEL_PAGE,
    )


HEADLINE: list[Scenario] = [
    scenario(
        "an error is just more than a tenth above the champion's",
        {
            **metrics("latest", RUN, mae=11.05, r2=0.1), **metrics("champion", OLDER, mae=10.0, r2=0.9),
            **described("mae", "minimize"), **described("r2", "maximize", "false"),
        },
        fires("ModelHeadlineRegressed", "0s", regressed("mae", "10.5%")),
        has("model:headline_regression:ratio", "1m", {f'{{metric="mae", model="mlp", run_id="{RUN}"}}': 0.105}),
        has(
            "model:metric:change",
            "1m",
            {
                f'{{metric="mae", model="mlp", run_id="{RUN}"}}': 1.05,
                f'{{metric="r2", model="mlp", run_id="{RUN}"}}': -0.8,
            },
        ),
    ),
    scenario(
        "what should be large is below zero, and falls by just more than a tenth",
        {
            **metrics("latest", RUN, r2=-2.21), **metrics("champion", OLDER, r2=-2.0), **described("r2", "maximize"),
        },
        fires("ModelHeadlineRegressed", "0s", regressed("r2", "10.5%")),
        has("model:headline_regression:ratio", "1m", {f'{{metric="r2", model="mlp", run_id="{RUN}"}}': 0.105}),
    ),
    scenario(
        "an error is just less than a tenth above the champion's",
        {**metrics("latest", RUN, mae=10.95), **metrics("champion", OLDER, mae=10.0), **described("mae", "minimize")},
        silent("ModelHeadlineRegressed", "1m"),
    ),
    scenario(
        "what should be large grows",
        {**metrics("latest", RUN, auc=0.9), **metrics("champion", OLDER, auc=0.5), **described("auc", "maximize")},
        silent("ModelHeadlineRegressed", "1m"),
    ),
    scenario(
        "an accuracy has its own limits, and a metric other than the headline has none",
        {
            **metrics("latest", RUN, accuracy=0.5, mae="NaN"), **metrics("champion", OLDER, accuracy=0.9, mae=1.0),
            **described("accuracy", "maximize"), **described("mae", "minimize", "false"),
        },
        silent("ModelHeadlineRegressed", "1m"),
    ),
    scenario(
        "the latest headline is NaN",
        {**metrics("latest", RUN, mae="NaN"), **metrics("champion", OLDER, mae=10.0), **described("mae", "minimize")},
        fires("ModelHeadlineRegressed", "1m", regressed("mae", "NaN%")),
    ),
    scenario(
        "a floor and a cap are just missed by the latest run, and kept by what is in service",
        {
            **metrics("latest", RUN, auc=0.799, cost=2.001, mae=9.0, accuracy=0.5, of_no_goal=3.0),
            **metrics("champion", OLDER, auc=0.8, cost=2.0),
            **described("auc", "maximize"), **described("cost", "minimize", "false"),
            **described("accuracy", "maximize", "false"), **described("mae", "minimize", "false"),
            **described("of_no_goal", "", "false"),
            **asked(auc_floor=0.8, cost_floor=2.0, accuracy_floor=0.9, recall_floor=0.9, calibration=0.0),
            **asked(of_no_goal_floor=2.0),
        },
        silent("ModelFloorMissed", "20s"),
        fires(
            "ModelFloorMissed",
            "30s",
            floor_missed("auc", RUN, WARNING, "0.001"),
            floor_missed("cost", RUN, WARNING, "0.001"),
        ),
        has(
            'model:metric_shortfall:last{metric!="accuracy"}',
            "1m",
            {
                f'{{metric="{metric}", model="mlp", role="{role_}", run_id="{run_id}"}}': value
                for metric, role_, run_id, value in (
                    ("auc", "latest", RUN, 0.001), ("auc", "champion", OLDER, 0.0),
                    ("cost", "latest", RUN, 0.001), ("cost", "champion", OLDER, 0.0),
                )
            },
        ),
    ),
    scenario(
        "what is in service misses a cap that was lowered since; the latest run keeps it",
        {
            **metrics("latest", RUN, mae=9.0), **metrics("champion", OLDER, mae=9.5), **described("mae", "minimize"),
            **asked(mae_floor=9.0),
        },
        silent("ModelFloorMissed", "20s"),
        fires("ModelFloorMissed", "30s", floor_missed("mae", OLDER, CRITICAL, "0.5")),
    ),
    scenario(
        "metrics with a floor are no numbers any more",
        {
            **metrics("latest", RUN, auc="NaN"), **metrics("champion", OLDER, auc="NaN"),
            **described("auc", "maximize"), **asked(auc_floor=0.8),
        },
        fires(
            "ModelFloorMissed", "1m",
            floor_missed("auc", RUN, WARNING, "NaN"), floor_missed("auc", OLDER, CRITICAL, "NaN"),
        ),
    ),
    scenario(
        "both are perfect",
        {**metrics("latest", RUN, mae=0.0), **metrics("champion", OLDER, mae=0.0), **described("mae", "minimize")},
        silent("ModelHeadlineRegressed", "1m"),
    ),
    scenario(
        "a regression is surely worse, in its own unit",
        {
            **metrics("latest", RUN, mae=10.5),
            series("catwalk_gate_high", model="mlp", run_id=RUN, check="better"): constant(-0.25),
            series("catwalk_gate_high", model="mlp", run_id="by hand", check="better"): constant(-9.0),
        },
        fires(
            "ModelRegressedAgainstChampion",
            "0s",
            Alert(
                {**WARNING, **OF_RUN, "source": "metrics"},
                "mlp: worse than the champion",
                f"Run {RUN} of mlp is worse than the champion by 0.25 at least, in the unit that its gate decides by. "
                f"{LINK}",
                MODEL_PAGE,
            ),
        ),
    ),
    scenario(
        "a regression is perhaps worse",
        {
            **metrics("latest", RUN, mae=10.5),
            series("catwalk_gate_high", model="mlp", run_id=RUN, check="better"): constant(0.001),
        },
        silent("ModelRegressedAgainstChampion", "5m"),
    ),
]  # fmt: skip


def dataset(role_: str, run_id: str, sha256: str) -> dict[str, str]:
    """Which data a version has learnt from."""
    name = series("catwalk_model_dataset_info", model="mlp", role=role_, run_id=run_id, dataset_sha256=sha256)
    return {name: constant(1)}


PROMOTED = series("catwalk_champion_promoted_timestamp_seconds", run_id=OLDER, model="mlp")
DAY = 86_400


def shifted(statistic: str, value: str) -> Alert:
    """Training data that differ from the champion's."""
    return Alert(
        {**WARNING, **OF_RUN, "statistic": statistic},
        f"mlp: training data has shifted ({statistic})",
        f"The {statistic} of what run {RUN} of mlp was trained on differ by {value} from the champion's. {LINK}",
        MODEL_PAGE,
    )


SERVICE: list[Scenario] = [
    scenario(
        "a model that was tested has no champion; another one has",
        {
            **latest(),
            **version("latest", "s", "mlp-synthetic"),
            series("catwalk_champion_info", model="mlp-synthetic", run_id="s", model_sha256="m"): constant(1),
        },
        silent("ChampionMissing", "9m50s"),
        fires(
            "ChampionMissing",
            "10m",
            Alert(
                {**CRITICAL, **OF_RUN},
                "mlp: no version is in service",
                f"Runs of mlp were tested, the last one is {RUN}, but none is the champion.",
                MODEL_PAGE,
            ),
        ),
    ),
    scenario(
        "the champion is just over 30 days old, and the latest run has learnt from other data",
        {PROMOTED: constant(-30 * DAY), **dataset("champion", OLDER, "old"), **dataset("latest", RUN, "new")},
        silent("ChampionStale", "1h"),
        fires(
            "ChampionStale",
            "1h10s",
            Alert(
                {**WARNING, **OF_OLDER},
                "mlp: the champion is 30d 1h 0m 10s old, and runs train on other data",
                f"The champion of mlp, {OLDER}, has been in service for 30d 1h 0m 10s, while the latest run was "
                "trained on other data.",
                MODEL_PAGE,
            ),
        ),
    ),
    scenario(
        "the champion is old, but there is no other data",
        {PROMOTED: constant(-60 * DAY), **dataset("champion", OLDER, "old"), **dataset("latest", RUN, "old")},
        silent("ChampionStale", "2h"),
    ),
    scenario(
        "there is other data, and the champion is just under 30 days old",
        {PROMOTED: constant(-29.9 * DAY), **dataset("champion", OLDER, "old"), **dataset("latest", RUN, "new")},
        silent("ChampionStale", "2h"),
    ),
    scenario(
        "class shares, mean and deviation differ just enough",
        {
            **classes("latest", RUN, "dataset_class_share_ratio", bag=0.151, coat=0.149, shirt=0.7),
            **classes("champion", OLDER, "dataset_class_share_ratio", bag=0.1, coat=0.1, shirt=0.8),
            **statistics("latest", RUN, pixel_mean=0.249, pixel_stddev=0.381),
            **statistics("champion", OLDER, pixel_mean=0.28, pixel_stddev=0.35),
        },
        fires(
            "DatasetShifted",
            "0s",
            shifted("class shares", "0.1"),
            shifted("pixel_mean", "0.031"),
            shifted("pixel_stddev", "0.031"),
        ),
        has("model:dataset_class_share_ratio:distance", "1m", {LABELS: 0.1}),
        has("model:dataset_statistic:change", "1m", of_statistics(pixel_mean=-0.031, pixel_stddev=0.031)),
    ),
    scenario(
        "class shares differ by just over 0.05",
        {
            **classes("latest", RUN, "dataset_class_share_ratio", bag=0.151, coat=0.849),
            **classes("champion", OLDER, "dataset_class_share_ratio", bag=0.1, coat=0.9),
        },
        fires("DatasetShifted", "0s", shifted("class shares", "0.051")),
    ),
    scenario(
        "class shares, mean and deviation differ just too little",
        {
            **classes("latest", RUN, "dataset_class_share_ratio", bag=0.149, coat=0.851),
            **classes("champion", OLDER, "dataset_class_share_ratio", bag=0.1, coat=0.9),
            **statistics("latest", RUN, pixel_mean=0.251, pixel_stddev=0.379),
            **statistics("champion", OLDER, pixel_mean=0.28, pixel_stddev=0.35),
        },
        silent("DatasetShifted", "5m"),
    ),
    scenario(
        "the previous release's exporter has a metric for each of the two statistics",
        {
            **role("latest", RUN, dataset_pixel_mean=0.249, dataset_pixel_stddev=0.381),
            **role("champion", OLDER, dataset_pixel_mean=0.28, dataset_pixel_stddev=0.35),
        },
        fires("DatasetShifted", "0s", shifted("pixel_mean", "0.031"), shifted("pixel_stddev", "0.031")),
        has(
            "model:dataset_statistic:last",
            "1m",
            {
                f'{{{of_run}, statistic="pixel_{name}"}}': value
                for of_run, mean, stddev in (
                    (f'model="mlp", role="latest", run_id="{RUN}"', 0.249, 0.381),
                    (f'model="mlp", role="champion", run_id="{OLDER}"', 0.28, 0.35),
                )
                for name, value in (("mean", mean), ("stddev", stddev))
            },
        ),
    ),
    scenario(
        "a statistic is half as large as the champion's",
        {**statistics("latest", RUN, rows=50), **statistics("champion", OLDER, rows=100)},
        fires("DatasetShifted", "0s", shifted("rows", "50")),
        has("model:dataset_statistic_change:ratio", "1m", of_statistics(rows=0.5)),
    ),
    scenario(
        "a model of tables tells statistics of its own, which differ just enough, or just too little",
        {
            **statistics(
                "latest", RUN, amount_mean=0.09, amount_stddev=1, age_mean=40, age_stddev=10, rows=1086,
                balance=-10.86, temperature=-9.16, refunds=0.01, gaps=0, score_mean=0.54, fresh=3,
            ),
            **statistics(
                "champion", OLDER, amount_mean=0.001, amount_stddev=1, age_mean=40.84, age_stddev=10, rows=1000,
                balance=-10, temperature=-10, refunds=0, gaps=0, score_mean=0.5, gone=3,
            ),
            **statistics("latest", "other", model="other", rows=100, amount_mean=0),
            **statistics("champion", "older", model="other", rows=100, amount_mean=0, amount_stddev=0.01),
        },
        fires(
            "DatasetShifted",
            "0s",
            shifted("amount_mean", "0.089"), shifted("rows", "86"), shifted("balance", "0.86"),
            shifted("refunds", "0.01"),
        ),
        has(
            "model:dataset_statistic:scale",
            "1m",
            {
                **of_statistics(
                    "", amount_mean=1, amount_stddev=1, age_mean=10, age_stddev=10, rows=1000, balance=10,
                    temperature=10, refunds=0, gaps=0, score_mean=0.5, gone=3,
                ),
                '{model="other", statistic="rows"}': 100,
                '{model="other", statistic="amount_mean"}': 0.01,
                '{model="other", statistic="amount_stddev"}': 0.01,
            },
        ),
    ),
]  # fmt: skip

SCENARIOS = TRAINING + LONG + NAMED + QUALITY + HEADLINE + SERVICE
