"""A service of one process that logs its predictions from several threads, until it is killed.

    predicting_service.py FOLDER NAME

Prints the id of each prediction that it knows to be logged, and of each label once it is stored.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading

import catwalk
from tests.support.logs import REFERENCE

THREADS = 3


def main() -> None:
    folder, name = sys.argv[1:]
    monitor = catwalk.PredictionMonitor("churn", reference=REFERENCE, log=folder)

    def serve(thread: int) -> None:
        for number in itertools.count():
            with monitor.prediction(id=f"{name}-{thread}-{number}") as seen:
                seen.output = 0.75
            if seen.logged:
                os.write(1, f"prediction {seen.id}\n".encode())
            if number % 10 == 0:
                monitor.label([seen.id], ["yes"])
                os.write(1, f"label {seen.id}\n".encode())

    for thread in range(THREADS):
        threading.Thread(target=serve, args=(thread,)).start()


if __name__ == "__main__":
    main()
