"""A mirror of Grafana's releases on this machine, which may fail in any way that a mirror can."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from stack.native.grafana_release import archive_name
from tests.stack import grafana_stand_in


def packed(folder: Path, top: str = "grafana-12", **others: bytes) -> bytes:
    """Returns an archive of a folder, packed as releases are; `others` are names and contents that it contains as
    well.
    """
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz", compresslevel=1) as archive:
        archive.add(folder, arcname=top)
        for name, content in others.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return raw.getvalue()


def stand_in(folder: Path, port: int = 1) -> bytes:
    """Returns the archive of a Grafana that runs here; see `grafana_stand_in`."""
    grafana_stand_in.install(folder, port)
    return packed(folder)


@dataclass
class Mirror:
    """A mirror: its files, and how it answers; a test can change both while it runs."""

    archive: bytes
    checksum: str = ""
    """The default is the right one."""
    missing: tuple[str, ...] = ()
    """Suffixes of paths that it does not have."""
    body: Callable[[BaseHTTPRequestHandler, bytes], None] = lambda handler, content: _whole(handler, content)
    """Sends the archive."""
    silent: bool = False
    """Accepts every request and never answers."""
    asked: list[str] = field(default_factory=list)
    url: str = ""
    gone: threading.Event = field(default_factory=threading.Event)
    """The end of the test."""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append(handler.path)
        if self.silent:
            self.gone.wait(60)
        elif handler.path.endswith(self.missing) or archive_name() not in handler.path:
            handler.send_error(404)
        elif handler.path.endswith(".sha256"):
            text = self.checksum or hashlib.sha256(self.archive).hexdigest()
            _whole(handler, f"{text}  {archive_name()}\n".encode())
        else:
            self.body(handler, self.archive)


def _whole(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


@contextmanager
def serving(mirror: Mirror) -> Iterator[Mirror]:
    """Answers at its `url`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            mirror.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    mirror.url = f"http://127.0.0.1:{server.server_address[1]}/oss/release"
    try:
        yield mirror
    finally:
        mirror.gone.set()
        server.shutdown()
        thread.join()
        server.server_close()
