"""Fast parsing of BatchGetRecord's answers.

botocore walks each value in Python, which would take most of an online read.
"""

from __future__ import annotations

from typing import Any

import msgspec

EVENT = "before-parse.sagemaker-featurestore-runtime.BatchGetRecord"


def parse(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
) -> None:
    """Parse a BatchGetRecord answer with msgspec, as botocore's hook for the event EVENT.

    botocore takes what it puts in `customized_response_dict`. Errors, and answers that are no JSON
    object, are left to botocore, which is slower.
    """
    if response_dict["status_code"] != 200:
        return
    try:
        members = msgspec.json.decode(response_dict["body"], type=dict[str, Any])
    except msgspec.DecodeError:
        return
    customized_response_dict.update(
        (name, value) for name, value in members.items() if value is not None
    )
    response_dict["body"] = b"{}"
