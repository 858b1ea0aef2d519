"""The modules of today for the names that records of earlier releases have.

A record names a class or a function by its module, and a store's file has such a name, too. Who
moves a module whose classes are pickled adds it here; a class that moves alone is added by its
whole name, `module.Class`. Files of stores keep the names that they had first.
"""

FORMER_PACKAGE = "isthmus.localstack"  # this package's name in records of Isthmus 0.1.0
FORMER_MODULES = {
    "isthmus_stack.apart": "isthmus_stack.core.detached",
    "isthmus_stack.aws.access": "isthmus_stack.aws.core.policy.enforcement",
    "isthmus_stack.aws.athena.altering": "isthmus_stack.aws.services.athena.ddl.alter_table",
    "isthmus_stack.aws.athena.catalogs": "isthmus_stack.aws.services.athena.operations.catalogs",
    "isthmus_stack.aws.athena.clauses": "isthmus_stack.aws.services.athena.ddl.clauses",
    "isthmus_stack.aws.athena.databases": "isthmus_stack.aws.services.athena.queries.databases",
    "isthmus_stack.aws.athena.ddl": "isthmus_stack.aws.services.athena.ddl.statements",
    "isthmus_stack.aws.athena.engine": "isthmus_stack.aws.services.athena.queries.engine",
    "isthmus_stack.aws.athena.execution": "isthmus_stack.aws.services.athena.queries.execution",
    "isthmus_stack.aws.athena.executions": (
        "isthmus_stack.aws.services.athena.operations.executions"
    ),
    "isthmus_stack.aws.athena.inserting": "isthmus_stack.aws.services.athena.queries.inserts",
    "isthmus_stack.aws.athena.language.allowed": "isthmus_stack.aws.services.athena.sql.vocabulary",
    "isthmus_stack.aws.athena.language.check": "isthmus_stack.aws.services.athena.sql.checks",
    "isthmus_stack.aws.athena.language.errors": "isthmus_stack.aws.services.athena.sql.errors",
    "isthmus_stack.aws.athena.language.functions": (
        "isthmus_stack.aws.services.athena.sql.functions"
    ),
    "isthmus_stack.aws.athena.language.infer": "isthmus_stack.aws.services.athena.sql.inference",
    "isthmus_stack.aws.athena.language.lengths": "isthmus_stack.aws.services.athena.sql.lengths",
    "isthmus_stack.aws.athena.language.parameters": (
        "isthmus_stack.aws.services.athena.sql.parameters"
    ),
    "isthmus_stack.aws.athena.language.rules": "isthmus_stack.aws.services.athena.sql.rules",
    "isthmus_stack.aws.athena.language.scopes": "isthmus_stack.aws.services.athena.sql.scopes",
    "isthmus_stack.aws.athena.language.statements": (
        "isthmus_stack.aws.services.athena.sql.statements"
    ),
    "isthmus_stack.aws.athena.language.time_formats": (
        "isthmus_stack.aws.services.athena.sql.time_formats"
    ),
    "isthmus_stack.aws.athena.language.translate": (
        "isthmus_stack.aws.services.athena.sql.translation"
    ),
    "isthmus_stack.aws.athena.language.words": "isthmus_stack.aws.services.athena.sql.words",
    "isthmus_stack.aws.athena.metadata": "isthmus_stack.aws.services.athena.operations.metadata",
    "isthmus_stack.aws.athena.outcome": "isthmus_stack.aws.services.athena.queries.outcome",
    "isthmus_stack.aws.athena.prepared": (
        "isthmus_stack.aws.services.athena.operations.prepared_statements"
    ),
    "isthmus_stack.aws.athena.prepared.Prepared": (
        "isthmus_stack.aws.services.athena.records.Prepared"
    ),
    "isthmus_stack.aws.athena.prepared.AllPrepared": (
        "isthmus_stack.aws.services.athena.records.AllPrepared"
    ),
    "isthmus_stack.aws.athena.results": "isthmus_stack.aws.services.athena.queries.results",
    "isthmus_stack.aws.athena.running": "isthmus_stack.aws.services.athena.queries.running_query",
    "isthmus_stack.aws.athena.session": "isthmus_stack.aws.services.athena.ddl.session",
    "isthmus_stack.aws.athena.shows": "isthmus_stack.aws.services.athena.ddl.shows",
    "isthmus_stack.aws.athena.workgroups": (
        "isthmus_stack.aws.services.athena.operations.workgroups"
    ),
    "isthmus_stack.aws.autoscaling.activities": (
        "isthmus_stack.aws.services.autoscaling.operations.activities"
    ),
    "isthmus_stack.aws.autoscaling.deciding": (
        "isthmus_stack.aws.services.autoscaling.operations.alarm_actions"
    ),
    "isthmus_stack.aws.autoscaling.policies": (
        "isthmus_stack.aws.services.autoscaling.operations.policies"
    ),
    "isthmus_stack.aws.autoscaling.records": "isthmus_stack.aws.services.autoscaling.records",
    "isthmus_stack.aws.autoscaling.scheduled": (
        "isthmus_stack.aws.services.autoscaling.operations.scheduled_actions"
    ),
    "isthmus_stack.aws.autoscaling.schedules": "isthmus_stack.aws.services.autoscaling.schedules",
    "isthmus_stack.aws.autoscaling.targets": (
        "isthmus_stack.aws.services.autoscaling.operations.targets"
    ),
    "isthmus_stack.aws.caller": "isthmus_stack.aws.core.caller",
    "isthmus_stack.aws.cloudformation.bringing": (
        "isthmus_stack.aws.services.cloudformation.convergence"
    ),
    "isthmus_stack.aws.cloudformation.handlers": (
        "isthmus_stack.aws.services.cloudformation.operations"
    ),
    "isthmus_stack.aws.cloudformation.managing": (
        "isthmus_stack.aws.services.cloudformation.stack_changes"
    ),
    "isthmus_stack.aws.cloudformation.placeholders": (
        "isthmus_stack.aws.services.cloudformation.placeholders"
    ),
    "isthmus_stack.aws.cloudformation.records": "isthmus_stack.aws.services.cloudformation.records",
    "isthmus_stack.aws.cloudformation.resources": (
        "isthmus_stack.aws.services.cloudformation.resources"
    ),
    "isthmus_stack.aws.cloudformation.templates": (
        "isthmus_stack.aws.services.cloudformation.templates"
    ),
    "isthmus_stack.aws.cloudwatch.alarms": (
        "isthmus_stack.aws.services.cloudwatch.operations.alarms"
    ),
    "isthmus_stack.aws.cloudwatch.evaluation": "isthmus_stack.aws.services.cloudwatch.evaluation",
    "isthmus_stack.aws.cloudwatch.expressions": "isthmus_stack.aws.services.cloudwatch.expressions",
    "isthmus_stack.aws.cloudwatch.queries": (
        "isthmus_stack.aws.services.cloudwatch.operations.metrics"
    ),
    "isthmus_stack.aws.cloudwatch.queues": "isthmus_stack.aws.services.cloudwatch.queue_metrics",
    "isthmus_stack.aws.cloudwatch.reading": "isthmus_stack.aws.services.cloudwatch.datapoints",
    "isthmus_stack.aws.cloudwatch.sagemaker": "isthmus_stack.aws.services.cloudwatch.sagemaker",
    "isthmus_stack.aws.cloudwatch.statistics": "isthmus_stack.aws.services.cloudwatch.statistics",
    "isthmus_stack.aws.cloudwatch.variants": (
        "isthmus_stack.aws.services.cloudwatch.variant_metrics"
    ),
    "isthmus_stack.aws.constraints": "isthmus_stack.aws.core.protocol.constraints",
    "isthmus_stack.aws.door": "isthmus_stack.aws.core.identity.authentication",
    "isthmus_stack.aws.dynamodb": "isthmus_stack.aws.services.dynamodb.operations",
    "isthmus_stack.aws.dynamodb.Tables": "isthmus_stack.aws.services.dynamodb.records.Tables",
    "isthmus_stack.aws.endpoints.asynchronous": (
        "isthmus_stack.aws.services.sagemaker.endpoints.operations.invoke_async"
    ),
    "isthmus_stack.aws.endpoints.backlog": (
        "isthmus_stack.aws.services.sagemaker.endpoints.invocation.backlog"
    ),
    "isthmus_stack.aws.endpoints.capture": (
        "isthmus_stack.aws.services.sagemaker.endpoints.invocation.capture"
    ),
    "isthmus_stack.aws.endpoints.checks": "isthmus_stack.aws.services.sagemaker.endpoints.checks",
    "isthmus_stack.aws.endpoints.configs": (
        "isthmus_stack.aws.services.sagemaker.endpoints.operations.configs"
    ),
    "isthmus_stack.aws.endpoints.deploying": (
        "isthmus_stack.aws.services.sagemaker.endpoints.hosting.deployments"
    ),
    "isthmus_stack.aws.endpoints.describe": (
        "isthmus_stack.aws.services.sagemaker.endpoints.operations.describe"
    ),
    "isthmus_stack.aws.endpoints.fleets": (
        "isthmus_stack.aws.services.sagemaker.endpoints.hosting.fleets"
    ),
    "isthmus_stack.aws.endpoints.hosting": (
        "isthmus_stack.aws.services.sagemaker.endpoints.hosting.servers"
    ),
    "isthmus_stack.aws.endpoints.lifecycle": (
        "isthmus_stack.aws.services.sagemaker.endpoints.operations.lifecycle"
    ),
    "isthmus_stack.aws.endpoints.listing": (
        "isthmus_stack.aws.services.sagemaker.endpoints.operations.listing"
    ),
    "isthmus_stack.aws.endpoints.logs": "isthmus_stack.aws.services.sagemaker.endpoints.logs",
    "isthmus_stack.aws.endpoints.models": (
        "isthmus_stack.aws.services.sagemaker.endpoints.hosting.models"
    ),
    "isthmus_stack.aws.endpoints.plan": "isthmus_stack.aws.services.sagemaker.endpoints.plan",
    "isthmus_stack.aws.endpoints.processing": (
        "isthmus_stack.aws.services.sagemaker.endpoints.invocation.async_requests"
    ),
    "isthmus_stack.aws.endpoints.records": "isthmus_stack.aws.services.sagemaker.endpoints.records",
    "isthmus_stack.aws.endpoints.runtime": (
        "isthmus_stack.aws.services.sagemaker.endpoints.operations.invoke"
    ),
    "isthmus_stack.aws.endpoints.scripted": (
        "isthmus_stack.aws.services.sagemaker.endpoints.invocation.scripted_traffic"
    ),
    "isthmus_stack.aws.endpoints.shadow": (
        "isthmus_stack.aws.services.sagemaker.endpoints.invocation.shadow"
    ),
    "isthmus_stack.aws.endpoints.timing": "isthmus_stack.aws.services.sagemaker.endpoints.timing",
    "isthmus_stack.aws.endpoints.updating": (
        "isthmus_stack.aws.services.sagemaker.endpoints.operations.updates"
    ),
    "isthmus_stack.aws.environment": "isthmus_stack.aws.core.environment",
    "isthmus_stack.aws.experiments": "isthmus_stack.aws.services.sagemaker.experiments.operations",
    "isthmus_stack.aws.features.groups": (
        "isthmus_stack.aws.services.sagemaker.features.operations.groups"
    ),
    "isthmus_stack.aws.features.offline": (
        "isthmus_stack.aws.services.sagemaker.features.offline_store"
    ),
    "isthmus_stack.aws.features.records": (
        "isthmus_stack.aws.services.sagemaker.features.operations.records"
    ),
    "isthmus_stack.aws.features.store": "isthmus_stack.aws.services.sagemaker.features.records",
    "isthmus_stack.aws.features.values": "isthmus_stack.aws.services.sagemaker.features.values",
    "isthmus_stack.aws.firehose.delivery": "isthmus_stack.aws.services.firehose.delivery",
    "isthmus_stack.aws.firehose.destinations": "isthmus_stack.aws.services.firehose.destinations",
    "isthmus_stack.aws.firehose.errors": "isthmus_stack.aws.services.firehose.errors",
    "isthmus_stack.aws.firehose.jq": "isthmus_stack.aws.services.firehose.jq",
    "isthmus_stack.aws.firehose.prefix": "isthmus_stack.aws.services.firehose.prefix",
    "isthmus_stack.aws.firehose.sources": "isthmus_stack.aws.services.firehose.sources",
    "isthmus_stack.aws.firehose.streams": "isthmus_stack.aws.services.firehose.operations",
    "isthmus_stack.aws.firehose.streams.Streams": (
        "isthmus_stack.aws.services.firehose.records.Streams"
    ),
    "isthmus_stack.aws.firehose.streams.Stream": (
        "isthmus_stack.aws.services.firehose.records.Stream"
    ),
    "isthmus_stack.aws.glue": "isthmus_stack.aws.services.glue.operations",
    "isthmus_stack.aws.hive.buckets": "isthmus_stack.aws.services.athena.tables.buckets",
    "isthmus_stack.aws.hive.catalog": "isthmus_stack.aws.services.athena.tables.catalog",
    "isthmus_stack.aws.hive.errors": "isthmus_stack.aws.services.athena.errors",
    "isthmus_stack.aws.hive.files": "isthmus_stack.aws.services.athena.tables.files",
    "isthmus_stack.aws.hive.json_lines": "isthmus_stack.aws.services.athena.formats.json_lines",
    "isthmus_stack.aws.hive.partitions": "isthmus_stack.aws.services.athena.tables.partitions",
    "isthmus_stack.aws.hive.result": "isthmus_stack.aws.services.athena.tables.result",
    "isthmus_stack.aws.hive.text": "isthmus_stack.aws.services.athena.formats.text",
    "isthmus_stack.aws.hive.time_patterns": (
        "isthmus_stack.aws.services.athena.formats.time_patterns"
    ),
    "isthmus_stack.aws.hive.types": "isthmus_stack.aws.services.athena.formats.types",
    "isthmus_stack.aws.hive.writes": "isthmus_stack.aws.services.athena.tables.writes",
    "isthmus_stack.aws.home.backends": "isthmus_stack.aws.core.home.backends",
    "isthmus_stack.aws.home.keeper": "isthmus_stack.aws.core.home.keeper",
    "isthmus_stack.aws.home.objects": "isthmus_stack.aws.core.home.objects",
    "isthmus_stack.aws.home.stores": "isthmus_stack.aws.core.home.stores",
    "isthmus_stack.aws.http": "isthmus_stack.aws.core.protocol.http",
    "isthmus_stack.aws.identity": "isthmus_stack.aws.services.sts.operations",
    "isthmus_stack.aws.in_process": "isthmus_stack.aws.core.in_process",
    "isthmus_stack.aws.incoming": "isthmus_stack.aws.core.incoming",
    "isthmus_stack.aws.invoke_wire": "isthmus_stack.aws.core.protocol.invoke_wire",
    "isthmus_stack.aws.jobs.contract": "isthmus_stack.aws.services.sagemaker.jobs.contract",
    "isthmus_stack.aws.jobs.listing": "isthmus_stack.aws.services.sagemaker.jobs.listing",
    "isthmus_stack.aws.jobs.logs": "isthmus_stack.aws.services.sagemaker.jobs.logs",
    "isthmus_stack.aws.jobs.processing": (
        "isthmus_stack.aws.services.sagemaker.jobs.operations.processing"
    ),
    "isthmus_stack.aws.jobs.record": "isthmus_stack.aws.services.sagemaker.jobs.records",
    "isthmus_stack.aws.jobs.runner": "isthmus_stack.aws.services.sagemaker.jobs.runner",
    "isthmus_stack.aws.jobs.s3": "isthmus_stack.aws.services.sagemaker.jobs.s3",
    "isthmus_stack.aws.jobs.training": (
        "isthmus_stack.aws.services.sagemaker.jobs.operations.training"
    ),
    "isthmus_stack.aws.json_wire": "isthmus_stack.aws.core.protocol.json_wire",
    "isthmus_stack.aws.kinesis": "isthmus_stack.aws.services.kinesis.operations",
    "isthmus_stack.aws.managed_policies": "isthmus_stack.aws.core.policy.managed",
    "isthmus_stack.aws.model_packages": (
        "isthmus_stack.aws.services.sagemaker.model_packages.operations"
    ),
    "isthmus_stack.aws.model_packages.Registry": (
        "isthmus_stack.aws.services.sagemaker.model_packages.records.Registry"
    ),
    "isthmus_stack.aws.model_packages.Group": (
        "isthmus_stack.aws.services.sagemaker.model_packages.records.Group"
    ),
    "isthmus_stack.aws.models": "isthmus_stack.aws.services.sagemaker.models.operations",
    "isthmus_stack.aws.models.Models": "isthmus_stack.aws.services.sagemaker.models.records.Models",
    "isthmus_stack.aws.moto_server": "isthmus_stack.aws.core.protocol.moto_server",
    "isthmus_stack.aws.objects": "isthmus_stack.aws.core.objects",
    "isthmus_stack.aws.paging": "isthmus_stack.aws.core.paging",
    "isthmus_stack.aws.patterns": "isthmus_stack.aws.core.protocol.patterns",
    "isthmus_stack.aws.pipelines.cache": (
        "isthmus_stack.aws.services.sagemaker.pipelines.execution.cache"
    ),
    "isthmus_stack.aws.pipelines.conditions": (
        "isthmus_stack.aws.services.sagemaker.pipelines.definition.conditions"
    ),
    "isthmus_stack.aws.pipelines.definition": (
        "isthmus_stack.aws.services.sagemaker.pipelines.definition.document"
    ),
    "isthmus_stack.aws.pipelines.engine": (
        "isthmus_stack.aws.services.sagemaker.pipelines.execution.engine"
    ),
    "isthmus_stack.aws.pipelines.executions": (
        "isthmus_stack.aws.services.sagemaker.pipelines.operations.executions"
    ),
    "isthmus_stack.aws.pipelines.expressions": (
        "isthmus_stack.aws.services.sagemaker.pipelines.definition.expressions"
    ),
    "isthmus_stack.aws.pipelines.graph": (
        "isthmus_stack.aws.services.sagemaker.pipelines.definition.graph"
    ),
    "isthmus_stack.aws.pipelines.handlers": (
        "isthmus_stack.aws.services.sagemaker.pipelines.operations.pipelines"
    ),
    "isthmus_stack.aws.pipelines.paths": (
        "isthmus_stack.aws.services.sagemaker.pipelines.definition.paths"
    ),
    "isthmus_stack.aws.pipelines.references": (
        "isthmus_stack.aws.services.sagemaker.pipelines.definition.references"
    ),
    "isthmus_stack.aws.pipelines.retries": (
        "isthmus_stack.aws.services.sagemaker.pipelines.execution.retries"
    ),
    "isthmus_stack.aws.pipelines.steps": (
        "isthmus_stack.aws.services.sagemaker.pipelines.execution.steps"
    ),
    "isthmus_stack.aws.pipelines.store": "isthmus_stack.aws.services.sagemaker.pipelines.records",
    "isthmus_stack.aws.policy": "isthmus_stack.aws.core.policy.evaluation",
    "isthmus_stack.aws.policy_implied": "isthmus_stack.aws.core.policy.implied",
    "isthmus_stack.aws.policy_names": "isthmus_stack.aws.core.policy.names",
    "isthmus_stack.aws.policy_s3": "isthmus_stack.aws.core.policy.s3",
    "isthmus_stack.aws.proxy": "isthmus_stack.aws.core.protocol.proxy",
    "isthmus_stack.aws.registry": "isthmus_stack.aws.core.registry",
    "isthmus_stack.aws.search": "isthmus_stack.aws.services.sagemaker.search.operations",
    "isthmus_stack.aws.sessions": "isthmus_stack.aws.core.sessions",
    "isthmus_stack.aws.signing": "isthmus_stack.aws.core.identity.signatures",
    "isthmus_stack.aws.simulation": "isthmus_stack.aws.services.iam.operations",
    "isthmus_stack.aws.tagging": "isthmus_stack.aws.services.tagging.operations",
    "isthmus_stack.aws.tags": "isthmus_stack.aws.services.sagemaker.tags.operations",
    "isthmus_stack.aws.tags.Tags": "isthmus_stack.aws.services.sagemaker.tags.records.Tags",
    "isthmus_stack.aws.transform.asking": "isthmus_stack.aws.services.sagemaker.transform.requests",
    "isthmus_stack.aws.transform.handlers": (
        "isthmus_stack.aws.services.sagemaker.transform.operations"
    ),
    "isthmus_stack.aws.transform.records": "isthmus_stack.aws.services.sagemaker.transform.batches",
    "isthmus_stack.aws.tuning.bayesian": "isthmus_stack.aws.services.sagemaker.tuning.bayesian",
    "isthmus_stack.aws.tuning.handlers": "isthmus_stack.aws.services.sagemaker.tuning.operations",
    "isthmus_stack.aws.tuning.proposals": "isthmus_stack.aws.services.sagemaker.tuning.proposals",
    "isthmus_stack.aws.tuning.ranges": "isthmus_stack.aws.services.sagemaker.tuning.ranges",
    "isthmus_stack.aws.tuning.running": "isthmus_stack.aws.services.sagemaker.tuning.runner",
    "isthmus_stack.aws.tuning.trials": "isthmus_stack.aws.services.sagemaker.tuning.trials",
    "isthmus_stack.aws.wire": "isthmus_stack.aws.core.protocol.wire",
    "isthmus_stack.bounds": "isthmus_stack.core.http.connection_limits",
    "isthmus_stack.calls": "isthmus_stack.core.calls",
    "isthmus_stack.certificates": "isthmus_stack.core.http.certificates",
    "isthmus_stack.clock": "isthmus_stack.core.clock",
    "isthmus_stack.command_line": "isthmus_stack.cli.main",
    "isthmus_stack.control": "isthmus_stack.core.control",
    "isthmus_stack.cron": "isthmus_stack.core.cron",
    "isthmus_stack.downloads": "isthmus_stack.core.downloads",
    "isthmus_stack.errors": "isthmus_stack.cli.errors",
    "isthmus_stack.faults": "isthmus_stack.core.faults",
    "isthmus_stack.folders": "isthmus_stack.core.home.folders",
    "isthmus_stack.frozen": "isthmus_stack.core.home.pickles",
    "isthmus_stack.home": "isthmus_stack.core.home.home",
    "isthmus_stack.jobs.bound": "isthmus_stack.jobs.process_group",
    "isthmus_stack.jobs.images": "isthmus_stack.core.images",
    "isthmus_stack.jobs.namespace": "isthmus_stack.jobs.mount_namespace",
    "isthmus_stack.keys": "isthmus_stack.core.keys",
    "isthmus_stack.mistakes": "isthmus_stack.core.error_log",
    "isthmus_stack.peers": "isthmus_stack.core.http.peers",
    "isthmus_stack.ports": "isthmus_stack.core.http.ports",
    "isthmus_stack.process": "isthmus_stack.core.process",
    "isthmus_stack.seals": "isthmus_stack.core.home.seals",
    "isthmus_stack.serving.lines": "isthmus_stack.serving.log_lines",
    "isthmus_stack.state": "isthmus_stack.core.state",
    "isthmus_stack.texts": "isthmus_stack.cli.texts",
    "isthmus_stack.tunnel": "isthmus_stack.core.http.tunnel",
    "isthmus_stack.verbs": "isthmus_stack.cli.verbs",
    "isthmus_stack.wsgi": "isthmus_stack.core.http.answers",
    "isthmus_stack.wsgi_server": "isthmus_stack.core.http.wsgi_server",
}


def present_address(module: str, name: str) -> tuple[str, str]:
    """Return the present module and name of a class that was pickled under earlier ones."""
    package = __name__.partition(".")[0]
    if module.startswith(f"{FORMER_PACKAGE}."):
        module = f"{package}{module.removeprefix(FORMER_PACKAGE)}"
    if (whole := FORMER_MODULES.get(f"{module}.{name}")) is not None:
        module, _, name = whole.rpartition(".")
    return FORMER_MODULES.get(module, module), name


def first_address(module: str, name: str) -> str:
    """Return the full name that a class had in the first release that pickled it."""
    if (whole := _FIRST.get(f"{module}.{name}")) is not None:
        return whole
    return f"{_FIRST.get(module, module)}.{name}"


_FIRST = {present: former for former, present in FORMER_MODULES.items()}
