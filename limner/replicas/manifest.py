"""Files for clusters that others run: ``serve.yaml`` for Ray, a RayService for KubeRay."""

from __future__ import annotations

from typing import Any

import yaml

from limner.replicas import deployment
from limner.settings import Settings

IMPORT_PATH = "limner.cli.replicating:application"
RAY = "2.60.0"
GROUP = "engines"


def serve_config(settings: Settings) -> dict[str, Any]:
    """What ``serve deploy`` takes: one application, of which no HTTP is served."""
    return {
        "proxy_location": "Disabled",
        "applications": [
            {
                "name": deployment.APPLICATION,
                "import_path": IMPORT_PATH,
                "route_prefix": None,
                "args": {"settings": given(settings)},
                "deployments": [deployment.options(settings, gpus(settings))],
            }
        ],
    }


def ray_service(settings: Settings, image: str) -> dict[str, Any]:
    """A RayService of KubeRay: the head draws nothing, each worker pod is one replica."""
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": deployment.APPLICATION},
        "spec": {
            "serveConfigV2": yaml.safe_dump(serve_config(settings), sort_keys=False),
            "rayClusterConfig": {
                "rayVersion": RAY,
                "authOptions": {"mode": "token"},
                # Else there would never be a pod for a replica beyond the least number.
                "enableInTreeAutoscaling": settings.replicas_least != settings.replicas_most,
                "headGroupSpec": {
                    "rayStartParams": {"num-cpus": "0", "include-dashboard": "true"},
                    "template": _pod("head", image, {"cpu": "2", "memory": "4Gi"}),
                },
                "workerGroupSpecs": [_workers(settings, image)],
            },
        },
    }


def _workers(settings: Settings, image: str) -> dict[str, Any]:
    needs = {"cpu": "4", "memory": "16Gi"}
    if each := gpus(settings):
        needs["nvidia.com/gpu"] = str(-(-each // 1)).removesuffix(".0")
    return {
        "groupName": GROUP,
        "replicas": settings.replicas_least,
        "minReplicas": settings.replicas_least,
        "maxReplicas": settings.replicas_most,
        # Without GPUs that keep them apart a pod would hold as many replicas as it has cores.
        "rayStartParams": {} if each else {"num-cpus": "1"},
        "template": _pod("engine", image, needs),
    }


def _pod(name: str, image: str, needs: dict[str, str]) -> dict[str, Any]:
    resources = {"requests": needs, "limits": needs}
    return {"spec": {"containers": [{"name": name, "image": image, "resources": resources}]}}


def gpus(settings: Settings) -> float:
    """GPUs of a replica on a cluster that is not there to be asked."""
    if settings.gpus_per_replica is not None:
        return settings.gpus_per_replica
    return 0.0 if settings.device == "cpu" else 1.0


def given(settings: Settings) -> dict[str, Any]:
    """The settings that were chosen and that a replica needs, as plain JSON; no secrets."""
    own = deployment.for_replicas(settings)
    left_out = {*deployment.SERVERS_OWN, "database_url"}
    return own.model_dump(mode="json", include=own.model_fields_set - left_out)
