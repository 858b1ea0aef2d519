"""Handlers of a test's own, for operations that the stack has none for.

Loaded by name: `--handlers isthmus_stack.tests...`.
"""

from isthmus_stack.aws.core.registry import AwsError, handles


class Hubs:
    def __init__(self):
        self.made = []


@handles("sagemaker", "ListHubs")
def list_hubs(ctx, params):
    if params.get("NameContains") == "crash":
        raise RuntimeError("a mistake in a handler")
    stamps = {
        "HubStatus": "InService",
        "CreationTime": ctx.clock.now(),
        "LastModifiedTime": ctx.clock.now(),
    }
    hubs = [
        {
            "HubName": name,
            "HubArn": f"arn:aws:sagemaker:{ctx.region}:{ctx.account}:hub/{name}",
            **stamps,
        }
        for name in ctx.store(Hubs).made
    ]
    return {"HubSummaries": hubs}


@handles("sagemaker", "CreateHub", executes=False)
def create_hub(ctx, params):
    hubs, name, kept = ctx.store(Hubs), params["HubName"], ctx.without_request()
    if name in hubs.made:
        raise AwsError("ResourceInUse", f"{name} is there already")
    if name.startswith("later"):
        ctx.clock.call_after(600, lambda: kept.store(Hubs).made.append(name))
    else:
        hubs.made.append(name)
    return {"HubArn": f"arn:aws:sagemaker:{ctx.region}:{ctx.account}:hub/{name}"}


@handles("sagemaker", "DescribeHub")
def describe_hub(ctx, params):
    """What a context can do: moto below, the whole stack through a client, and a fault that only a
    handler can act out.
    """
    bucket = ctx.client("s3")
    bucket.create_bucket(Bucket=params["HubName"])
    bucket.put_object(Bucket=params["HubName"], Key="a b/c", Body=b"x" * 100)
    size = len(bucket.get_object(Bucket=params["HubName"], Key="a b/c")["Body"].read())
    groups = ctx.moto("sagemaker", "ListEndpoints", {})["Endpoints"]
    rolled = ctx.fault("silent-rollback", params["HubName"])
    return {
        "HubName": f"{size}",
        "HubArn": f"arn:aws:sagemaker:x:hub/{len(groups)}",
        "HubDescription": "rolled back" if rolled else "as asked",
        "HubStatus": "InService",
        "CreationTime": ctx.clock.now(),
        "LastModifiedTime": ctx.clock.now(),
    }


@handles("sagemaker", "ListDevices")
def list_devices(ctx, params):
    """Wraps moto: asks it for its own answer to the same request."""
    return ctx.forward()


@handles("sagemaker-runtime", "InvokeEndpointWithResponseStream")
def invoke_streaming(ctx, params):
    raise AwsError(
        "ModelError",
        "the model said no",
        424,
        OriginalStatusCode=503,
        OriginalMessage="busy",
        LogStreamArn="arn:aws:logs:::x",
    )


@handles("sagemaker-metrics", "BatchGetMetrics")
def batch_get_metrics(ctx, params):
    return {
        "MetricQueryResults": [{"Status": "Complete", "XAxisValues": [1], "MetricValues": [0.5]}]
    }
