"""Files for clusters: what they hold, and that nothing secret is in it."""

import pytest
import yaml
from typer.testing import CliRunner

from limner.cli.main import typer_app
from limner.replicas import deployment, manifest
from limner.settings import Settings, load

SECRET = "postgresql+psycopg://limner:hunter2@db/limner"


def made(*flags):
    done = CliRunner().invoke(typer_app, ["cluster", "manifest", *flags])
    assert done.exit_code == 0, (done.output, done.exception)
    return yaml.safe_load(done.stdout)


def test_the_settings_come_back_from_the_file_without_secrets(tmp_path):
    told = made("--database-url", SECRET, "--data-dir", str(tmp_path), "--drain-s", "7")
    [application] = told["applications"]
    own = load(application["args"]["settings"], environ={})
    assert (own.data_dir, own.drain_s) == (tmp_path, 7)
    assert "hunter2" not in yaml.safe_dump(told)
    assert application["deployments"][0]["graceful_shutdown_timeout_s"] == 7


def test_kubernetes_gets_a_pod_with_a_gpu_for_each_replica():
    told = made("--kind", "kuberay", "--image", "house/limner:1", "--replicas", "3")
    cluster = told["spec"]["rayClusterConfig"]
    [workers] = cluster["workerGroupSpecs"]
    [engine] = workers["template"]["spec"]["containers"]
    assert (workers["replicas"], engine["image"]) == (3, "house/limner:1")
    assert engine["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert cluster["authOptions"] == {"mode": "token"}
    assert yaml.safe_load(told["spec"]["serveConfigV2"]) == made("--replicas", "3")


# The fields of ray.io/v1 that are used here, as KubeRay's API reference has them: what a field
# holds, and whether it must be there.
POD = {
    "spec": (
        {
            "containers": (
                [{"name": (str, True), "image": (str, True), "resources": (dict, False)}],
                True,
            )
        },
        True,
    )
}
GROUP = {"rayStartParams": ({str: str}, True), "template": (POD, True)}
NUMBERS = dict.fromkeys(("replicas", "minReplicas", "maxReplicas"), (int, False))
CLUSTER = {
    "rayVersion": (str, False),
    "authOptions": ({"mode": (str, False)}, False),
    "enableInTreeAutoscaling": (bool, False),
    "headGroupSpec": (GROUP, True),
    "workerGroupSpecs": ([{"groupName": (str, True), **NUMBERS, **GROUP}], False),
}
SERVICE = {
    "apiVersion": (str, True),
    "kind": (str, True),
    "metadata": ({"name": (str, True)}, True),
    "spec": ({"serveConfigV2": (str, False), "rayClusterConfig": (CLUSTER, True)}, True),
}


def wrong(told, shape, place="") -> list[str]:
    """What of a resource is not as its documented shape has it."""
    if isinstance(shape, type):
        return [] if type(told) is shape else [f"{place} is {told!r}"]
    if isinstance(shape, list):
        return [
            each for i, one in enumerate(told) for each in wrong(one, shape[0], f"{place}[{i}]")
        ]
    if str in shape:
        return [f"{place}.{k} is {v!r}" for k, v in told.items() if type(v) is not shape[str]]
    faults = [f"{place}.{name} is not known" for name in told.keys() - shape.keys()]
    for name, (inner, needed) in shape.items():
        if name in told:
            faults += wrong(told[name], inner, f"{place}.{name}")
        elif needed:
            faults.append(f"{place}.{name} is missing")
    return faults


def test_on_cpus_a_pod_is_one_replica_too():
    flags = ["--kind", "kuberay", "--image", "house/limner:1", "--gpus-per-replica", "0"]
    [workers] = made(*flags)["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert workers["rayStartParams"] == {"num-cpus": "1"}
    [engine] = workers["template"]["spec"]["containers"]
    assert "nvidia.com/gpu" not in engine["resources"]["limits"]
    [replica] = made(*flags[4:])["applications"][0]["deployments"]
    assert replica["ray_actor_options"]["num_cpus"] == 1


@pytest.mark.parametrize("flags", [[], ["--min-replicas", "1", "--max-replicas", "4"]])
def test_kuberays_resource_has_the_documented_fields_and_kinds(flags):
    told = made("--kind", "kuberay", "--image", "house/limner:1", *flags)
    assert (told["apiVersion"], told["kind"]) == ("ray.io/v1", "RayService")
    assert wrong(told, SERVICE) == []
    cluster = told["spec"]["rayClusterConfig"]
    assert cluster["enableInTreeAutoscaling"] == bool(flags), "else pods never follow the replicas"
    [workers] = cluster["workerGroupSpecs"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    del cluster["headGroupSpec"]
    workers["replicas"], workers["rayStartParams"]["num-cpus"], cluster["more"] = "1", 4, 1
    assert [each.rpartition("rayClusterConfig.")[2] for each in wrong(told, SERVICE)] == [
        "more is not known",
        "headGroupSpec is missing",
        "workerGroupSpecs[0].replicas is '1'",
        "workerGroupSpecs[0].rayStartParams.num-cpus is 4",
    ]


@pytest.mark.parametrize(("flags", "gpus"), [(["--gpus-per-replica", "0.5"], 0.5), ([], 1)])
def test_how_many_gpus_a_replica_takes(flags, gpus):
    [told] = made(*flags)["applications"][0]["deployments"]
    assert told["ray_actor_options"]["num_gpus"] == gpus


def test_replicas_between_two_numbers_follow_the_work():
    [told] = made("--min-replicas", "1", "--max-replicas", "4")["applications"][0]["deployments"]
    scaling = told["autoscaling_config"]
    assert (told["num_replicas"], scaling["min_replicas"], scaling["max_replicas"]) == (
        "auto",
        1,
        4,
    )


def test_servers_that_differ_in_themselves_share_replicas():
    one = Settings(engine="ray", replicas=2, port=1, database_url=SECRET)
    other = Settings(engine="ray", replicas=2, port=2)
    assert deployment.version(one) == deployment.version(other)
    assert deployment.version(one) != deployment.version(other.changed(drain_s=3))


def test_ray_serve_takes_the_file():
    schema = pytest.importorskip("ray.serve.schema", reason="Ray is not installed (extra `ray`)")
    schema.ServeDeploySchema.model_validate(manifest.serve_config(Settings(max_replicas=3)))
