"""What a provider says of the endpoint `ranker` that differs from look to look, though nobody
changed its variants or its traffic.

`stir` does what others do there all the time; afterwards each of `values` is another one. Of an
adapter that is not ours: nothing.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from isthmus.tests.conformance.toy_models import until


def values(target):
    """By their names, as the provider has them now."""
    return _READERS.get(target.adapter.name, lambda _target: {})(target)


def stir(target):
    _STIRRERS.get(target.adapter.name, lambda _target: None)(target)


def _processes(target):
    """Of the model servers that are ready."""
    from isthmus.adapters.local.endpoints import supervision
    from isthmus.adapters.local.endpoints.client import Client

    found = supervision.address(Path(target.profile.options["home"]), "ranker")
    client = Client(found.port)
    try:
        report = supervision.ask(client, found, follow=False)
    finally:
        client.close()
    return {f"pid of {each.name}": each.pid for each in report.variants if each.phase == "ready"}


def _kill_servers(target):
    """They come back as other processes."""
    killed = _processes(target)
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)
    until(
        lambda: (
            len(now := _processes(target)) == len(killed)
            and not set(now.values()) & set(killed.values())
        )
    )


def _described(target):
    from isthmus.adapters.sagemaker.session import aws_of

    aws = aws_of(target)
    return aws.client("sagemaker").describe_endpoint(EndpointName=aws.endpoint_name("ranker"))


def _times(target):
    return {"LastModifiedTime": _described(target)["LastModifiedTime"]}


def _scale_to_the_same(target):
    """As autoscaling does, or maintenance (SystemUpdating): a change that ends where it began."""
    from isthmus.adapters.sagemaker.session import aws_of

    described = _described(target)
    weights = [
        {"VariantName": each["VariantName"], "DesiredWeight": each["DesiredWeight"]}
        for each in described["ProductionVariants"]
    ]
    control = aws_of(target).client("sagemaker")
    control.update_endpoint_weights_and_capacities(
        EndpointName=described["EndpointName"], DesiredWeightsAndCapacities=weights
    )
    until(lambda: _described(target)["EndpointStatus"] == "InService")


def _endpoint(target):
    from isthmus.adapters.vertex.session import session_of

    session = session_of(target)
    return session.endpoints.get_endpoint(
        name=f"{session.parent}/endpoints/{target.profile.project}-ranker"
    )


def _etag_and_times(target):
    endpoint = _endpoint(target)
    looks = {
        f"status of {model.display_name}": model.status.last_update_time
        for model in endpoint.deployed_models
    }
    return {"etag": endpoint.etag, "update_time": endpoint.update_time, **looks}


def monitor(target):
    """A foreign monitoring job: recorded to move the endpoint's etag and update_time
    (localstack/gcp/services/aiplatform/endpoints/operations/monitoring_jobs.py).
    """
    from google.cloud import aiplatform_v1 as ai

    from isthmus.adapters.vertex.session import session_of

    session = session_of(target)
    job = ai.ModelDeploymentMonitoringJob(display_name="theirs", endpoint=_endpoint(target).name)
    session.client("jobs").create_model_deployment_monitoring_job(
        parent=session.parent, model_deployment_monitoring_job=job
    )


_READERS = {"local": _processes, "sagemaker": _times, "vertex": _etag_and_times}
_STIRRERS = {"local": _kill_servers, "sagemaker": _scale_to_the_same, "vertex": monitor}
