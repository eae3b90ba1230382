"""``python -m catwalk.serving RUN``: one run's model in a separate server, for the gate to ask before it ships."""

from __future__ import annotations

import os
import signal
import sys
from threading import Thread

from catwalk.entry_point import entry_point
from catwalk.ledger.runs import Run
from catwalk.serving.limits import UNHURRIED
from catwalk.serving.process import Address, serve
from catwalk.storage.opening import open_store


@entry_point("catwalk")
def main(run_id: str) -> None:
    """Entry point. Its parent ends it, by SIGKILL or by closing standard input."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    Thread(target=_end_with_input, name="input", daemon=True).start()
    run = Run(open_store(), run_id)
    serve(run.store, run.record.model, Address("127.0.0.1", 0, 0), UNHURRIED, pinned=run_id, stopped_by=())


def _end_with_input() -> None:
    while os.read(sys.stdin.fileno(), 4_096):
        continue
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
