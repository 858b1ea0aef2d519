"""ModelService's evaluations of versions: imported, shown, listed.

They are deleted with their version.
"""

from __future__ import annotations

import re
from typing import Any

from google.cloud.aiplatform_v1.types import ListModelEvaluationsResponse, ModelEvaluation

from .....core.call import Call
from .....core.errors import GcpError, invalid
from .....core.registry import handles
from .....core.resources.listing import last_segment, page_of
from .....core.resources.validation import check_display_name
from ..records import Models, Version, parse, registered_model, version_of

_SERVICE = "google.cloud.aiplatform.v1.ModelService"
_NAME = re.compile(r"(.+/models/[^/]+)/evaluations/([^/]+)")
_FILTERS = ("display_name", "metrics_schema_uri", "create_time")
ModelEvaluationPb = ModelEvaluation.pb()


@handles(f"{_SERVICE}.ImportModelEvaluation", executes=False)
def import_model_evaluation(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call ImportModelEvaluation: store an imported model evaluation."""
    evaluation = ModelEvaluationPb()
    evaluation.CopyFrom(request.model_evaluation)
    check_display_name(evaluation.display_name, kind="ModelEvaluation", required=False)
    number = call.new_id()
    with call.store(Models).lock:
        name, version = _version(call, request.parent)
        evaluation.name = f"{name}/evaluations/{number}"
        evaluation.create_time.CopyFrom(call.now_pb())
        version.evaluations[number] = evaluation
    return evaluation


@handles(f"{_SERVICE}.GetModelEvaluation", executes=False)
def get_model_evaluation(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call GetModelEvaluation: return a model evaluation."""
    match = _NAME.fullmatch(request.name)
    if match is None:
        raise invalid(
            f"{request.name!r} is not the name of an evaluation: "
            "projects/P/locations/L/models/M@V/evaluations/E."
        )
    with call.store(Models).lock:
        _, version = _version(call, match[1])
        if match[2] not in version.evaluations:
            raise GcpError("NOT_FOUND", f"The ModelEvaluation does not exist: {request.name}")
        return version.evaluations[match[2]]


@handles(f"{_SERVICE}.ListModelEvaluations", executes=False)
def list_model_evaluations(call: Call, request: Any) -> Any:
    """List a version's evaluations, the newest first."""
    with call.store(Models).lock:
        _, version = _version(call, request.parent)
        evaluations = list(version.evaluations.values())[::-1]
    rows, token = page_of(evaluations, request, fields=_FILTERS, more={"evaluation": last_segment})
    return ListModelEvaluationsResponse.pb()(model_evaluations=rows, next_page_token=token)


def _version(call: Call, model: str) -> tuple[str, Version]:
    """Return the full name and the record of the model version that `model` names.

    Raises GcpError NOT_FOUND if there is none.
    """
    parsed = parse(call, model)
    registered = registered_model(call, parsed)
    version = version_of(registered, parsed.version)
    return f"{registered.name}@{version.number}", version
