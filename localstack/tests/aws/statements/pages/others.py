"""Models of several containers, and services that others build upon."""

import json

from isthmus_stack.testing.jobs_kit import ROLE
from isthmus_stack.tests.aws.statements.account import TOY
from isthmus_stack.tests.aws.statements.table import Page, guide, promises

TEMPLATE = {
    "Resources": {
        "Group": {
            "Type": "AWS::SageMaker::ModelPackageGroup",
            "Properties": {"ModelPackageGroupName": "from-a-template"},
        },
    }
}


@promises(
    "Containers of a model are an inference pipeline: each gets what the one before answered.",
    guide("Inference pipelines", "inference-pipelines"),
    differs="refused at the model's creation by name",
)
def containers_are_a_pipeline(aws):
    containers = [{"Image": TOY, "ModelDataUrl": aws.artifact}] * 2
    assert aws.sm.create_model(
        ModelName=aws.fresh("model"), Containers=containers, ExecutionRoleArn=ROLE
    )


@promises(
    "Mode MultiModel serves every archive below a prefix by TargetModel.",
    guide("Multi-model endpoints", "multi-model-endpoints"),
    differs="refused at the model's creation by name",
)
def a_container_serves_many_models(aws):
    container = {"Image": TOY, "ModelDataUrl": "s3://bucket/many/", "Mode": "MultiModel"}
    assert aws.sm.create_model(
        ModelName=aws.fresh("model"), PrimaryContainer=container, ExecutionRoleArn=ROLE
    )


@promises(
    "StartExecution runs a state machine.",
    Page("StartExecution", "step-functions/latest/apireference/API_StartExecution"),
    differs="refused by name: moto says SUCCEEDED of any definition",
)
def a_state_machine_runs(aws):
    # to make one takes moto eight seconds
    machine = "arn:aws:states:us-east-1:123456789012:stateMachine:nightly"
    assert aws.stepfunctions.start_execution(stateMachineArn=machine)["executionArn"]


@promises(
    "Invoke runs a function.",
    Page("Invoke", "lambda/latest/api/API_Invoke"),
    differs="refused by name",
)
def a_function_runs(aws):
    assert aws.client("lambda").invoke(FunctionName="f")


MODEL = {
    "ExecutionRoleArn": "arn:aws:iam::123456789012:role/serving",
    "PrimaryContainer": {"Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/image:1"},
}


@promises(
    "CloudFormation makes a model under a name of its own, which Ref's ARN has.",
    Page(
        "AWS::SageMaker::Model",
        "AWSCloudFormation/latest/TemplateReference/aws-resource-sagemaker-model",
    ),
)
def a_template_makes_a_model(aws):
    resources = {"Model": {"Type": "AWS::SageMaker::Model", "Properties": MODEL}}
    stack = aws.fresh("stack")
    aws.cloudformation.create_stack(
        StackName=stack,
        TemplateBody=json.dumps(
            {"Resources": resources, "Outputs": {"Arn": {"Value": {"Ref": "Model"}}}}
        ),
    )
    output = aws.cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["Outputs"][0][
        "OutputValue"
    ]
    assert aws.sm.describe_model(ModelName=output.rpartition("/")[2])["ModelArn"] == output
    aws.cloudformation.delete_stack(StackName=stack)


@promises(
    "CloudFormation makes SageMaker's other resources.",
    Page(
        "AWS::SageMaker::ModelPackageGroup",
        "AWSCloudFormation/latest/TemplateReference/aws-resource-sagemaker-modelpackagegroup",
    ),
    differs="refused by name",
)
def a_template_makes_resources(aws):
    aws.cloudformation.create_stack(StackName=aws.fresh("stack"), TemplateBody=json.dumps(TEMPLATE))
    assert aws.sm.describe_model_package_group(ModelPackageGroupName="from-a-template")


@promises(
    "A message that was received is hidden for its visibility timeout.",
    Page(
        "Amazon SQS visibility timeout",
        "AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout",
    ),
)
def a_received_message_is_hidden(aws):
    url = aws.sqs.create_queue(QueueName=aws.fresh("queue"))["QueueUrl"]
    aws.sqs.send_message(QueueUrl=url, MessageBody="hello")
    assert [
        message["Body"]
        for message in aws.sqs.receive_message(QueueUrl=url, VisibilityTimeout=60)["Messages"]
    ] == ["hello"]
    assert aws.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0).get("Messages", []) == []


@promises(
    "Lines of a log stream are in the order of their time.",
    Page("GetLogEvents", "AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents"),
)
def lines_are_in_their_order(aws):
    aws.logs.create_log_group(logGroupName="/own")
    aws.logs.create_log_stream(logGroupName="/own", logStreamName="s")
    now = int(aws.stack.now().timestamp() * 1000)
    events = [{"timestamp": now + number, "message": str(number)} for number in range(3)]
    aws.logs.put_log_events(logGroupName="/own", logStreamName="s", logEvents=events)
    told = aws.logs.get_log_events(logGroupName="/own", logStreamName="s", startFromHead=True)[
        "events"
    ]
    assert [event["message"] for event in told] == ["0", "1", "2"]
