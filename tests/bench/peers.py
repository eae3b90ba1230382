"""Logs runs with one library, Catwalk or a peer. The interpreter that has the library runs it in an empty folder.

`python peers.py LIBRARY` prints the seconds to open and close a run, and of one epoch's four figures.
"""

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

EPOCHS = 50
Log = Callable[[int, dict[str, float]], None]


def catwalk() -> tuple[Log, Callable[[], None]]:
    """Logs as a script does, into a ledger in the folder."""
    import catwalk

    run = catwalk.run("bench", catwalk.Binary())
    return lambda epoch, figures: run.epoch(epoch, train=figures), run.close


def mlflow() -> tuple[Log, Callable[[], None]]:
    """Logs into what MLflow creates without configuration."""
    import mlflow

    mlflow.start_run()
    return lambda epoch, figures: mlflow.log_metrics(figures, step=epoch), mlflow.end_run


def dvclive() -> tuple[Log, Callable[[], None]]:
    """Logs into files, without a DVC experiment, which needs a repository."""
    import dvclive

    live = dvclive.Live(save_dvc_exp=False)

    def log(epoch: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            live.log_metric(name, value)
        live.next_step()

    return log, live.end


def logged(opened: Callable[[], tuple[Log, Callable[[], Any]]], epochs: int) -> tuple[float, float]:
    """Returns the seconds to open and close a run, and of one epoch's four figures."""
    started = time.perf_counter()
    log, close = opened()
    logging = time.perf_counter()
    for epoch in range(1, epochs + 1):
        log(epoch, {"loss": 1 / epoch, "accuracy": 0.9, "auc": 0.8, "f1": 0.7})
    seconds = time.perf_counter() - logging
    close()
    return time.perf_counter() - started - seconds, seconds / max(1, epochs)


if __name__ == "__main__":
    opened = {"catwalk": catwalk, "mlflow": mlflow, "dvclive": dvclive}[sys.argv[1]]
    logged(opened, 1)  # imports, and objects that are created once
    empty = [logged(opened, 0)[0] for _ in range(3)]
    print(statistics.median(empty), logged(opened, EPOCHS)[1])
