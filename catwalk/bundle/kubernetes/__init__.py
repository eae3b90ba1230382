"""A bundle for a cluster: manifests of Catwalk's servers, objects for the Prometheus operator and Grafana's sidecar.

``files.contents`` renders them for a ``cluster.Cluster``.
"""
