"""A Grafana for machines that have none: it reads its settings where Grafana does, and protects what Grafana protects.

`conf/defaults.ini` below its `--homepath`, then the file of `--config`, then ``GF_<SECTION>_<KEY>``: the last one wins.
"""

from __future__ import annotations

import base64
import configparser
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

DEFAULTS = """\
[paths]
provisioning = conf/provisioning
[server]
http_addr =
http_port = {port}
[security]
admin_user = admin
admin_password = admin
[auth.anonymous]
enabled = false
"""


def install(folder: Path, port: int) -> Path:
    """Writes the program and its defaults to a folder, laid out like Grafana; returns the folder for the PATH.

    Args:
        folder: May be missing.
        port: The port on which it listens, on every interface, unless a setting says otherwise.
    """
    (folder / "bin").mkdir(parents=True)
    (folder / "conf").mkdir()
    (folder / "conf" / "defaults.ini").write_text(DEFAULTS.format(port=port))
    program = folder / "bin" / "grafana"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} "$@"\n')
    program.chmod(0o755)
    return folder / "bin"


def settings(arguments: list[str]) -> configparser.ConfigParser:
    """Returns the settings from the command line and the environment."""
    flags = dict(argument.removeprefix("--").split("=", 1) for argument in arguments if "=" in argument)
    found = configparser.ConfigParser(interpolation=None)
    found.read([Path(flags["homepath"]) / "conf" / "defaults.ini", flags["config"]])
    for section in found.sections():
        for key in found[section]:
            name = f"GF_{section}_{key}".upper().replace(".", "_").replace("-", "_")
            found[section][key] = os.environ.get(name) or found[section][key]
    return found


def main(arguments: list[str]) -> None:
    """Serves forever."""
    if arguments == ["--version"]:
        return
    assert arguments[0] == "server"
    known = settings(arguments)
    security = known["security"]
    login = base64.b64encode(f"{security['admin_user']}:{security['admin_password']}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            let_in = self.headers.get("Authorization") == f"Basic {login}"
            let_in |= self.path == "/api/health" or known["auth.anonymous"]["enabled"] == "true"
            self.send_response(200 if let_in else 401)
            self.end_headers()
            self.wfile.write(known["paths"]["provisioning"].encode() if let_in else b"")

    HTTPServer((known["server"]["http_addr"], known["server"].getint("http_port")), Handler).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
