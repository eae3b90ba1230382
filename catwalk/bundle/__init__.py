"""Rules, mapping, dashboards and runbooks for another team's Prometheus, Alertmanager and Grafana.

They are made from the files that our own servers read, so that there is one of each. ``files.contents`` renders them,
``folder.write`` lays them down.
"""
