"""Downloads Grafana's official release if there is no Grafana on the PATH: once, and either completely or not.

The publisher's checksum is beside each archive. Any failure is one line, and the stack starts without Grafana.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import platform
import queue
import re
import shutil
import subprocess
import tarfile
import threading
import time
import urllib.error
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catwalk.environment.proxies import opener
from stack.configuration import grafana
from stack.native.starting import Say
from stack.settings import Settings, StackError

ANSWER_SECONDS = 4.0
"""The most time that a machine without access to the internet waits, including for its name server."""
STALL_SECONDS = 10.0
LIMIT_SECONDS = 600.0
"""The most seconds without a byte, and for the whole archive of about 200 MB."""
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_FAILURES = (
    *(OSError, StackError, http.client.HTTPException, subprocess.SubprocessError),
    *(tarfile.TarError, zlib.error, EOFError),
)


def provide(settings: Settings, say: Say) -> None:
    """Puts a Grafana where the stack finds it, or prints one line with the reason why there is none.

    Args:
        settings: The stack, whose ``CATWALK_GRAFANA_RELEASES`` names a mirror, or is ``off``.
        say: Takes a line.
    """
    if grafana.find():
        return None
    releases = grafana.releases(settings)
    if releases == "off":
        return say(grafana.MISSING)
    try:
        with _emptied(grafana.FETCHED) as folder:
            if not grafana.find():  # another start has not downloaded it in the meantime
                _get(f"{releases}/{archive_name()}", folder, say)
    except _FAILURES as error:
        say(f"no dashboards: can't get Grafana from {releases} ({_cause(error)}); see grafana/README.md for other ways")


def _cause(error: BaseException) -> str:
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return f"{error} for {error.url}"
    return " ".join(str(getattr(error, "reason", None) or error).split())


def archive_name() -> str:
    """Returns the name of the archive for this machine.

    Raises:
        StackError: there is none.
    """
    system, machine = platform.system().lower(), _MACHINES.get(platform.machine().lower())
    if system not in ("linux", "darwin") or machine is None:
        raise StackError(f"there is no release for {platform.system()} on {platform.machine()}")
    return f"grafana-{grafana.VERSION}.{system}-{machine}.tar.gz"


@contextmanager
def _emptied(target: Path) -> Iterator[Path]:
    """Yields an empty folder beside `target`, for one start at a time, and removes it afterwards."""
    target.parent.mkdir(exist_ok=True)
    folder = target.with_name(f"{target.name}.part")
    with target.with_name(f".{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(folder, ignore_errors=True)  # left by a start that was killed
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _get(url: str, folder: Path, say: Say) -> None:
    wanted = _checksum(f"{url}.sha256")
    say(f"downloading Grafana {grafana.VERSION} from {url} (once, about 200 MB) …")
    archive = folder / "archive.tar.gz"
    if _download(url, archive) != wanted:
        raise StackError("the archive does not match its checksum, or is incomplete")
    with tarfile.open(archive, "r:gz") as packed:
        packed.extractall(folder / "unpacked", filter="data")  # refuses files outside the folder
    shutil.rmtree(grafana.FETCHED, ignore_errors=True)
    _checked(folder / "unpacked").rename(grafana.FETCHED)


def _checksum(url: str) -> str:
    """Returns the publisher's checksum; it is the first request, so that a missing connection is noticed soon."""
    answers: queue.SimpleQueue[bytes | BaseException] = queue.SimpleQueue()

    def ask() -> None:
        try:
            with opener(url).open(url, timeout=2 * ANSWER_SECONDS) as answer:
                answers.put(answer.read(1_000))
        except Exception as error:
            answers.put(error)

    # Name resolution has no timeout, so it runs in a thread that is abandoned if it hangs.
    threading.Thread(target=ask, daemon=True).start()
    try:
        found = answers.get(timeout=ANSWER_SECONDS)
    except queue.Empty:
        raise StackError(f"no answer within {ANSWER_SECONDS:.0f} s") from None
    if isinstance(found, BaseException):
        raise found if isinstance(found, _FAILURES) else StackError(str(found))
    match = re.match(rb"[0-9a-f]{64}\b", found.strip())
    if not match:
        raise StackError(f"{url} contains no checksum")
    return match[0].decode()


def _download(url: str, path: Path) -> str:
    """Downloads a URL into a file; returns its SHA-256."""
    digest, deadline = hashlib.sha256(), time.monotonic() + LIMIT_SECONDS
    with opener(url).open(url, timeout=STALL_SECONDS) as answer, path.open("wb") as file:
        while block := answer.read1(1 << 20):
            digest.update(block)
            file.write(block)
            if time.monotonic() > deadline:
                raise StackError(f"the download took longer than {LIMIT_SECONDS:.0f} s")
    return digest.hexdigest()


def _checked(unpacked: Path) -> Path:
    """Returns the only folder of the archive, after a check that its program runs here."""
    homes = [path.parent.parent for path in unpacked.glob("*/bin/grafana") if path.is_file()]
    if len(homes) != 1 or not (homes[0] / "conf" / "defaults.ini").is_file():
        raise StackError("the archive contains no Grafana")
    command = [str(homes[0] / "bin" / "grafana"), "--version"]
    if subprocess.run(command, capture_output=True, timeout=60, check=False).returncode:
        raise StackError("its program does not run on this machine")
    return homes[0]
