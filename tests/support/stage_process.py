"""Runs one stage as a process that can be killed, by itself at a chosen write if asked.

    stage_process.py STAGE RUN_ID [SUFFIX NTH before|during|after]

kills itself (SIGKILL) around the NTH write of the object whose key ends in SUFFIX; `during` means with half of the
body sent.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from catwalk.errors import CatwalkError
from catwalk.ledger.runs import Run
from catwalk.stages.pipeline import STAGE_FUNCTIONS
from catwalk.storage.file_store import FileStore
from catwalk.storage.opening import open_store
from catwalk.storage.s3_store import S3Store
from catwalk.telemetry.observer import Silent


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class HalfSent(io.BytesIO):
    """A body whose reader is killed half-way through it, in its last pass: boto3's first one only computes its hash."""

    def __init__(self, body: bytes, passes: int) -> None:
        super().__init__(body)
        self._last, self._read = (passes - 0.5) * len(body), 0

    def read(self, size: int | None = -1) -> bytes:
        chunk = super().read(min(size or 4096, 4096) if size and size > 0 else 4096)
        self._read += len(chunk)
        if self._read > self._last:
            die()
        return chunk


class Deadly:
    """One write that kills this process."""

    suffix, nth, moment = "", 0, ""
    writes = 0

    def around(self, key: str, body: BinaryIO, passes: int, write: Callable[[BinaryIO], Any]) -> Any:
        Deadly.writes += key.endswith(self.suffix)
        if not (key.endswith(self.suffix) and self.writes == self.nth):
            return write(body)
        if self.moment == "before":
            die()
        written = write(HalfSent(body.read(), passes) if self.moment == "during" else body)
        die()
        return written


class DeadlyS3(Deadly, S3Store):
    """A store in S3 with a deadly write."""

    def _put(self, key: str, body: BinaryIO, conditions: Mapping[str, str]) -> Any:
        write = super()._put
        return self.around(key, body, 2, lambda sent: write(key, sent, conditions))


class DeadlyFolder(Deadly, FileStore):
    """A folder with a deadly write."""

    def _put(self, key: str, source: BinaryIO, if_match: str | None = None, create: bool = False) -> str:
        write = super()._put
        return str(self.around(key, source, 1, lambda sent: write(key, sent, if_match, create)))


def main() -> int:
    stage, run_id, *deadly = sys.argv[1:]
    if deadly:
        Deadly.suffix, Deadly.nth, Deadly.moment = deadly[0], int(deadly[1]), deadly[2]
    url = os.environ["CATWALK_STORE"]
    store = (DeadlyS3 if url.startswith("s3:") else DeadlyFolder)(url) if deadly else open_store()
    try:
        STAGE_FUNCTIONS[stage](Run(store, run_id), Silent())  # type: ignore[index]
    except CatwalkError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
