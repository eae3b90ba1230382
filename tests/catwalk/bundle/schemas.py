"""JSON schemas of Kubernetes' objects for kubeconform, strict: an unknown field is refused.

Made from files of Go modules that no program here is built from: Kubernetes' own OpenAPI, and the definitions of the
Prometheus operator.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from stack.bootstrap import SetupError, find_go
from tests.support.tools import MODULES, one_at_a_time, tool

Schema = dict[str, Any]
PINNED = MODULES / "kubeconform" / "schemas.json"
"""Modules with their checksums, and the files that we take from each."""
_LOOSE = {
    "int-or-string": {"oneOf": [{"type": "integer"}, {"type": "string"}]},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"oneOf": [{"type": "number"}, {"type": "string"}]},
}
"""Types that OpenAPI calls a string and that JSON may hold as a number."""
_META = {"$ref": "definitions.json#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}


def write(folder: Path) -> None:
    """One file for each kind, with a name that kubeconform finds, beside the definitions that they refer to."""
    given = laid(tool("kubeconform").parent / "schemas", PINNED.read_text())
    definitions = json.loads((given / "swagger.json").read_text())["definitions"]
    strict = {name: _LOOSE.get(name) or _strict(schema) for name, schema in definitions.items()}
    (folder / "definitions.json").write_text(json.dumps({"definitions": strict}))
    for name, schema in definitions.items():
        for kind in schema.get("x-kubernetes-group-version-kind", []):
            reference = {"$ref": f"definitions.json#/definitions/{name}"}
            _put(folder, kind["kind"], kind["group"], kind["version"], reference)
    for path in given.glob("*.yaml"):
        _definition(folder, yaml.safe_load(path.read_text())["spec"])


def laid(folder: Path, pinned: str) -> Path:
    """A folder with the pinned files, which are downloaded once.
    Returns a folder with the pinned files, which are downloaded once.
        Raises:
            SetupError: A module can't be downloaded, or differs from the pinned one.
    """
    stamp = folder / ".laid"
    with one_at_a_time():
        if not stamp.exists() or stamp.read_text() != pinned:
            folder.mkdir(parents=True, exist_ok=True)
            for each in json.loads(pinned):
                source = _go_module(each["module"], each["sum"])
                for name in each["files"]:
                    shutil.copyfile(source / name, folder / Path(name).name)  # the module cache is read-only
            stamp.write_text(pinned)
    return folder


def _go_module(name: str, wanted: str) -> Path:
    """Returns the folder of a Go module in Go's cache, after checking its sum as a go.sum would."""
    # Runs outside any module: nothing here is built from it, so no go.mod lists it.
    command = [find_go(), "mod", "download", "-json", name]
    environment = {**os.environ, "GOFLAGS": "", "GO111MODULE": "on"}
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout) if done.stdout else {"Error": done.stderr}
    if found.get("Error"):
        raise SetupError(f"downloading {name} failed: {' '.join(found['Error'].split())[:300]}")
    if found["Sum"] != wanted:
        raise SetupError(f"{name} has the sum {found['Sum']}, not {wanted}: it differs from the pinned one")
    return Path(found["Dir"])


def _definition(folder: Path, spec: Schema) -> None:
    for version in spec["versions"]:
        schema = _strict(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = _META
        _put(folder, spec["names"]["kind"], spec["group"], version["name"], schema)


def _put(folder: Path, kind: str, group: str, version: str, schema: Schema) -> None:
    head = {"required": ["apiVersion", "kind", "metadata"]}
    # kubeconform uses the version as the group if there is none.
    (folder / f"{kind}-{group or version}-{version}.json".lower()).write_text(json.dumps({"allOf": [schema, head]}))


def _strict(value: Any) -> Any:
    if isinstance(value, list):
        return [_strict(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("format") == "int-or-string":
        return _LOOSE["int-or-string"]
    found = {name: _strict(each) for name, each in value.items() if name != "$ref"}
    if isinstance(value.get("$ref"), str):
        found["$ref"] = value["$ref"].replace("#/definitions", "definitions.json#/definitions")
    if isinstance(value.get("properties"), dict) and not value.get("x-kubernetes-preserve-unknown-fields"):
        found.setdefault("additionalProperties", False)
    return found


def complaints(manifests: str, schemas: Path) -> list[str]:
    """Returns what kubeconform says about YAML documents; empty if they are all valid."""
    command = [
        str(tool("kubeconform")),
        "-output=json",
        "-strict",
        "-schema-location",
        f"{schemas}/{{{{.ResourceKind}}}}-{{{{.Group}}}}-{{{{.ResourceAPIVersion}}}}.json",
    ]
    done = subprocess.run(command, input=manifests, capture_output=True, text=True, timeout=300, check=False)
    found = json.loads(done.stdout)["resources"] if done.stdout else [{"msg": done.stderr}]
    return [f"{each.get('kind')} {each.get('name')}: {each['msg']}" for each in found]
