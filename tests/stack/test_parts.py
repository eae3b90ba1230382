"""When a part counts as healthy."""

from __future__ import annotations

import errno
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from catwalk.environment.addresses import HOST, PORTS
from catwalk.serving.holder import CLOSE_SECONDS
from catwalk.serving.limits import Limits
from stack.native import control, programs
from stack.parts.order import parts
from stack.settings import Settings


@pytest.mark.parametrize("status", ["healthy", "unhealthy"])
def test_airflows_api_server_is_unhealthy_without_its_database(tmp_path: Path, status: str) -> None:
    """Its health page answers 200 either way, and its body tells the difference."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"metadatabase": {"status": status}, "scheduler": {"status": None}}).encode())

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer((HOST, 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings = Settings(tmp_path, {**PORTS, "airflow": server.server_address[1]})
        assert parts(settings)["airflow-api-server"].healthy() == (status == "healthy")
        server.shutdown()


def test_the_metadata_of_objects_stays_in_place_if_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elsewhere, the server would not find it, and each object would have lost its ETag."""

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "setxattr", lambda *arguments: None)
    before = parts(Settings(tmp_path))["s3"].command
    (tmp_path / "s3" / "catwalk").mkdir()
    monkeypatch.setattr(os, "setxattr", full)
    assert parts(Settings(tmp_path))["s3"].command == before
    assert not (tmp_path / "s3-metadata").exists()
    (tmp_path / "another").mkdir()
    assert "--sidecar" in parts(Settings(tmp_path / "another"))["s3"].command, "a disk without attributes"
    (tmp_path / "another" / "s3" / "catwalk").mkdir()
    assert "--sidecar" in parts(Settings(tmp_path / "another"))["s3"].command


def test_a_models_server_is_a_part_once_you_name_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CATWALK_SERVE_MODEL", raising=False)
    settings = Settings(tmp_path)
    assert "serve" not in parts(settings)
    (tmp_path / "local.env").write_text("CATWALK_SERVE_MODEL=churn\n")
    found = parts(settings)["serve"]
    assert found.command[3:5] == ["serve", "churn"]
    assert found.ports == ("serve", "serve_metrics")


def test_a_models_server_gets_the_time_that_it_needs_to_end(tmp_path: Path) -> None:
    (tmp_path / "local.env").write_text("CATWALK_SERVE_MODEL=churn\n")
    settings = Settings(tmp_path)
    serve = parts(settings)["serve"]
    assert Limits.drain_seconds + CLOSE_SECONDS < serve.stop_seconds < control.STOP_SECONDS
    programs.write(settings, serve)
    [section] = programs.sections(settings)
    assert f"stopwaitsecs={serve.stop_seconds}\n" in section
