"""A bundle for a cluster: manifests of Catwalk's servers, for the Prometheus operator and for Grafana's side car.

``files.contents`` renders them; ``cluster.Cluster`` says what for.
"""
