"""Rules, mapping, dashboards and runbooks for another team's Prometheus, Alertmanager and Grafana.

They are made from the files that our own servers read, so that there is only one version of each. ``files.contents``
renders them, ``folder.write`` writes them.
"""
