"""The objects of a server in the cluster: pod, Service, policy and volumes."""

from __future__ import annotations

from typing import Any

from catwalk.bundle.kubernetes.cluster import Cluster
from catwalk.bundle.kubernetes.objects import Manifest, chosen, made
from catwalk.bundle.kubernetes.servers import STATSD_PORT, Server


def objects(server: Server, cluster: Cluster, mapping: str) -> list[Manifest]:
    """Everything that a server needs in the cluster, except for its monitor."""
    name, part = cluster.called(server.part), server.part
    account = {**made("v1", "ServiceAccount", name, cluster, part), "automountServiceAccountToken": False}
    found = [account, _policy(server, cluster), _service(server, cluster), _deployment(server, cluster)]
    if part == "statsd_exporter":
        found.insert(0, {**made("v1", "ConfigMap", name, cluster, part), "data": {"mapping.yaml": mapping}})
    if part == "courier":
        found.insert(0, _claim(cluster))
    return found


def _claim(cluster: Cluster) -> Manifest:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {**made("v1", "PersistentVolumeClaim", cluster.called("courier"), cluster, "courier"), "spec": spec}


def _ports(server: Server) -> list[tuple[str, int, str]]:
    statsd = [("statsd-udp", STATSD_PORT, "UDP"), ("statsd-tcp", STATSD_PORT, "TCP")] if server.listens else []
    metrics = [("metrics", server.metrics_port, "TCP")] if server.metrics_port else []
    return [("http", server.port, "TCP"), *metrics, *statsd]


def _service(server: Server, cluster: Cluster) -> Manifest:
    ports = [
        {"name": name, "port": port, "targetPort": name, "protocol": protocol}
        for name, port, protocol in _ports(server)
    ]
    spec = {"selector": chosen(cluster, server.part), "ports": ports}
    return {**made("v1", "Service", cluster.called(server.part), cluster, server.part), "spec": spec}


def _policy(server: Server, cluster: Cluster) -> Manifest:
    """Who may connect to it. Policies are additive: yours can admit others."""
    ingress = [
        {"from": _callers(server, port, cluster), "ports": [{"port": port, "protocol": protocol}]}
        for _, port, protocol in _ports(server)
    ]
    spec: dict[str, Any] = {"podSelector": {"matchLabels": chosen(cluster, server.part)}, "ingress": ingress}
    # Buckets, receivers and Airflow may be anywhere. A statsd_exporter connects to nothing.
    outwards = {"policyTypes": ["Ingress", "Egress"], "egress": []} if server.listens else {"policyTypes": ["Ingress"]}
    head = made("networking.k8s.io/v1", "NetworkPolicy", cluster.called(server.part), cluster, server.part)
    return {**head, "spec": {**spec, **outwards}}


def _callers(server: Server, port: int, cluster: Cluster) -> list[dict[str, Any]]:
    own_namespace: dict[str, Any] = {"podSelector": {}}
    if port == (server.metrics_port or server.port):
        return [_from(cluster.monitoring_namespace)]
    return [own_namespace] if port == server.port else [_from(cluster.airflow_namespace), own_namespace]


def _from(namespace: str) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}


def _deployment(server: Server, cluster: Cluster) -> Manifest:
    labels, name = chosen(cluster, server.part), cluster.called(server.part)
    described: dict[str, Any] = {"labels": labels}
    if server.checksum:
        described["annotations"] = {"catwalk/mapping": server.checksum}
    # Without a number of replicas, another apply leaves alone what `kubectl scale` or an autoscaler has set.
    rolling = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}}
    spec = {
        **(rolling if server.overlaps else {"replicas": 1, "strategy": {"type": "Recreate"}}),
        "selector": {"matchLabels": labels},
        "template": {"metadata": described, "spec": _pod(server, cluster)},
    }
    return {**made("apps/v1", "Deployment", name, cluster, server.part), "spec": spec}


def _pod(server: Server, cluster: Cluster) -> dict[str, Any]:
    return {
        "serviceAccountName": cluster.called(server.part),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,  # they would be variables with the prefix of Catwalk's own
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": server.user,
            "runAsGroup": server.user,
            "fsGroup": server.user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": server.grace_seconds,
        "containers": [_container(server, cluster)],
        "volumes": [{"name": name, **source} for name, (_, source) in server.volumes.items()],
    }


def _container(server: Server, cluster: Cluster) -> dict[str, Any]:
    requested, limit = server.memory
    check = _probe(server.alive)
    return {
        "name": server.part.replace("_", "-"),
        "image": server.image,
        **server.started,
        "ports": [{"name": name, "containerPort": port, "protocol": kind} for name, port, kind in _ports(server)],
        **_environment(server, cluster),
        "resources": {"requests": {"cpu": server.cpu, "memory": requested}, "limits": {"memory": limit}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        # The first read of a large ledger takes time.
        "startupProbe": {**check, "periodSeconds": 5, "failureThreshold": 60},
        "readinessProbe": {**_probe(server.ready), "periodSeconds": 5}
        if server.ready
        else {**check, "periodSeconds": 15},
        "livenessProbe": {**check, "periodSeconds": 15, "failureThreshold": 4},
        "volumeMounts": [
            {"name": name, "mountPath": path, **({} if name in _WRITTEN else {"readOnly": True})}
            for name, (path, _) in server.volumes.items()
        ],
    }


def _probe(path: str) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": "http"}, "timeoutSeconds": 15}


_WRITTEN = ("tmp", "state")


def _environment(server: Server, cluster: Cluster) -> dict[str, Any]:
    """Our variables, and optional sources of those that only the adopter knows."""
    if not server.environment:
        return {}
    theirs = [
        {"configMapRef": {"name": f"{cluster.name}-settings", "optional": True}},
        {"secretRef": {"name": cluster.called(server.part), "optional": True}},
    ]
    return {"env": [{"name": name, "value": value} for name, value in server.environment.items()], "envFrom": theirs}
