"""Names and namespaces in your Kubernetes cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata

from catwalk.errors import ConfigError
from catwalk.ledger import model_names
from catwalk.storage.s3_store import location

_NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
"""A DNS label that begins with a letter (RFC 1035), with room for the suffix `-statsd-exporter`."""
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_NAME = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_IMAGE = re.compile(r"[A-Za-z0-9][^\s@]*(@sha256:[0-9a-f]{64})?")
OWN_LABELS = "app.kubernetes.io/"
"""Prefix of the labels that Services, monitors and policies select pods by."""


def default_image() -> str:
    """The image that `docker compose build` makes."""
    return f"catwalk:{metadata.version('catwalk-mlops')}"


@dataclass(frozen=True)
class Cluster:
    """The options of ``catwalk bundle --format kubernetes`` that other bundles don't have.

    Raises:
        ConfigError: A value makes no sense; the line names its option.
    """

    store: str
    """URL of the ledger, in S3."""
    image: str = field(default_factory=default_image)
    """Catwalk's image, as the cluster pulls it."""
    name: str = "catwalk"
    """Prefix of each object's name."""
    namespace: str = "catwalk"
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of each object, besides our own, for the operator's selectors."""
    airflow_namespace: str = "airflow"
    """Where Airflow's pods and tasks run, which send StatsD."""
    monitoring_namespace: str = "monitoring"
    """Where Prometheus and Alertmanager run."""
    served: tuple[str, ...] = ()
    """Models whose champion a server in the cluster answers with."""

    def __post_init__(self) -> None:
        _check_store(self.store)
        if not _IMAGE.fullmatch(self.image):
            raise ConfigError(f"--image takes the name of an image, such as registry/catwalk:tag, not {self.image!r}")
        if not _NAME.fullmatch(self.name):
            raise ConfigError(f"--name takes up to 40 of a-z, 0-9 and -, and begins with a letter; not {self.name!r}")
        for flag in ("namespace", "airflow_namespace", "monitoring_namespace"):
            if not _NAMESPACE.fullmatch(getattr(self, flag)):
                raise ConfigError(f"--{flag.replace('_', '-')} is not the name of a namespace: {getattr(self, flag)!r}")
        _check_labels(self.labels)
        object.__setattr__(self, "served", _models(self.served))

    def called(self, part: str) -> str:
        """The name of a part's objects."""
        return f"{self.name}-{part.replace('_', '-')}"

    def host(self, part: str) -> str:
        """The DNS name of a part's Service, from every namespace."""
        return f"{self.called(part)}.{self.namespace}.svc"


def _check_store(url: str) -> None:
    if not url.startswith("s3://"):
        raise ConfigError(f"--store takes s3://bucket[/prefix], not {url!r}: each pod would have a different folder")
    try:
        location(url)
    except ConfigError as error:
        raise ConfigError(str(error).replace("CATWALK_STORE", "--store")) from None


def _models(names: tuple[str, ...]) -> tuple[str, ...]:
    """Each name in the one spelling that the ledger has."""
    found = []
    for name in names:
        try:
            found.append(model_names.checked(name))
        except ConfigError as error:
            raise ConfigError(f"--serve: {error}") from None
        if found.count(found[-1]) > 1:
            raise ConfigError(f"--serve names the model {found[-1]} twice; scale its Deployment instead")
    return tuple(found)


def _check_labels(labels: Mapping[str, str]) -> None:
    for name, value in labels.items():
        if not _LABEL_NAME.fullmatch(name) or not _LABEL_VALUE.fullmatch(value):
            raise ConfigError(f"--label {name}={value} is not a Kubernetes label")
        if name.startswith(OWN_LABELS):
            raise ConfigError(f"--label {name} is set by Catwalk itself: its Services find their pods by it")
