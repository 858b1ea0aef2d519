"""BatchGetRecord's answer read by msgspec: botocore walks each of its values in Python, which takes
most of an online read.
"""

from __future__ import annotations

from typing import Any

import msgspec

EVENT = "before-parse.sagemaker-featurestore-runtime.BatchGetRecord"


def parse(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
) -> None:
    """A handler of EVENT: what it puts into the second is in the answer.

    All of the members are texts, and lists of them.

    An error's answer, and one that is no JSON object, are left to botocore, which says what is
    wrong.
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
