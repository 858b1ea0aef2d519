"""The IAM permissions of Resource Manager's operations that do not follow from their names.

Source: the page of each method.
"""

from __future__ import annotations

from collections.abc import Mapping

PERMISSIONS: Mapping[str, str] = {
    "Projects.SearchProjects": "",
    "Projects.GetIamPolicy": "projects.getIamPolicy",
    "Projects.SetIamPolicy": "projects.setIamPolicy",
}
