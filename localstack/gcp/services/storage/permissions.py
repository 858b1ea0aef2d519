"""The IAM permissions of Cloud Storage's operations that do not follow from their names.

Source: the page of each method.
"""

from __future__ import annotations

from collections.abc import Mapping

PERMISSIONS: Mapping[str, str] = {
    "storage.objects.insert": "objects.create objects.delete",  # the second one to overwrite
    "storage.objects.copy": "objects.get objects.create objects.delete",
    "storage.objects.rewrite": "objects.get objects.create objects.delete",
    "storage.objects.compose": "objects.get objects.create objects.delete",
    "storage.objects.patch": "objects.get objects.update",
    "storage.objects.update": "objects.get objects.update",
    "storage.buckets.insert": "buckets.create",
    "storage.buckets.patch": "buckets.get buckets.update",
    "storage.buckets.update": "buckets.get buckets.update",
}
