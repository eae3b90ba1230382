"""Catwalk's own services, and Airflow: the parts that run in our Python environment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from catwalk.environment.addresses import HOST
from catwalk.notifications import receivers
from stack.configuration.environment import client_environment
from stack.parts import workers
from stack.parts.health import airflow_says, answers
from stack.parts.part import Part
from stack.settings import PROJECT, Settings

_PROGRAMS = PROJECT / ".venv" / "bin"
_PACKAGES = PROJECT / ".venv" / ".catwalk-packages"
"""The stamp of what setup has installed."""
_CODE = (PROJECT / "catwalk", PROJECT / "ml", PROJECT / "monitoring", _PACKAGES)
_COMPONENTS = {"scheduler": ["--skip-serve-logs"], "dag-processor": [], "triggerer": ["--skip-serve-logs"]}
"""The flags of Airflow's components. Their log servers would listen on every interface; on one machine the API server
reads the files itself.
"""


def exporter(settings: Settings) -> Part:
    """Returns the exporter."""
    return _service(settings, "exporter", _CODE)


def courier(settings: Settings) -> Part:
    """Returns the courier, which reads the receivers when it starts."""
    return _service(settings, "courier", (*_CODE, receivers.folder(client_environment(settings))))


def serve(settings: Settings) -> list[Part]:
    """Returns the server of a model, if the stack's owner has named one; it waits until the model has a champion."""
    model = client_environment(settings).get("CATWALK_SERVE_MODEL", "")
    if not model:
        return []
    port, metrics = (str(settings.ports[name]) for name in ("serve", "serve_metrics"))
    return [
        Part(
            "serve",
            [
                *(str(_PROGRAMS / "python"), "-m", "catwalk", "serve", model, "--host", HOST, "--port", port),
                *("--metrics-port", metrics, "--log", str(settings.home / "serve-log")),
            ],
            ("serve", "serve_metrics"),
            answers(settings, "serve", "/healthz"),
            settings.url("serve"),
            _CODE,
            stop_seconds=40,
        )
    ]


def _service(settings: Settings, name: str, reads: tuple[Path, ...]) -> Part:
    port = str(settings.ports[name])
    return Part(
        name,
        [str(_PROGRAMS / "python"), "-m", f"catwalk_{name}", "--host", HOST, "--port", port],
        (name,),
        answers(settings, name, "/healthz"),
        settings.url(name),
        reads,
    )


def airflow(settings: Settings) -> Iterator[Part]:
    """Yields the API server, whose page answers 200 even without a database, the components behind it, and Celery's
    workers.
    """
    plain, preloaded = [str(_PROGRAMS / "airflow")], [str(_PROGRAMS / "python"), "-m", "stack.preloaded_airflow"]
    yield Part(
        "airflow-api-server",
        [*plain, "api-server"],
        ("airflow",),
        airflow_says(settings, "metadatabase"),
        settings.url("airflow"),
        (_PACKAGES,),
    )
    celery = list(workers.find(settings))
    for name, flags in _COMPONENTS.items():
        program = preloaded if name == "scheduler" and not celery else plain
        healthy = airflow_says(settings, name.replace("-", "_"))
        yield Part(f"airflow-{name}", [*program, name, *flags], (), healthy, reads=(_PACKAGES,))
    for name, flags, healthy in celery:
        yield Part(name, [*preloaded, *flags], (), healthy, reads=(_PACKAGES,))
