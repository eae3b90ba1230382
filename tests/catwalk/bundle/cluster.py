"""Bundles for a cluster, and a stand-in for the kubelet that runs their pods."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from catwalk.bundle.kubernetes.cluster import Cluster
from catwalk.bundle.kubernetes.files import contents
from catwalk.bundle.options import Options
from stack.parts.health import get
from stack.ports import free_port
from stack.settings import PROJECT, tool
from tests.support.servers import PATIENCE, wait_until

Manifest = dict[str, Any]
PARTS = ("exporter", "statsd-exporter", "courier")
"""Parts of every bundle with a courier."""


@dataclass(frozen=True, eq=False)
class Made:
    """A bundle, by its options."""

    options: Options
    cluster: Cluster

    @cached_property
    def files(self) -> dict[str, str]:
        return contents(self.options, self.cluster)

    @cached_property
    def manifests(self) -> list[Manifest]:
        texts = [text for path, text in self.files.items() if path.startswith("kubernetes/")]
        return [each for text in texts for each in yaml.load_all(text, yaml.CSafeLoader)]

    def of_kind(self, kind: str) -> dict[str, Manifest]:
        """Component → its object."""
        found = [each for each in self.manifests if each["kind"] == kind]
        return {each["metadata"]["labels"]["app.kubernetes.io/component"]: each for each in found}

    def pod(self, part: str) -> Manifest:
        return dict(self.of_kind("Deployment")[part]["spec"]["template"]["spec"])

    def container(self, part: str) -> Manifest:
        [found] = self.pod(part)["containers"]
        return dict(found)


def of_image() -> dict[str, str]:
    """The variables of our image."""
    [text] = re.findall(r"^ENV (PATH=.*?[^\\])\n", (PROJECT / "Dockerfile").read_text(), re.MULTILINE | re.DOTALL)
    return dict(re.findall(r"(\w+)=(\S+)", text))


PORTS = ("9102", "9125", "9180", "9181", "9182", "9183")


@dataclass(frozen=True)
class Kubelet:
    """Starts containers with the exact arguments and variables of their manifests.

    Only where it is differs: Services, ports and folders are this machine's.
    """

    made: Made
    folder: Path
    """Root of all paths of the containers."""
    objects: Mapping[str, Mapping[str, str]]
    """Name of a ConfigMap or Secret of the adopter → its data."""
    ports: dict[str, int] = field(default_factory=lambda: {port: free_port() for port in PORTS})

    @contextmanager
    def running(self, part: str) -> Iterator[subprocess.Popen[bytes]]:
        """A container whose probes have answered; at the end it gets SIGTERM."""
        self._mount(part)
        with (self.folder / f"{part}.log").open("wb") as log:
            process = subprocess.Popen(
                self._command(part), cwd=self.folder, env=self._environment(part), stdout=log, stderr=log
            )
            try:
                for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                    self._probe(part, probe)
                yield process
            finally:
                process.terminate()
                process.wait(PATIENCE)

    def _here(self, text: str) -> str:
        """A text of a manifest, with this machine's addresses and folders."""
        text = re.sub(r"[\w-]+\.[\w-]+\.svc\b|\b0\.0\.0\.0\b|(?<==)(?=:\d+$)", "127.0.0.1", text)
        text = re.sub(r"(?:^|(?<==))(?=/(?:etc|var|tmp)\b)", str(self.folder), text)
        return re.sub(rf"\b({'|'.join(self.ports)})$", lambda port: str(self.ports[port[1]]), text)

    def _command(self, part: str) -> list[str]:
        described = self.made.container(part)
        program = {"python": sys.executable, "catwalk": str(Path(sys.executable).parent / "catwalk")}
        argv = [program.get(word, self._here(word)) for word in described.get("command", [])]
        return argv or [str(tool("statsd_exporter")), *map(self._here, described["args"])]

    def _environment(self, part: str) -> dict[str, str]:
        """The image's variables, then those of the manifest in Kubernetes' order: `env` wins over `envFrom`."""
        described, found = self.made.container(part), {} if part == "statsd-exporter" else of_image()
        for source in described.get("envFrom", []):
            [reference] = source.values()
            assert reference["optional"] or reference["name"] in self.objects
            found |= self.objects.get(reference["name"], {})
        found |= {one["name"]: one["value"] for one in described.get("env", [])}
        installed = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{PROJECT}:{PROJECT / 'monitoring'}"}
        return {name: self._here(value) for name, value in found.items()} | installed

    def _mount(self, part: str) -> None:
        sources = {volume["name"]: volume for volume in self.made.pod(part)["volumes"]}
        for mount in self.made.container(part)["volumeMounts"]:
            path = Path(self._here(mount["mountPath"]))
            (path / "..data").mkdir(parents=True, exist_ok=True)
            for name, text in self._held(sources[mount["name"]]).items():
                (path / "..data" / name).write_text(text)
                (path / name).symlink_to(f"..data/{name}")  # as a kubelet does

    def _held(self, volume: Manifest) -> Mapping[str, str]:
        """Name → text of a volume's initial files."""
        if "secret" in volume:
            return self.objects[volume["secret"]["secretName"]]
        held = {each["metadata"]["name"]: each["data"] for each in self.made.manifests if "data" in each}
        return dict(held[volume["configMap"]["name"]]) if "configMap" in volume else {}

    def _probe(self, part: str, probe: str) -> None:
        """Waits until a probe succeeds."""
        ports = {port["name"]: str(port["containerPort"]) for port in self.made.container(part)["ports"]}
        asked = self.made.container(part)[probe]["httpGet"]
        url = f"http://127.0.0.1:{self.ports[ports[asked['port']]]}{asked['path']}"
        wait_until(lambda: get(url) is not None, f"{part} answers to its {probe}")
