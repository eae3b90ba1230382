"""`make sbom`: writes a CycloneDX list of what containers run: the Python packages of our image, every image, every
server.

It is made only from pins (requirements.txt, Dockerfile, docker-compose.yaml, stack/tools), so the same commit gives the
same bytes. It does not list the contents of third-party images. Licences are read from the packages installed here.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any

import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from jsonschema import Draft7Validator
from packaging.requirements import Requirement
from rfc3986_validator import validate_rfc3986

from catwalk.entry_point import entry_point
from stack.bootstrap import MODULES, tool_packages, tool_version
from stack.settings import PROJECT, StackError

SCHEMA = SchemaVersion.V1_6
_OF_CUDA = re.compile(r"(cuda|nvidia|triton)[a-z0-9-]*==")
"""Lines that the Dockerfile leaves out: which of them torch needs depends on `UV_TORCH_BACKEND`."""


def python_image() -> str:
    """Returns the base image of ours."""
    found = re.search(r"^FROM (\S+) AS base$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    if not found:
        raise StackError("Dockerfile has no line FROM … AS base; adapt stack/sbom.py to it")
    return found[1]


def images() -> dict[str, str]:
    """Returns the image of each service in docker-compose.yaml that runs a third-party image."""
    services = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())["services"]
    ours = {service["image"] for service in services.values() if "build" in service}
    return {name: service["image"] for name, service in services.items() if service["image"] not in ours}


def requirements(text: str, python: str) -> list[str]:
    """Returns the lines ``name==version`` that apply to our image.

    Args:
        text: The text of requirements.txt.
        python: The version of its Python, such as 3.13.1.
    """
    there = {
        "implementation_name": "cpython",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": python,
        "python_version": python.rpartition(".")[0],
        "sys_platform": "linux",
    }
    lines = [line for line in text.splitlines() if re.match(r"[a-z0-9]", line) and not _OF_CUDA.match(line)]
    found = [Requirement(line) for line in lines]
    return [f"{one.name}{one.specifier}" for one in found if not one.marker or one.marker.evaluate(there)]


_OPTIONS = ("--no-validate", "--output-reproducible", "--of", "JSON")


def bill() -> dict[str, Any]:
    """Returns the whole list in CycloneDX's format, checked against its schema.

    Raises:
        StackError: the tool fails, or its output does not match the schema.
    """
    python = python_image().partition(":")[2].partition("-")[0]
    packages = requirements((PROJECT / "requirements.txt").read_text(), python)
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", *_OPTIONS, "--sv", SCHEMA.to_version()]
    command += ["--pyproject", str(PROJECT / "pyproject.toml"), "-"]
    done = subprocess.run(command, input="\n".join(packages), capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackError(f"cyclonedx-py failed: {done.stderr.strip().splitlines()[-1]}")
    document: dict[str, Any] = json.loads(done.stdout)
    for component in document["components"]:
        for key in ("description", "externalReferences"):  # the line of a file, and an index's address
            component.pop(key, None)
        component["bom-ref"] = component["purl"]
        if licence := _licence(component["name"]):
            component["licenses"] = [licence]
    document["components"] += [_image(image) for image in sorted({python_image(), *images().values()})]
    document["components"] += [_server(path.read_text()) for path in sorted(MODULES.glob("*/go.mod"))]
    root = document["metadata"]["component"]["bom-ref"]
    parts = sorted(component["bom-ref"] for component in document["components"])
    document["dependencies"] = [{"ref": root, "dependsOn": parts}, *({"ref": part} for part in parts)]
    check(document)
    return document


def check(document: dict[str, Any]) -> None:
    """Checks a list against CycloneDX's schema.

    Raises:
        StackError: it does not match.
    """
    problem = JsonStrictValidator(SCHEMA).validate_str(json.dumps(document))
    if problem:
        raise StackError(f"the list does not match CycloneDX {SCHEMA.to_version()}: {problem}")


def _is_address(value: object) -> bool:
    """Checks more strictly than the schema, which allows characters outside ASCII; a check of those takes a second to
    import.
    """
    return not isinstance(value, str) or bool(validate_rfc3986(value, rule="URI_reference"))


Draft7Validator.FORMAT_CHECKER.checks("iri-reference")(_is_address)


def _licence(package: str) -> dict[str, Any] | None:
    """Returns the licence that a package declares; None if it declares none or is not installed here."""
    try:
        found = metadata(package)
    except PackageNotFoundError:
        return None
    if "License-Expression" in found:
        return {"expression": found["License-Expression"], "acknowledgement": "declared"}
    classified = [line for line in found.get_all("Classifier") or () if line.startswith("License :: ")]
    written = (found.get_all("License") or [""])[0]
    name = classified[0].rpartition(" :: ")[2] if classified else written.strip().split("\n")[0]
    return {"license": {"name": name, "acknowledgement": "declared"}} if name else None


def _image(image: str) -> dict[str, Any]:
    name, _, tag = image.partition(":")
    purl = f"pkg:docker/{name if '/' in name else f'library/{name}'}@{tag}"
    return {"type": "container", "name": name, "version": tag, "purl": purl, "bom-ref": purl}


def _server(go_mod: str) -> dict[str, Any]:
    """Returns a server or command that the native stack builds from its module."""
    version = tool_version(go_mod)
    tool = next(iter(tool_packages(go_mod)), "")
    pinned = re.findall(rf"^\s*(?:require )?(\S+) {re.escape(version)}\b", go_mod, re.MULTILINE)
    module = max(path for path in pinned if not tool or f"{tool}/".startswith(f"{path}/"))
    purl = f"pkg:golang/{module}@{version}"
    return {"type": "application", "name": module, "version": version, "purl": purl, "bom-ref": purl}


@entry_point("stack")
def main() -> None:
    """Entry point."""
    path = PROJECT / "sbom.json"
    document = bill()
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
    kinds = [component["type"] for component in document["components"]]
    counts = f"{kinds.count('library')} Python packages, {kinds.count('container')} images"
    print(f"wrote {path.name}: {counts}, {kinds.count('application')} native servers; CycloneDX {SCHEMA.to_version()}")


if __name__ == "__main__":
    sys.exit(main())
