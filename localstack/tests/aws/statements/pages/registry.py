"""The model registry."""

from isthmus_stack.testing.jobs_kit import ROLE
from isthmus_stack.tests.aws.statements.account import TOY, refusal, variant
from isthmus_stack.tests.aws.statements.table import guide, promises, reference

VERSION = guide("Register a model version", "model-registry-version")
APPROVE = guide("Update the approval status of a model", "model-registry-approve")
DEPLOY = guide("Deploy a model from the registry", "model-registry-deploy")
DELETE_VERSION = guide("Delete a model version", "model-registry-delete-model-version")
CREATE = reference("CreateModelPackage")
LIST = reference("ListModelPackages")


def group(aws):
    name = aws.fresh("group")
    aws.sm.create_model_package_group(ModelPackageGroupName=name)
    return name


def register(aws, into, **more):
    containers = [
        {"Image": TOY, "ModelDataUrl": aws.artifact, "Environment": {"GREETING": "registered"}}
    ]
    specification = {
        "Containers": containers,
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }
    request = {"ModelPackageGroupName": into, "InferenceSpecification": specification, **more}
    return aws.sm.create_model_package(**request)["ModelPackageArn"]


def described(aws, arn):
    return aws.sm.describe_model_package(ModelPackageName=arn)


@promises("A version belongs to its group and counts up from 1.", VERSION)
def versions_count_up(aws):
    into = group(aws)
    packages = [described(aws, register(aws, into)) for _ in range(2)]
    assert [(item["ModelPackageGroupName"], item["ModelPackageVersion"]) for item in packages] == [
        (into, 1),
        (into, 2),
    ]


@promises("A version without an approval status waits: PendingManualApproval.", APPROVE)
def a_version_waits_for_its_approval(aws):
    assert (
        described(aws, register(aws, group(aws)))["ModelApprovalStatus"] == "PendingManualApproval"
    )


@promises(
    "Pending goes to Approved or Rejected, Rejected to Approved, and Approved to Rejected.", APPROVE
)
def a_status_is_changed(aws):
    arn = register(aws, group(aws))
    for status in ("Rejected", "Approved", "Rejected"):
        aws.sm.update_model_package(
            ModelPackageArn=arn, ModelApprovalStatus=status, ApprovalDescription=f"now {status}"
        )
        assert described(aws, arn)["ModelApprovalStatus"] == status
    assert described(aws, arn)["ApprovalDescription"] == "now Rejected"


@promises("A registered version is described with its containers.", CREATE)
def containers_are_described(aws):
    containers = described(aws, register(aws, group(aws)))["InferenceSpecification"]["Containers"]
    assert (containers[0]["Image"], containers[0]["ModelDataUrl"]) == (TOY, aws.artifact)


@promises("A version's group must be there.", CREATE)
def a_version_needs_its_group(aws):
    assert "ValidationException" in refusal(register, aws=aws, into="nobodys")


@promises("A versioned package takes the tags of its group, and none of its own.", CREATE)
def a_version_has_no_tags_of_its_own(aws):
    assert "ValidationException" in refusal(
        register, aws=aws, into=group(aws), Tags=[{"Key": "team", "Value": "ranking"}]
    )


@promises("A package is versioned by a group or unversioned by a name, not both.", CREATE)
def a_package_is_versioned_or_named(aws):
    assert "ValidationException" in refusal(
        register, aws=aws, into=group(aws), ModelPackageName="named"
    )


@promises("The same ClientToken registers once.", CREATE)
def a_token_registers_once(aws):
    into = group(aws)
    assert register(aws, into, ClientToken="token") == register(aws, into, ClientToken="token")


@promises("A model is made of a version by its ARN, and serves.", DEPLOY)
def a_version_is_deployed(aws):
    arn = register(aws, group(aws), ModelApprovalStatus="Approved")
    name = aws.fresh("model")
    aws.sm.create_model(
        ModelName=name, Containers=[{"ModelPackageName": arn}], ExecutionRoleArn=ROLE
    )
    endpoint = aws.endpoint(variant("main", name))
    assert aws.ask(endpoint)["Body"]["env"] == "registered"


@promises("Only a version that is Approved is deployed.", CREATE)
def a_version_is_approved_before_it_is_deployed(aws):
    arn = register(aws, group(aws))
    containers = [{"ModelPackageName": arn}]
    assert "ValidationException" in refusal(
        aws.sm.create_model, ModelName=aws.fresh(), Containers=containers, ExecutionRoleArn=ROLE
    )


@promises("ListModelPackages filters by group and by approval status.", LIST)
def versions_are_listed(aws):
    into = group(aws)
    register(aws, into)
    approved = register(aws, into, ModelApprovalStatus="Approved")
    listed = aws.sm.list_model_packages(ModelPackageGroupName=into, ModelApprovalStatus="Approved")[
        "ModelPackageSummaryList"
    ]
    assert [item["ModelPackageArn"] for item in listed] == [approved]


@promises("Without a group or type, unversioned packages are listed.", LIST)
def unversioned_packages_are_listed_by_default(aws):
    register(aws, group(aws))
    named = aws.fresh("package")
    containers = [{"Image": TOY, "ModelDataUrl": aws.artifact}]
    specification = {
        "Containers": containers,
        "SupportedContentTypes": ["text/csv"],
        "SupportedResponseMIMETypes": ["text/csv"],
    }
    specification |= {
        "SupportedRealtimeInferenceInstanceTypes": ["ml.m5.large"],
        "SupportedTransformInstanceTypes": ["ml.m5.large"],
    }
    aws.sm.create_model_package(ModelPackageName=named, InferenceSpecification=specification)
    listed = aws.sm.list_model_packages(MaxResults=100)["ModelPackageSummaryList"]
    assert named in [item.get("ModelPackageName") for item in listed]
    assert all("ModelPackageVersion" not in item for item in listed)


@promises("A version is deleted by its ARN; its number is not used again.", DELETE_VERSION)
def a_number_is_not_used_again(aws):
    into = group(aws)
    aws.sm.delete_model_package(ModelPackageName=register(aws, into))
    assert described(aws, register(aws, into))["ModelPackageVersion"] == 2


@promises("A group that has versions is not deleted.", reference("DeleteModelPackageGroup"))
def a_group_is_deleted_empty(aws):
    into = group(aws)
    arn = register(aws, into)
    assert "Conflict" in refusal(aws.sm.delete_model_package_group, ModelPackageGroupName=into)
    aws.sm.delete_model_package(ModelPackageName=arn)
    aws.sm.delete_model_package_group(ModelPackageGroupName=into)
    assert refusal(aws.sm.describe_model_package_group, ModelPackageGroupName=into)


@promises(
    "CustomerMetadataProperties are added and removed by an update.",
    reference("UpdateModelPackage"),
)
def properties_are_updated(aws):
    arn = register(aws, group(aws), CustomerMetadataProperties={"run": "1", "owner": "a"})
    aws.sm.update_model_package(
        ModelPackageArn=arn,
        CustomerMetadataProperties={"owner": "b"},
        CustomerMetadataPropertiesToRemove=["run"],
    )
    assert described(aws, arn)["CustomerMetadataProperties"] == {"owner": "b"}
