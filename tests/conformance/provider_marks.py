"""Every value of a provider's that only the provider understands, and what an adapter of ours does
with it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """One such value."""

    value: str
    files: tuple[str, ...]  # below adapters/
    use: str
    rests_on: str


_RECORDED = "recorded (cloud-custodian df800e9e)"
_ASSUMED = "that a stale one is refused is AIP-154's word, an assumption"
MARKS = (
    Mark(
        value="Vertex AI: etag of an endpoint",
        files=tuple(
            f"vertex/endpoints/{name}.py"
            for name in ("deployed_models", "host", "adoption", "deployment")
        ),
        use="never compared: it goes from a look into the one call that rests on that look. What "
        "two looks are compared by is a digest of content and of times of creation",
        rests_on=f"{_RECORDED}: equal content, another etag at each read, 9 of 9, and the same "
        f"`createTime`; {_ASSUMED}",
    ),
    Mark(
        value="Vertex AI: etag of a model",
        files=("vertex/pipelines/registry.py",),
        use="never compared: read, changed, written; when refused, from a new read",
        rests_on=f"{_RECORDED}: equal content, another etag at each read, 2 of 2; {_ASSUMED}",
    ),
    Mark(
        value="BigQuery: etag of a table",
        files=("vertex/warehouse/catalogue.py", "vertex/online/store.py"),
        use="never compared: Google's client sends it as If-Match; when refused, from a new read",
        rests_on=f"{_RECORDED}: equal content, the same etag, 7 of 7 datasets and tables; that a "
        "stale one is refused is Google's page on tables.patch",
    ),
    Mark(
        value="Cloud Storage: generation of an object",
        files=("vertex/storage/state.py",),
        use="the StateStore's token: the service compares it (ifGenerationMatch)",
        rests_on="Google's page Request preconditions: it names one version of an object's bytes, for "
        "ever",
    ),
    Mark(
        value="S3: ETag of an object",
        files=("sagemaker/storage/state.py",),
        use="the StateStore's token: the service compares it (IfMatch). Each body carries a "
        "nonce, so none comes twice",
        rests_on="AWS's pages Conditional writes, and Object: it reflects changes of an object's "
        "bytes alone",
    ),
    Mark(
        value="Glue: VersionId of a table",
        files=("sagemaker/warehouse/catalogue.py",),
        use="never compared: it goes from a read into the one UpdateTable that rests on it",
        rests_on="the service model; that an old one is refused is an assumption",
    ),
    Mark(
        value="SageMaker: LastModifiedTime of an endpoint",
        files=("sagemaker/endpoints/host.py", "sagemaker/endpoints/variants.py"),
        use="no part of a token. Compared once: where the config that this process asked for is "
        "not there, it was rolled back if the time has moved, else the look is from before",
        rests_on="an assumption, wrong where autoscaling moves it within the seconds in which a "
        "look is still from before: then `deploy` says so, and is run again",
    ),
    Mark(
        value="SageMaker: PipelineVersionId",
        files=("sagemaker/pipelines/engine.py",),
        use="never compared: what UpdatePipeline answered is what is started",
        rests_on="the service model",
    ),
    Mark(
        value="Vertex AI, SageMaker: times of creation",
        files=(
            "vertex/endpoints/labels.py",
            "vertex/telemetry/metrics.py",
            "sagemaker/online/store.py",
            "sagemaker/pipelines/registry.py",
        ),
        use="tell a thing from an earlier one of its name",
        rests_on=f"the service models; on Vertex AI {_RECORDED}: the same at each read",
    ),
)


def compared() -> Iterator[str]:
    """The section of docs/parity.md."""
    yield "## What is compared of a provider's own marks"
    yield ""
    yield "Etags, generations, versions, times: values that only the provider understands. What may change by itself is not compared."
    yield ""
    yield "| value | where | what for | rests on |"
    yield "|---|---|---|---|"
    for mark in MARKS:
        files = ", ".join(f"[{file}](../adapters/{file})" for file in mark.files)
        yield f"| {mark.value} | {files} | {mark.use} | {mark.rests_on} |"
