"""A user of the genuine sagemaker v3 SDK: run in a process of its own, with the stack's variables.

Prints one JSON object.
"""

import json
import sys
import tempfile
from pathlib import Path

import boto3
from sagemaker.core.helper.iam_role_resolver import resolve_and_validate_role
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.parameter import ContinuousParameter
from sagemaker.core.processing import ScriptProcessor
from sagemaker.core.shapes import ProcessingOutput, ProcessingS3Output
from sagemaker.core.workflow.conditions import ConditionGreaterThanOrEqualTo
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.parameters import ParameterFloat, ParameterString
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import CacheConfig, ProcessingStep, TrainingStep
from sagemaker.train import ModelTrainer
from sagemaker.train.configs import Compute, InputData, OutputDataConfig, SourceCode
from sagemaker.train.tuner import HyperparameterTuner

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/nobody-mapped-this:1"
ROLE = "arn:aws:iam::123456789012:role/SageMakerRole"
TRAIN = """
import argparse, json, os, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
lr = parser.parse_args().lr
rows = [line for file in pathlib.Path("/opt/ml/input/data/train").iterdir() for line in file.read_text().splitlines()]
print("validation loss=0.25;")
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.json").write_text(json.dumps({"lr": lr, "rows": len(rows)}))
"""
EVALUATE = """
import json, os
with open("/opt/ml/processing/report/evaluation.json", "w") as file:
    json.dump({"metrics": {"auc": float(os.environ["AUC"])}}, file)
"""


def trainer(session, source):
    return ModelTrainer(
        sagemaker_session=session,
        training_image=IMAGE,
        role=ROLE,
        base_job_name="v3",
        source_code=SourceCode(source_dir=str(source), entry_script="train.py"),
        compute=Compute(instance_type="ml.m5.large", instance_count=1),
        hyperparameters={"lr": 0.5},
        output_data_config=OutputDataConfig(s3_output_path="s3://sdk-bucket/models"),
    )


def script_mode(source):
    session = Session(boto_session=boto3.Session(), default_bucket="sdk-bucket")
    made = trainer(session, source)
    made.train(
        input_data_config=[InputData(channel_name="train", data_source="s3://sdk-bucket/data/")],
        wait=True,
        logs=True,
    )
    job = made._latest_training_job
    return {
        "status": job.training_job_status,
        "artifacts": job.model_artifacts.s3_model_artifacts,
        "name": job.training_job_name,
    }


def tuning():
    session = Session(boto_session=boto3.Session(), default_bucket="sdk-bucket")
    tuned = ModelTrainer(
        sagemaker_session=session,
        # tuning jobs take no entrypoint
        training_image="123456789012.dkr.ecr.us-east-1.amazonaws.com/tuned:1",
        role=ROLE,
        compute=Compute(instance_type="ml.m5.large", instance_count=1),
        hyperparameters={"script": 'cat /opt/ml/input/data/training/x.csv; echo "auc=$SM_HP_LR;"'},
        output_data_config=OutputDataConfig(s3_output_path="s3://sdk-bucket/models"),
    )
    tuner = HyperparameterTuner(
        model_trainer=tuned,
        objective_metric_name="auc",
        hyperparameter_ranges={"lr": ContinuousParameter(0.001, 0.5, scaling_type="Logarithmic")},
        metric_definitions=[{"Name": "auc", "Regex": "auc=(.*?);"}],
        max_jobs=2,
        max_parallel_jobs=2,
    )
    tuner.tune(inputs="s3://sdk-bucket/data/", wait=False)
    tuner.latest_tuning_job.wait(poll=1)
    return {
        "best": tuner.best_training_job(),
        "values": tuner.analytics()
        .dataframe()[["TrainingJobName", "lr", "FinalObjectiveValue"]]
        .values.tolist(),
    }


def pipeline(source):
    session = PipelineSession(boto_session=boto3.Session(), default_bucket="sdk-bucket")
    floor, auc = (
        ParameterFloat(name="Floor", default_value=0.5),
        ParameterString(name="Auc", default_value="0.7"),
    )
    report = PropertyFile(name="Evaluation", output_name="report", path="evaluation.json")
    processor = ScriptProcessor(
        role=ROLE, image_uri=IMAGE, command=["python3"], instance_count=1, instance_type="ml.m5.large", env={"AUC": auc},
        sagemaker_session=session, max_runtime_in_seconds=600,
    )  # fmt: skip
    where = Join(
        on="/", values=["s3://sdk-bucket/reports", ExecutionVariables.PIPELINE_EXECUTION_ID]
    )
    output = ProcessingOutput(
        output_name="report",
        s3_output=ProcessingS3Output(
            s3_uri=where, local_path="/opt/ml/processing/report", s3_upload_mode="EndOfJob"
        ),
    )
    train = TrainingStep(
        name="Train",
        step_args=trainer(session, source).train(
            input_data_config=[InputData(channel_name="train", data_source="s3://sdk-bucket/data/")]
        ),
        cache_config=CacheConfig(enable_caching=True, expire_after="P1D"),
    )
    evaluate = ProcessingStep(
        name="Evaluate",
        step_args=processor.run(code=str(source / "evaluate.py"), outputs=[output]),
        property_files=[report],
        depends_on=[train],
    )
    good = ConditionGreaterThanOrEqualTo(
        left=JsonGet(step_name="Evaluate", property_file=report, json_path="metrics.auc"),
        right=floor,
    )
    again = ProcessingStep(
        name="Publish", step_args=processor.run(code=str(source / "evaluate.py"), outputs=[output])
    )
    refuse = FailStep(name="Refuse", error_message=Join(on=" ", values=["auc below", floor]))
    gate = ConditionStep(name="Gate", conditions=[good], if_steps=[again], else_steps=[refuse])
    made = Pipeline(
        name="sdk-pipeline",
        parameters=[floor, auc],
        steps=[train, evaluate, gate],
        sagemaker_session=session,
    )
    first = made.upsert(role_arn=ROLE)
    second = made.upsert(role_arn=ROLE)
    found = {"arns": [first["PipelineArn"], second["PipelineArn"]], "runs": []}
    for parameters in ({}, {"Auc": "0.4"}):
        execution = made.start(parameters=parameters)
        try:
            execution.wait(delay=1, max_attempts=600)
        except Exception as error:  # noqa: BLE001  the waiter's, of an execution that failed
            found["waiter"] = str(error)
        described = execution.describe()
        steps = json.loads(json.dumps(execution.list_steps(), default=str))
        found["runs"].append(
            {
                "status": described["PipelineExecutionStatus"],
                "reason": described.get("FailureReason"),
                "steps": steps,
            }
        )
    return found


def nothing_named():
    """What a session is, of which nobody said a bucket or a role, and which role the SDK finds fit
    for each kind of work.
    """
    session = Session()
    fit = {
        resolve_and_validate_role(role_type=kind, sagemaker_session=session)
        for kind in ("training", "serving", "pipeline")
    }
    return {
        "bucket": session.default_bucket(),
        "role": get_execution_role(session),
        "fit": list(fit),
        "again": Session().default_bucket(),
    }


def main():
    source = Path(tempfile.mkdtemp())
    (source / "train.py").write_text(TRAIN)
    (source / "evaluate.py").write_text(EVALUATE)
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="sdk-bucket")
    s3.put_object(Bucket="sdk-bucket", Key="data/x.csv", Body=b"1\n2\n3\n")
    found = {
        "script_mode": script_mode(source),
        "pipeline": pipeline(source),
        "tuning": tuning(),
        "session": nothing_named(),
    }
    Path(sys.argv[1]).write_text(json.dumps(found))


main()
