"""A Prometheus that scrapes nothing, and has samples that were written for it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stack.parts.health import get
from stack.ports import free_port
from stack.settings import tool
from tests.support.servers import wait_for_port, wait_until


def create_blocks(samples: Path, data: Path) -> None:
    """Makes blocks, in a folder, of a file of OpenMetrics."""
    command = [str(tool("promtool")), "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=720h"]
    subprocess.run([*command, "--quiet", str(samples), str(data)], check=True, capture_output=True, timeout=550)


@contextmanager
def recorded(folder: Path) -> Iterator[str]:
    """The address of one whose blocks are in a folder's ``data``."""
    (folder / "prometheus.yml").write_text("{}")
    port = free_port()
    with over_blocks(folder, port):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def over_blocks(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """One that reads a folder's ``prometheus.yml`` and the blocks in its ``data``, once it is ready."""
    command = [
        str(tool("prometheus")),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=400d",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port, process)
        wait_until(lambda: get(f"http://127.0.0.1:{port}/-/ready") is not None, "Prometheus is ready")
        yield process
    finally:
        process.terminate()
        process.wait(30)
