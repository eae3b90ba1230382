"""The configuration for a guest's Alertmanager: a route for our alerts, inhibitions among them, and texts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from catwalk import assets
from catwalk.bundle.options import STACK, Options
from catwalk.bundle.rules import WATCHDOG

_BASES = r"or \.Labels\.exporter \.Labels\.registry"
"""How the texts get the exporter's address: from the external labels of our own Prometheus."""


@dataclass(frozen=True)
class Hook:
    """How Alertmanager notifies the courier."""

    url: str
    password_file: str


def fragment(options: Options, head: str, hook: Hook | None = None) -> str:
    """Returns routes, receivers and inhibitions, to merge into a configuration.

    Args:
        hook: How Alertmanager reaches the courier, if not at the address for people.
    """
    if options.courier_url and not hook:
        hook = Hook(f"{options.courier_url}/alertmanager", "/etc/alertmanager/catwalk_monitoring_password")
    merged = {
        "route": {"routes": [_route(options)]},
        "receivers": [
            *({"name": name} for name in ("catwalk", "catwalk_nobody", *map(_receiver, options.owners))),
            *_courier_receivers(options, hook),
        ],
        "inhibit_rules": [_inhibition(rule, options) for rule in _committed()["inhibit_rules"]],
    }
    return f"{head}\n{yaml.safe_dump(merged, sort_keys=False, width=120)}"


def template(options: Options) -> str:
    """Returns the texts of notifications, with the base addresses of links filled in."""
    text = (assets.path("prometheus/alertmanager") / "catwalk.tmpl").read_text()
    text = re.sub(rf"\({_BASES}\)", f'"{options.exporter_url}"', text)
    text = re.sub(_BASES, f'"{options.exporter_url}"', text)
    courier = f"{options.courier_url}/runbooks" if options.courier_url else ""
    return re.sub(r"(?<=with )\.CommonLabels\.runbooks", f'"{courier}"', text)


def _committed() -> dict[str, Any]:
    return dict(yaml.safe_load((assets.path("prometheus/alertmanager") / "alertmanager.yml").read_text()))


def _ours(options: Options) -> list[str]:
    return [f'{name}="{value}"' for name, value in (STACK, *options.labels.items())]


def _route(options: Options) -> dict[str, Any]:
    """Returns the route: one message per run and area; information alone notifies no one."""
    return {
        "matchers": _ours(options),
        "receiver": "catwalk",
        "group_by": ["area", "model", "run_id", *options.labels],
        "group_wait": "10s",
        "group_interval": "1m",
        "repeat_interval": "12h",
        "routes": [
            *_courier_routes(options),
            {"matchers": ['severity=~"info|none"'], "receiver": "catwalk_nobody"},
            *({"matchers": [f"owner={_quoted(owner)}"], "receiver": _receiver(owner)} for owner in options.owners),
            {"receiver": "catwalk"},
        ],
    }


def _receiver(owner: str) -> str:
    """Returns the receiver of an owner's alerts, whose name never equals that of another receiver."""
    return f"catwalk/{owner}"


def _quoted(text: str) -> str:
    """Returns a text quoted for a matcher."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _courier_routes(options: Options) -> list[dict[str, Any]]:
    """Returns the courier's routes: it gets every notification, and the Watchdog's every 20 s."""
    if not options.courier_url:
        return []
    heard = {
        "group_wait": "0s",
        "group_interval": "10s",
        "repeat_interval": "15s",
        "group_by": ["alertname", *options.labels],
    }
    watchdog = {"matchers": [f'alertname="{WATCHDOG}"'], "receiver": "catwalk_courier", **heard}
    return [watchdog, {"receiver": "catwalk_courier", "continue": True}]


def _courier_receivers(options: Options, hook: Hook | None) -> list[dict[str, Any]]:
    if not options.courier_url or not hook:
        return []
    password = {"username": "catwalk", "password_file": hook.password_file}
    config = {"url": hook.url, "http_config": {"basic_auth": password}}
    return [{"name": "catwalk_courier", "webhook_configs": [config]}]


def _inhibition(rule: dict[str, Any], options: Options) -> dict[str, Any]:
    """Returns an inhibition that applies only to our alerts, and within one Catwalk."""
    both = {side: [*_ours(options), *(_renamed(one, options) for one in rule[side])] for side in _SIDES}
    return {**both, **({"equal": rule["equal"]} if "equal" in rule else {})}


_SIDES = ("source_matchers", "target_matchers")


def _renamed(matcher: str, options: Options) -> str:
    return re.sub(r'^job="(\w+)"$', lambda job: f'job="{options.scraped.get(job[1], job[1])}"', matcher)
