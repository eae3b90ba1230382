"""Runs one stage as a process that can be killed, by itself at a chosen write to S3 if asked.

    stage_process.py STAGE RUN_ID [SUFFIX NTH before|during|after]

kills itself (SIGKILL) around the NTH write of the object whose key ends in SUFFIX; `during` means with half of the
body sent.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO

from catwalk.errors import CatwalkError
from catwalk.ledger.runs import Run
from catwalk.stages.pipeline import STAGE_FUNCTIONS
from catwalk.storage.opening import open_store
from catwalk.storage.s3_store import S3Store
from catwalk.telemetry.observer import Silent


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class HalfSent(io.BytesIO):
    """A body whose reader is killed half-way through sending it; the first pass only computes its hash."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._size, self._read = len(body), 0

    def read(self, size: int | None = -1) -> bytes:
        chunk = super().read(min(size or 4096, 4096) if size and size > 0 else 4096)
        self._read += len(chunk)
        if self._read > 1.5 * self._size:
            die()
        return chunk


class DeadlyStore(S3Store):
    """A store that kills this process around one write."""

    suffix, nth, moment = "", 0, ""
    writes = 0

    def _put(self, key: str, body: BinaryIO, conditions: Mapping[str, str]) -> Any:
        if not key.endswith(self.suffix):
            return super()._put(key, body, conditions)
        DeadlyStore.writes += 1
        if self.writes != self.nth:
            return super()._put(key, body, conditions)
        if self.moment == "before":
            die()
        sent: Any = HalfSent(body.read()) if self.moment == "during" else body
        answer = super()._put(key, sent, conditions)
        die()
        return answer


def main() -> int:
    stage, run_id, *deadly = sys.argv[1:]
    if deadly:
        DeadlyStore.suffix, DeadlyStore.nth, DeadlyStore.moment = deadly[0], int(deadly[1]), deadly[2]
    store = DeadlyStore(os.environ["CATWALK_STORE"]) if deadly else open_store()
    try:
        STAGE_FUNCTIONS[stage](Run(store, run_id), Silent())  # type: ignore[index]
    except CatwalkError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
