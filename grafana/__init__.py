"""Dashboards of Grafana: written in Python, generated as JSON, provisioned from files."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    # The SDK recommends the new schema, which Grafana's provisioning from files refuses.
    warnings.filterwarnings("ignore", "Prefer using dashboardv2", DeprecationWarning)
    import grafana_foundation_sdk.builders.barchart
    import grafana_foundation_sdk.builders.dashboard

__all__ = ["grafana_foundation_sdk"]
