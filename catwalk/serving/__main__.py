"""``python -m catwalk.serving RUN``: one run's model in a server of its own, for who decides whether it may ship."""

from __future__ import annotations

import sys

from catwalk.entry_point import entry_point
from catwalk.ledger.runs import Run
from catwalk.serving.limits import Limits
from catwalk.serving.process import Address, serve
from catwalk.storage.opening import open_store


@entry_point("catwalk")
def main(run_id: str) -> None:
    """Entry point."""
    run = Run(open_store(), run_id)
    serve(run.store, run.record.model, Address("127.0.0.1", 0, 0), Limits(notice_seconds=0), pinned=run_id)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
