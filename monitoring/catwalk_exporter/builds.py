"""Builds reports and comparisons on request: one at a time, each in a separate process."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from catwalk_exporter.workplace import workplace

RunIds = tuple[str, ...]
"""One run, for its report, or several, for their comparison, the baseline first."""
Version = tuple[float, ...]
"""For each of these runs, a value that changes when the run does."""

log = logging.getLogger("catwalk.exporter")

REST_SECONDS = 600.0
"""How long after a failed build a request tries again."""
_REMEMBERED = 16
"""How many reports, of some MB each, are kept if the ledger refuses them."""
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Each thread of numpy would reserve its own memory."""


@dataclass(frozen=True)
class Outcome:
    """The result of building a report that is not in the ledger."""

    version: Version
    """The version of its runs."""
    failure: str = ""
    """Why there is no report, in one line."""
    files: dict[str, bytes] = field(default_factory=dict)
    """The files that the ledger refused, by path within the run's folder."""
    since: float = field(default_factory=time.monotonic)

    def stands(self, version: Version) -> bool:
        """Returns whether the outcome is still valid for this version."""
        return version == self.version and not (self.failure and time.monotonic() - self.since > REST_SECONDS)


class Builds:
    """Builds reports and remembers the results. Safe to share between threads.

    There is no queue: a caller that finds another build in progress asks again later, as the page does automatically.
    """

    def __init__(self, command: tuple[str, ...] = (sys.executable, "-m", "catwalk_exporter.build")) -> None:
        """
        Args:
            command: The command that builds; a folder and run ids are appended.
        """
        self._command = command
        self._lock = threading.Lock()
        self._busy = self._stopped = False
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        self._outcomes: OrderedDict[RunIds, Outcome] = OrderedDict()

    def known(self, run_ids: RunIds, version: Version) -> Outcome | None:
        """Returns the result of a build of this version, if there was one; see :meth:`ask`."""
        with self._lock:
            known = self._outcomes.get(run_ids)
            if known is None or not known.stands(version):
                return None
            self._outcomes.move_to_end(run_ids)
            return known

    def ask(self, run_ids: RunIds, version: Version) -> Outcome | None:
        """Returns the result of building a report that the ledger lacks; None if the build is in progress or still to
        start, so ask again.

        Args:
            run_ids: Runs in the ledger; a single run must have ended.
            version: A value that changes when a run does; results of other versions are no longer valid.
        """
        if known := self.known(run_ids, version):
            return known
        with self._lock:
            if not (self._busy or self._stopped):
                self._busy = True
                self._thread = threading.Thread(target=self._build, args=(run_ids, version), name="build", daemon=True)
                self._thread.start()
        return None

    def file(self, run_id: str, path: str) -> bytes | None:
        """Returns a file of a report that the ledger refused; None if there is none."""
        with self._lock:
            known = self._outcomes.get((run_id,))
        return known.files.get(path) if known else None

    def stop(self) -> None:
        """Ends the current build, and lets it clean up."""
        with self._lock:
            self._stopped = True
            if self._process:
                self._process.kill()
        if self._thread:
            self._thread.join(1.0)

    def _build(self, run_ids: RunIds, version: Version) -> None:
        try:
            failure, files = self._built(run_ids)
        except Exception as error:  # such as a full disk; otherwise no other report would ever be built
            failure, files = f"{type(error).__name__}: {error}", {}
        with self._lock:
            self._busy, self._process = False, None
            self._outcomes.pop(run_ids, None)
            if failure or files:
                self._outcomes[run_ids] = Outcome(version, failure, files)
            while len(self._outcomes) > _REMEMBERED:
                self._outcomes.popitem(last=False)
        if failure:
            log.warning("%s could not be built: %s", _subject(run_ids), failure)

    def _built(self, run_ids: RunIds) -> tuple[str, dict[str, bytes]]:
        """Returns why the build failed, or the files that the ledger refused; neither if the ledger took them."""
        with workplace() as folder:
            with self._lock:
                if self._stopped:
                    return "", {}
                self._process = process = subprocess.Popen(
                    [*self._command, str(folder), *run_ids],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    errors="replace",
                    env={**os.environ, **_ONE_THREAD},
                )
            refusal, said = process.communicate()
            if process.returncode:
                return _failure(process.returncode, said), {}
            files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")}
        log.info("built %s%s", _subject(run_ids), f", kept here: {refusal.strip()}" if refusal else "")
        return "", files


def _subject(run_ids: RunIds) -> str:
    """Returns what is built, for the log."""
    return f"the report of {run_ids[0]}" if len(run_ids) == 1 else f"the comparison of {', '.join(run_ids)}"


def _failure(code: int, said: str) -> str:
    if code == -signal.SIGALRM:
        return "it took too long"
    if code < 0:
        return f"it was killed by {signal.Signals(-code).name}; is there enough memory?"
    line = (said.strip().splitlines() or [f"exit code {code}"])[-1]
    return line.removeprefix("catwalk report: ").removeprefix("catwalk: ")
