"""A PipelineSpec (Kubeflow's intermediate representation, schemaVersion 2.1.0) as typed data.

Source: kubeflow/pipelines, api/v2alpha1/pipeline_spec.proto. What that file does not have is
refused, as its protobuf refuses it.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

SCHEMA = "2.1.0"
Kind = Literal[
    "NUMBER_DOUBLE",
    "NUMBER_INTEGER",
    "STRING",
    "BOOLEAN",
    "LIST",
    "STRUCT",
    "TASK_FINAL_STATUS",
    "TASK_CONFIG",
]


class Node(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A message of that file."""


class ArtifactType(Node, frozen=True, kw_only=True):
    schema_title: str = ""
    schema_uri: str = ""
    instance_schema: str = ""
    schema_version: str = ""


class ParameterInput(Node, frozen=True, kw_only=True):
    parameter_type: Kind = "STRING"
    default_value: Any = msgspec.UNSET
    is_optional: bool = False
    description: str = ""
    literals: tuple[Any, ...] = ()


class ArtifactInput(Node, frozen=True, kw_only=True):
    artifact_type: ArtifactType = ArtifactType()
    is_artifact_list: bool = False
    is_optional: bool = False
    description: str = ""


class Inputs(Node, frozen=True, kw_only=True):
    parameters: dict[str, ParameterInput] = {}
    artifacts: dict[str, ArtifactInput] = {}


class ParameterOutput(Node, frozen=True, kw_only=True):
    parameter_type: Kind = "STRING"
    description: str = ""


class ArtifactOutput(Node, frozen=True, kw_only=True):
    artifact_type: ArtifactType = ArtifactType()
    properties: dict[str, Any] = {}
    custom_properties: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    is_artifact_list: bool = False
    description: str = ""


class Outputs(Node, frozen=True, kw_only=True):
    parameters: dict[str, ParameterOutput] = {}
    artifacts: dict[str, ArtifactOutput] = {}


class Constant(Node, frozen=True, kw_only=True):
    constant: Any = msgspec.UNSET
    runtime_parameter: str = ""


class OutputRef(Node, frozen=True, kw_only=True):
    """Another task's output."""

    producer_task: str
    output_parameter_key: str = ""
    output_artifact_key: str = ""


class Producer(Node, frozen=True, kw_only=True):
    producer_task: str


class ParameterSource(Node, frozen=True, kw_only=True):
    """The source of a task's parameter: one of the four, and what is taken of it."""

    task_output_parameter: OutputRef | None = None
    runtime_value: Constant | None = None
    component_input_parameter: str | None = None
    task_final_status: Producer | None = None
    parameter_expression_selector: str = ""


class ArtifactSource(Node, frozen=True, kw_only=True):
    task_output_artifact: OutputRef | None = None
    component_input_artifact: str | None = None


class Sources(Node, frozen=True, kw_only=True):
    parameters: dict[str, ParameterSource] = {}
    artifacts: dict[str, ArtifactSource] = {}


class Caching(Node, frozen=True, kw_only=True):
    enable_cache: bool = False
    cache_key: str = ""


class Trigger(Node, frozen=True, kw_only=True):
    condition: str = ""
    strategy: Literal[
        "TRIGGER_STRATEGY_UNSPECIFIED",
        "ALL_UPSTREAM_TASKS_SUCCEEDED",
        "ALL_UPSTREAM_TASKS_COMPLETED",
    ] = "TRIGGER_STRATEGY_UNSPECIFIED"


class Retry(Node, frozen=True, kw_only=True):
    max_retry_count: int = 0
    backoff_duration: str = "0s"
    backoff_factor: float = 2.0
    backoff_max_duration: str = "3600s"


class Items(Node, frozen=True, kw_only=True):
    raw: str | None = None
    input_parameter: str | None = None
    input_artifact: str | None = None


class Iterator(Node, frozen=True, kw_only=True):
    items: Items
    item_input: str


class IteratorPolicy(Node, frozen=True, kw_only=True):
    parallelism_limit: int = 0  # 0: all at once


class Named(Node, frozen=True, kw_only=True):
    name: str


class Task(Node, frozen=True, kw_only=True):
    component_ref: Named
    task_info: Named | None = None
    inputs: Sources = Sources()
    dependent_tasks: tuple[str, ...] = ()
    caching_options: Caching = Caching()
    trigger_policy: Trigger = Trigger()
    artifact_iterator: Iterator | None = None
    parameter_iterator: Iterator | None = None
    retry_policy: Retry = Retry()
    iterator_policy: IteratorPolicy = IteratorPolicy()

    @property
    def component(self) -> str:
        """The key of the component that the task runs."""
        return self.component_ref.name

    @property
    def waits_for_the_end_only(self) -> bool:
        """Whether the task runs even if upstream tasks fail, as an exit handler does."""
        return self.trigger_policy.strategy == "ALL_UPSTREAM_TASKS_COMPLETED"


class Selector(Node, frozen=True, kw_only=True):
    producer_subtask: str
    output_parameter_key: str = ""
    output_artifact_key: str = ""


class Selectors(Node, frozen=True, kw_only=True):
    parameter_selectors: tuple[Selector, ...] = ()


class DagParameter(Node, frozen=True, kw_only=True):
    value_from_parameter: Selector | None = None
    value_from_oneof: Selectors | None = None

    @property
    def selectors(self) -> tuple[Selector, ...]:
        """The task outputs of which the first with a value becomes the DAG's output."""
        return (
            (self.value_from_parameter,)
            if self.value_from_parameter
            else (self.value_from_oneof or Selectors()).parameter_selectors
        )


class DagArtifact(Node, frozen=True, kw_only=True):
    artifact_selectors: tuple[Selector, ...] = ()


class DagOutputs(Node, frozen=True, kw_only=True):
    parameters: dict[str, DagParameter] = {}
    artifacts: dict[str, DagArtifact] = {}


class Dag(Node, frozen=True, kw_only=True):
    tasks: dict[str, Task] = {}
    outputs: DagOutputs = DagOutputs()


class Component(Node, frozen=True, kw_only=True):
    input_definitions: Inputs = Inputs()
    output_definitions: Outputs = Outputs()
    dag: Dag | None = None
    executor_label: str | None = None
    single_platform_specs: tuple[dict[str, Any], ...] = ()
    task_config_passthroughs: tuple[dict[str, Any], ...] = ()


class Variable(Node, frozen=True, kw_only=True):
    name: str
    value: str = ""


class ContainerSpec(Node, frozen=True, kw_only=True):
    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    lifecycle: dict[str, Any] = {}
    resources: dict[str, Any] = {}
    env: tuple[Variable, ...] = ()


class Importer(Node, frozen=True, kw_only=True):
    artifact_uri: Constant
    type_schema: ArtifactType = ArtifactType()
    properties: dict[str, Any] = {}
    custom_properties: dict[str, Any] = {}
    reimport: bool = False
    metadata: dict[str, Any] = {}
    download_to_workspace: bool = False


class Executor(Node, frozen=True, kw_only=True):
    container: ContainerSpec | None = None
    importer: Importer | None = None
    resolver: dict[str, Any] | None = None
    custom_job: dict[str, Any] | None = None


class Deployment(Node, frozen=True, kw_only=True):
    executors: dict[str, Executor] = {}


class Info(Node, frozen=True, kw_only=True):
    name: str
    display_name: str = ""
    description: str = ""


class Pipeline(Node, frozen=True, kw_only=True):
    """The whole document."""

    pipeline_info: Info
    root: Component
    schema_version: str = ""
    sdk_version: str = ""
    components: dict[str, Component] = {}
    deployment_spec: Deployment = Deployment()
    default_pipeline_root: str = ""

    def component_of(self, task: Task) -> Component:
        """Return the specification of the component that a task runs."""
        return self.components[task.component]

    def executor_of(self, component: Component) -> Executor:
        """Return the executor (container, importer ...) of a component."""
        return self.deployment_spec.executors[component.executor_label or ""]
