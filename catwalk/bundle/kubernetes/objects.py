"""Metadata that all manifests have in common, and their YAML."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from catwalk.bundle import blocks
from catwalk.bundle.kubernetes.cluster import OWN_LABELS, Cluster

Manifest = dict[str, Any]


def made(
    version: str, kind: str, name: str, cluster: Cluster, part: str, annotations: Mapping[str, str] | None = None
) -> Manifest:
    """The head of an object that belongs to a part; the caller adds the body."""
    described: Manifest = {
        "name": name,
        "namespace": cluster.namespace,
        "labels": {**chosen(cluster, part), **cluster.labels},
    }
    if annotations:
        described["annotations"] = dict(annotations)
    return {"apiVersion": version, "kind": kind, "metadata": described}


def chosen(cluster: Cluster, part: str) -> dict[str, str]:
    """Labels that only one part of one Catwalk has."""
    return {
        f"{OWN_LABELS}part-of": "catwalk",
        f"{OWN_LABELS}instance": cluster.name,
        f"{OWN_LABELS}component": part.replace("_", "-"),
    }


def slug(text: str) -> str:
    """A text in the characters of an object's name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def short(text: str) -> str:
    """A text of any script as up to 16 characters of an object's name; a digest tells apart texts that look alike."""
    found = slug(text)
    if found == text and len(found) <= _SHORT:
        return found
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
    return f"{found[: _SHORT - _DIGEST - 1].rstrip('-')}-{digest}".lstrip("-")


_SHORT, _DIGEST = 16, 8


def dump(manifests: Iterable[Manifest], head: str) -> str:
    """YAML documents below a comment."""
    return head + "\n" + "".join(f"---\n{blocks.dump(manifest)}" for manifest in manifests)
