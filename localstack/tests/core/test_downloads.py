"""What comes from a bucket into a folder stays in the folder, and does not fill the disk."""

import contextlib
import io
import json
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus_stack.aws.services.sagemaker.jobs import s3
from isthmus_stack.core import downloads
from isthmus_stack.core.downloads import Refused, arrive, unpack

PARTS = st.sampled_from(
    [
        "..",
        ".",
        "",
        "a",
        "b",
        "...",
        "..a",
        "etc",
        "\0",
        "a\0",
        "~",
        "x" * 256,
        "é" * 128,
        "\ud800",
        "C:",
        "\\..\\b",
    ]
)
NAMES = st.one_of(st.lists(PARTS, max_size=6).map("/".join), st.text(max_size=40))


def made(root):
    """Every file and link below a folder."""
    return [path for path in root.rglob("*") if path.is_symlink() or not path.is_dir()]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("root")


def packed(*members):
    """A tar.gz of (TarInfo, content)."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return data.getvalue()


def member(name, kind=tarfile.REGTYPE, target="", content=b""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, content


def storable(text):
    return text.encode(errors="replace").decode().replace("\0", "")


def open_archive(data, folder):
    folder.mkdir(parents=True, exist_ok=True)
    unpack(io.BytesIO(data), len(data), folder)


@given(NAMES)
def test_a_name_lands_below_the_folder_or_is_refused(root, name):
    folder = root / "stack" / "job"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        path = arrive(folder, name)
        path.write_bytes(b"x")
    except (
        Refused,
        IsADirectoryError,
        NotADirectoryError,
        FileExistsError,
    ):  # `a` and `a/b` cannot both be files
        pass
    else:
        assert path.resolve().is_relative_to(folder.resolve())
        assert path.resolve() != folder.resolve()
    assert all(path.is_relative_to(folder) for path in made(root / "stack"))
    assert {path.name for path in root.iterdir()} <= {"stack", "archive", "damaged", "inputs"}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a/../../b", "'..'"),
        ("..", "'..'"),
        ("/etc/passwd", "slash"),
        ("a\0b", "null byte"),
        ("x" * 256, "255 bytes"),
        ("/".join(["x" * 200] * 20), "4000 bytes"),
        ("", "no file"),
        ("a/", "no file"),
        ("\ud800", "no text"),
    ],
)
def test_a_refused_name_is_told_with_the_reason(tmp_path, name, why):
    with pytest.raises(Refused, match=why):
        arrive(tmp_path, name)


def test_a_link_in_the_folder_leads_nothing_out_of_it(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "out").symlink_to(tmp_path)
    with pytest.raises(Refused, match="link 'out'"):
        arrive(tmp_path / "folder", "out/file")


@given(
    st.lists(
        st.tuples(
            NAMES,
            st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE]),
            NAMES,
        ),
        max_size=5,
    )
)
def test_an_archive_of_any_names_and_links_writes_plain_files_below_its_folder_alone(root, entries):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz", compresslevel=1, format=tarfile.GNU_FORMAT) as tar:
        for name, kind, target in entries:
            tar.addfile(
                member(
                    *(
                        word if isinstance(word, bytes) else storable(word)
                        for word in (name, kind, target)
                    )
                )[0]
            )
    folder = root / "archive" / "model"
    with contextlib.suppress(Refused):
        open_archive(data.getvalue(), folder)
    assert not [path for path in made(root / "archive") if path.is_symlink()]
    assert all(path.is_relative_to(folder) for path in made(root / "archive"))


@given(st.binary(max_size=300), st.integers(0, 2000))
def test_a_damaged_archive_is_refused_or_unpacked_and_nothing_else(root, noise, at):
    whole = packed(
        member("model.json", content=b"{}" * 400),
        member("deep/weights", content=bytes(range(256)) * 4),
    )
    with contextlib.suppress(Refused):
        open_archive(whole[:at] + noise + whole[at + len(noise) :], root / "damaged" / "model")
    assert {path.name for path in made(root / "damaged")} <= {"model.json", "weights"}


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_are_refused(tmp_path, kind):
    with pytest.raises(Refused, match="plain files alone"):
        open_archive(packed(member("x", kind, "/etc/passwd")), tmp_path / "model")
    assert made(tmp_path) == []


def test_an_archive_of_zeros_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "_ALWAYS", 1 << 20)
    with pytest.raises(Refused, match="unpacks to more than"):
        open_archive(packed(member("zeros", content=bytes(8 << 20))), tmp_path / "model")
    assert sum(path.stat().st_size for path in made(tmp_path)) < 2 << 20


def test_an_archive_whose_header_is_a_bomb_is_refused(tmp_path):
    with pytest.raises(Refused, match="header"):
        open_archive(
            packed(
                member("long", tarfile.XHDTYPE, content=bytes(3 << 20)), member("x", content=b"x")
            ),
            tmp_path / "model",
        )


def test_an_archive_of_too_many_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "_FILES", 3)
    with pytest.raises(Refused, match="more than 3 files"):
        open_archive(packed(*(member(str(number)) for number in range(4))), tmp_path / "model")


def test_an_archive_of_plain_files_is_unpacked_with_its_folders_and_programs(tmp_path):
    program = member("./bin/run", content=b"#!/bin/sh\n")
    program[0].mode = 0o755
    open_archive(
        packed(
            member("./", tarfile.DIRTYPE),
            member("./bin", tarfile.DIRTYPE),
            program,
            member("a/b", content=b"1"),
        ),
        tmp_path / "m",
    )
    assert (tmp_path / "m/a/b").read_bytes() == b"1"
    assert (tmp_path / "m/bin/run").stat().st_mode & 0o100


class Bucket:
    """As much of boto3's client as a download asks, over keys that somebody hostile chose."""

    def __init__(self, objects):
        self._objects = objects

    def get_paginator(self, _):
        return self

    def paginate(self, **asked):
        return [
            {
                "Contents": [
                    {"Key": key} for key in sorted(self._objects) if key.startswith(asked["Prefix"])
                ]
            }
        ]

    def get_object(self, **asked):
        return {"Body": _Body(self._objects[asked["Key"]])}


class _Body(io.BytesIO):
    def iter_chunks(self, size):
        while chunk := self.read(size):
            yield chunk


@given(st.dictionaries(NAMES.map("data/".__add__), st.just(b"x"), min_size=1, max_size=4))
def test_a_prefix_of_hostile_keys_is_downloaded_below_its_folder_or_fails_the_job(root, objects):
    folder = root / "inputs" / "job" / "train"
    with contextlib.suppress(s3.TransferError):
        s3.download(Bucket(objects), "s3://bucket/data/", folder)
    assert all(path.is_relative_to(folder) for path in made(root / "inputs"))


@pytest.mark.parametrize("name", ["../../out", "/etc/out", "a\0b", 7, None])
def test_a_manifest_names_files_below_its_folder(tmp_path, name):
    objects = {
        "m": json.dumps([{"prefix": "s3://bucket/data/"}, name]).encode(),
        f"data/{name}": b"x",
    }
    with pytest.raises(s3.TransferError, match="ClientError"):
        s3.download(Bucket(objects), "s3://bucket/m", tmp_path / "deep" / "er", kind="ManifestFile")
    assert made(tmp_path) == []


@pytest.mark.parametrize(
    "uri",
    [
        "s3://shop/a/model.tar.gz",
        "https://shop.s3.amazonaws.com/a/model.tar.gz",
        "https://shop.s3-eu-west-1.amazonaws.com/a/model.tar.gz",
        "https://shop.s3.us-gov-west-1.amazonaws.com/a/model.tar.gz",
        "https://s3-eu-west-1.amazonaws.com/shop/a/model.tar.gz",
        "https://s3.amazonaws.com/shop/a/model.tar.gz",
    ],
)
def test_a_job_and_a_model_read_an_object_by_s3s_own_addresses_too(uri):
    assert s3.split(uri) == ("shop", "a/model.tar.gz")


@pytest.mark.parametrize(
    "uri",
    [
        "s3://",
        "https://example.com/shop/a",
        "https://s3.amazonaws.com/",
        "http://shop.s3.amazonaws.com/a",
        "shop/a",
    ],
)
def test_another_address_is_no_s3_uri(uri):
    with pytest.raises(s3.TransferError, match="is not an S3 URI"):
        s3.split(uri)
