"""Buckets, by the genuine client: labels, policies, retention, what is deleted softly."""

import pytest
from google.api_core import exceptions
from google.cloud.storage import constants

from ...conftest import PROJECT


def test_a_bucket_is_made_once_found_by_its_project_and_goes_when_it_is_empty(client, bucket):
    for name in ("b-two", "b-three"):
        client.create_bucket(name, location="us-central1")
    with pytest.raises(exceptions.Conflict, match="already own it"):
        client.create_bucket("shop")
    assert [listed.name for listed in client.list_buckets(page_size=2)] == [
        "b-three",
        "b-two",
        "shop",
    ]
    assert [listed.name for listed in client.list_buckets(prefix="b-")] == ["b-three", "b-two"]
    assert list(client.list_buckets(project="another")) == []
    regional = client.get_bucket("b-two")
    assert (
        regional.location,
        regional.location_type,
        regional.storage_class,
        bucket.location_type,
    ) == (
        "US-CENTRAL1",
        "region",
        "STANDARD",
        "multi-region",
    )
    bucket.blob("k").upload_from_string(b"")
    with pytest.raises(exceptions.Conflict, match="not empty"):
        bucket.delete()
    bucket.delete(force=True)
    assert client.lookup_bucket("shop") is None


def test_a_patch_changes_what_it_names_under_the_metageneration_that_was_read(bucket):
    bucket.labels = {"team": "ranking", "cost": "low"}
    bucket.patch(if_metageneration_match=1)
    bucket.labels = {"team": "ranking"}
    bucket.cors = [{"origin": ["*"]}]
    bucket.patch()
    bucket.reload()
    assert (bucket.labels, bucket.cors, bucket.metageneration) == (
        {"team": "ranking"},
        [{"origin": ["*"]}],
        3,
    )
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.patch(if_metageneration_match=1)
    with pytest.raises(exceptions.NotModified):
        bucket.reload(if_metageneration_not_match=3)
    bucket.add_lifecycle_delete_rule(age=7)
    bucket.patch()
    bucket.clear_lifecycle_rules()
    bucket.patch()
    assert list(bucket.lifecycle_rules) == []


def test_a_policy_is_replaced_under_its_etag(bucket):
    first = bucket.get_iam_policy()
    assert f"projectOwner:{PROJECT}" in first["roles/storage.legacyBucketOwner"]
    stale = bucket.get_iam_policy()
    first["roles/storage.objectViewer"] = {"user:ada@example.com"}
    bucket.set_iam_policy(first)
    assert bucket.get_iam_policy()["roles/storage.objectViewer"] == {"user:ada@example.com"}
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.set_iam_policy(stale)
    assert bucket.test_iam_permissions(["storage.objects.get"]) == ["storage.objects.get"]
    with pytest.raises(exceptions.BadRequest):
        bucket.test_iam_permissions(["get"])


def test_conditions_of_a_policy_and_uniform_access(bucket):
    policy = bucket.get_iam_policy(requested_policy_version=3)
    policy.bindings.append(
        {
            "role": "roles/storage.objectViewer",
            "members": {"allUsers"},
            "condition": {"title": "t", "expression": "true"},
        }
    )
    with pytest.raises(exceptions.PreconditionFailed, match="enable uniform bucket-level access"):
        bucket.set_iam_policy(policy)
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.iam_configuration.public_access_prevention = constants.PUBLIC_ACCESS_PREVENTION_ENFORCED
    bucket.patch()
    with pytest.raises(exceptions.BadRequest, match="uniform bucket-level access is enabled"):
        bucket.acl.reload()
    policy = bucket.get_iam_policy()
    policy["roles/storage.objectViewer"] = {"allUsers"}
    with pytest.raises(exceptions.PreconditionFailed, match="public access prevention"):
        bucket.set_iam_policy(policy)


def test_access_control_lists_of_buckets_and_objects(bucket):
    bucket.acl.group("friends@example.com").grant_read()
    bucket.acl.save()
    bucket.acl.reload()
    assert bucket.acl.group("friends@example.com").get_roles() == {"READER"}
    blob = bucket.blob("k")
    blob.upload_from_string(b"", predefined_acl="publicRead")
    assert "READER" in blob.acl.all().get_roles()
    blob.make_private()
    assert not blob.acl.all().get_roles()
    assert bucket.get_blob("k").metageneration == 2


def test_what_is_retained_or_held_stays_until_its_time(gcp, client):
    bucket = client.bucket("retained")
    bucket.retention_period = 60
    bucket = client.create_bucket(bucket)
    blob = bucket.blob("k")
    blob.upload_from_string(b"one")
    for change in (blob.delete, lambda: blob.upload_from_string(b"two")):
        with pytest.raises(exceptions.Forbidden, match="retention policy"):
            change()
    gcp.advance(61)
    blob.event_based_hold = True
    blob.patch()
    for change in (blob.delete, lambda: bucket.move_blob(blob, "elsewhere")):
        with pytest.raises(exceptions.Forbidden, match="Event-Based hold"):
            change()
    assert [listed.name for listed in bucket.list_blobs()] == ["k"]
    blob.event_based_hold = False
    blob.patch()
    blob.delete()
    bucket.lock_retention_policy()
    bucket.retention_period = 5
    with pytest.raises(exceptions.Forbidden):
        bucket.patch()


def test_what_was_deleted_softly_can_be_restored_in_its_time(gcp, client, bucket):
    blob = bucket.blob("k")
    blob.upload_from_string(b"one")
    generation = blob.generation
    blob.delete()
    assert list(bucket.list_blobs(versions=True)) == []
    assert bucket.get_blob("k", generation=generation, soft_deleted=True).soft_delete_time
    restored = bucket.restore_blob("k", generation=generation)
    assert (restored.download_as_bytes(), restored.generation != generation) == (b"one", True)
    bucket.delete(force=True)
    again = client.restore_bucket("shop", generation=bucket.generation)
    assert (again.name, again.soft_delete_time) == ("shop", None)
    assert [blob.name for blob in bucket.list_blobs(soft_deleted=True)] == ["k"]
    gcp.advance(7 * 86_400)
    assert list(bucket.list_blobs(soft_deleted=True)) == []


def test_customers_keys_open_what_they_closed_and_nothing_else_does(bucket):
    key, other = b"k" * 32, b"o" * 32
    bucket.blob("secret", encryption_key=key).upload_from_string(b"one")
    assert bucket.blob("secret", encryption_key=key).download_as_bytes() == b"one"
    for wrong in (None, other):
        with pytest.raises(exceptions.BadRequest):
            bucket.blob("secret", encryption_key=wrong).download_as_bytes()
    assert bucket.get_blob("secret").md5_hash is None
    rotated = bucket.blob("secret", encryption_key=other)
    rotated.rewrite(bucket.blob("secret", encryption_key=key))
    assert rotated.download_as_bytes() == b"one"


def test_keys_and_the_service_agent_of_a_project(client):
    assert client.get_service_account_email().endswith(
        "@gs-project-accounts.iam.gserviceaccount.com"
    )
    metadata, secret = client.create_hmac_key("sa@example.iam.gserviceaccount.com")
    assert (len(secret), [key.access_id for key in client.list_hmac_keys()]) == (
        40,
        [metadata.access_id],
    )
    with pytest.raises(exceptions.BadRequest, match="ACTIVE"):
        metadata.delete()
    metadata.state = "INACTIVE"
    metadata.update()
    metadata.delete()
    assert list(client.list_hmac_keys()) == []
