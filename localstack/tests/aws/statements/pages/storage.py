"""S3."""

import hashlib

import botocore.exceptions
import pytest

from isthmus_stack.testing.keys_kit import fetched
from isthmus_stack.tests.aws.statements.account import refusal
from isthmus_stack.tests.aws.statements.table import Page, promises


def api(name):
    return Page(name, f"AmazonS3/latest/API/API_{name}")


CONSISTENCY = Page("What is Amazon S3?", "AmazonS3/latest/userguide/Welcome")
VERSIONING = Page("How S3 Versioning works", "AmazonS3/latest/userguide/versioning-workflows")
CONDITIONS = Page(
    "Prevent object overwrites with conditional writes",
    "AmazonS3/latest/userguide/conditional-writes",
)
PRESIGNED = Page(
    "Download and upload objects with presigned URLs",
    "AmazonS3/latest/userguide/using-presigned-url",
)
NAMES = Page("General purpose bucket naming rules", "AmazonS3/latest/userguide/bucketnamingrules")


@promises("A GET after a PUT or a DELETE sees it, and so does a list.", CONSISTENCY)
def reads_follow_writes(aws):
    key = aws.fresh("s3/consistent")
    for body in (b"1", b"2"):
        aws.put(key, body)
        assert aws.body(key) == body
    assert aws.keys(key) == [key]
    aws.s3.delete_object(Bucket="bucket", Key=key)
    assert aws.keys(key) == []
    assert "NoSuchKey" in refusal(aws.body, key=key)


@promises("A bucket that is not there is NoSuchBucket.", api("PutObject"))
def a_missing_bucket_is_told(aws):
    assert "NoSuchBucket" in refusal(aws.s3.put_object, Bucket="nobodys-bucket", Key="k", Body=b"")


@promises("A bucket with objects is not deleted: BucketNotEmpty.", api("DeleteBucket"))
def a_bucket_is_deleted_empty(aws):
    name = aws.fresh("full")
    aws.s3.create_bucket(Bucket=name)
    aws.s3.put_object(Bucket=name, Key="k", Body=b"")
    assert "BucketNotEmpty" in refusal(aws.s3.delete_bucket, Bucket=name)
    aws.s3.delete_object(Bucket=name, Key="k")
    aws.s3.delete_bucket(Bucket=name)


@promises("A bucket's name has 3 to 63 characters.", NAMES)
def bucket_names_have_their_length(aws):
    for name in ("ab", "a" * 64):
        assert "InvalidBucketName" in refusal(aws.s3.create_bucket, Bucket=name)


@promises(
    "A bucket's name has lower-case letters, digits, dots and hyphens.",
    NAMES,
    differs="moto takes others, too",
)
def bucket_names_have_their_letters(aws):
    for name in ("Upper-Case", "with_underscore"):
        assert "InvalidBucketName" in refusal(aws.s3.create_bucket, Bucket=name)


@promises(
    "Lists are ordered by key, in pages of 1,000 at most, and go on by a token.",
    api("ListObjectsV2"),
)
def lists_are_ordered_and_paged(aws):
    for name in ("b", "a", "c"):
        aws.put(f"s3/listed/{name}")
    first = aws.s3.list_objects_v2(Bucket="bucket", Prefix="s3/listed/", MaxKeys=2)
    second = aws.s3.list_objects_v2(
        Bucket="bucket", Prefix="s3/listed/", ContinuationToken=first["NextContinuationToken"]
    )
    names = [item["Key"][-1] for item in (*first["Contents"], *second["Contents"])]
    assert (names, first["IsTruncated"], second["IsTruncated"]) == (["a", "b", "c"], True, False)


@promises("A delimiter rolls keys up to common prefixes.", api("ListObjectsV2"))
def keys_are_rolled_up(aws):
    for key in ("s3/rolled/a/1", "s3/rolled/a/2", "s3/rolled/b"):
        aws.put(key)
    listed = aws.s3.list_objects_v2(Bucket="bucket", Prefix="s3/rolled/", Delimiter="/")
    assert [item["Prefix"] for item in listed["CommonPrefixes"]] == ["s3/rolled/a/"]
    assert [item["Key"] for item in listed["Contents"]] == ["s3/rolled/b"]


@promises("If-None-Match: * writes only where there is no object.", CONDITIONS)
def a_write_may_require_absence(aws):
    key = aws.fresh("s3/once")
    aws.s3.put_object(Bucket="bucket", Key=key, Body=b"1", IfNoneMatch="*")
    assert "PreconditionFailed" in refusal(
        aws.s3.put_object, Bucket="bucket", Key=key, Body=b"2", IfNoneMatch="*"
    )
    assert aws.body(key) == b"1"


@promises("If-Match writes only over the object with that ETag.", CONDITIONS)
def a_write_may_require_a_version(aws):
    key = aws.fresh("s3/matched")
    tag = aws.s3.put_object(Bucket="bucket", Key=key, Body=b"1")["ETag"]
    aws.s3.put_object(Bucket="bucket", Key=key, Body=b"2", IfMatch=tag)
    assert "PreconditionFailed" in refusal(
        aws.s3.put_object, Bucket="bucket", Key=key, Body=b"3", IfMatch=tag
    )
    assert aws.body(key) == b"2"


@promises(
    "The ETag of an object that was put in one piece is its MD5.",
    Page("Object", "AmazonS3/latest/API/API_Object"),
)
def a_tag_is_a_digest(aws):
    tag = aws.s3.put_object(Bucket="bucket", Key="s3/tag", Body=b"x")["ETag"]
    assert tag.strip('"') == hashlib.md5(b"x").hexdigest()


@promises(
    "A checksum that does not fit the body is refused.",
    Page("Checking object integrity", "AmazonS3/latest/userguide/checking-object-integrity"),
    differs="moto keeps the checksum that it is told and judges none",
)
def a_wrong_checksum_is_refused(aws):
    assert refusal(
        aws.s3.put_object, Bucket="bucket", Key="s3/sum", Body=b"x", ChecksumSHA256="A" * 43 + "="
    )


@promises("Range reads bytes of an object.", api("GetObject"))
def a_range_is_read(aws):
    aws.put("s3/range", b"0123456789")
    answer = aws.s3.get_object(Bucket="bucket", Key="s3/range", Range="bytes=2-4")
    assert (answer["Body"].read(), answer["ContentRange"]) == (b"234", "bytes 2-4/10")
    assert "InvalidRange" in refusal(
        aws.s3.get_object, Bucket="bucket", Key="s3/range", Range="bytes=50-60"
    )


@promises(
    "An upload in parts is one object once it is completed; parts but the last have 5 MB at least.",
    api("CompleteMultipartUpload"),
)
def parts_become_an_object(aws):
    def parts(*bodies):
        started = aws.s3.create_multipart_upload(Bucket="bucket", Key="s3/parts")["UploadId"]
        tags = [
            aws.s3.upload_part(
                Bucket="bucket", Key="s3/parts", UploadId=started, PartNumber=number, Body=body
            )["ETag"]
            for number, body in enumerate(bodies, 1)
        ]
        together = {
            "Parts": [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]
        }
        return aws.s3.complete_multipart_upload(
            Bucket="bucket", Key="s3/parts", UploadId=started, MultipartUpload=together
        )

    parts(b"x" * 5_242_880, b"y")
    assert aws.s3.head_object(Bucket="bucket", Key="s3/parts")["ContentLength"] == 5_242_881
    with pytest.raises(botocore.exceptions.ClientError, match="EntityTooSmall"):
        parts(b"x", b"y")


@promises(
    "In a versioned bucket a deletion is a marker, and older versions can be read.", VERSIONING
)
def versions_outlive_a_deletion(aws):
    name = aws.fresh("versioned")
    aws.s3.create_bucket(Bucket=name)
    aws.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    version = aws.s3.put_object(Bucket=name, Key="k", Body=b"1")["VersionId"]
    assert aws.s3.delete_object(Bucket=name, Key="k")["DeleteMarker"] is True
    assert "NoSuchKey" in refusal(aws.s3.get_object, Bucket=name, Key="k")
    assert aws.s3.get_object(Bucket=name, Key="k", VersionId=version)["Body"].read() == b"1"


@promises("A presigned URL reads an object without other credentials, until it expires.", PRESIGNED)
def a_presigned_url_reads(aws):
    aws.put("s3/signed", b"signed")
    url = aws.s3.generate_presigned_url(
        "get_object", Params={"Bucket": "bucket", "Key": "s3/signed"}, ExpiresIn=60
    )
    assert fetched(url) == (200, b"signed")
    old = aws.s3.generate_presigned_url(
        "get_object", Params={"Bucket": "bucket", "Key": "s3/signed"}, ExpiresIn=-10
    )
    assert fetched(old)[0] == 403


@promises("DeleteObjects deletes up to 1,000 objects and answers for each.", api("DeleteObjects"))
def many_objects_are_deleted(aws):
    for name in ("a", "b"):
        aws.put(f"s3/many/{name}")
    wanted = {"Objects": [{"Key": f"s3/many/{name}"} for name in ("a", "b", "nobodys")]}
    assert len(aws.s3.delete_objects(Bucket="bucket", Delete=wanted)["Deleted"]) == 3
    assert aws.keys("s3/many/") == []


@promises("CopyObject copies with the metadata unless REPLACE is said.", api("CopyObject"))
def copies_keep_their_metadata(aws):
    aws.put("s3/from", b"x", Metadata={"who": "me"})
    aws.s3.copy_object(Bucket="bucket", Key="s3/to", CopySource="bucket/s3/from")
    assert aws.s3.head_object(Bucket="bucket", Key="s3/to")["Metadata"] == {"who": "me"}
    aws.s3.copy_object(
        Bucket="bucket",
        Key="s3/to",
        CopySource="bucket/s3/from",
        MetadataDirective="REPLACE",
        Metadata={"who": "you"},
    )
    assert aws.s3.head_object(Bucket="bucket", Key="s3/to")["Metadata"] == {"who": "you"}
