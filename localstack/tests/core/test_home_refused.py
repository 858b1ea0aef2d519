"""Homes that a stack does not begin with: another's, another version's, damaged ones.

They are left as they are.
"""

import hmac
import json
import pickle
import shutil
from importlib.metadata import version

import pytest

from isthmus_stack.core.home import seals
from isthmus_stack.core.home.home import FORMAT, Home, NotUsable, adopt
from isthmus_stack.core.home.pickles import sealed, unsealed
from isthmus_stack.run import StackFailed, start_aws
from isthmus_stack.testing.jobs_kit import Aws

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The home of a stack that has ended, with a bucket and a group: copied by who changes it."""
    home = tmp_path_factory.mktemp("written") / "home"
    with start_aws(home=home) as stack:
        Aws(stack.url).s3.create_bucket(Bucket="bucket")
        Aws(stack.url).sm.create_model_package_group(ModelPackageGroupName="ranker")
    return home


@pytest.mark.parametrize(
    ("first", "words"),
    [(True, "was written with --moto-answers; start with it"), (False, "was written without")],
)
def test_what_nobody_executed_does_not_come_back_as_if_somebody_had(tmp_path, first, words):
    home = tmp_path / "home"
    start_aws(home=home, moto_answers=first).stop()
    with pytest.raises(StackFailed, match=words):
        start_aws(home=home, moto_answers=not first)
    start_aws(home=home, moto_answers=first).stop()


def test_a_home_is_one_stacks_at_a_time(tmp_path):
    with (
        start_aws(home=tmp_path / "home"),
        pytest.raises(StackFailed, match="another stack runs in"),
    ):
        start_aws(home=tmp_path / "home")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 3}, r"was written by a newer stack \(format 3, this one has 2\)"),
        ({"cloud": "gcp"}, "is the home of a stack for gcp, not for aws"),
        ({"versions": {"moto": "5.1.0"}}, "was written with moto 5.1.0, here is"),
    ],
)
def test_a_home_that_this_stack_cannot_read_is_refused_by_name_and_left_alone(
    tmp_path, written, change, words
):
    home = shutil.copytree(written, tmp_path / "home")
    about = json.loads((home / "home.json").read_text())
    (home / "home.json").write_text(json.dumps(about | change))
    files = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    with pytest.raises(StackFailed, match=words):
        start_aws(home=home)
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == files


def test_a_folder_with_something_else_in_it_is_no_home(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StackFailed, match="holds something else than a stack's home"):
        start_aws(home=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_home_of_classes_that_have_changed_since_is_refused_and_left_alone(tmp_path, written):
    home = shutil.copytree(written, tmp_path / "home")
    record = next((home / "stores" / "model_packages.Registry").iterdir())
    classes, payload = pickle.loads(unsealed(record.read_bytes()))
    name = ("isthmus_stack.aws.services.sagemaker.model_packages.records", "Registry")
    record.write_bytes(sealed(pickle.dumps((classes | {name: (*classes[name], "more")}, payload))))
    files = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    with pytest.raises(
        StackFailed, match=r"model_packages\.Registry has changed since this was written"
    ):
        start_aws(home=home)
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == files


def test_a_home_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StackFailed) as error:
        start_aws(home=tmp_path / "file" / "home")
    assert "cannot be a stack's home (Not a directory); name another folder" in str(error.value)
    assert "Traceback" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        sealed(b""),
        sealed(b"nonsense"),
        sealed(pickle.dumps(({("isthmus_stack.gone", "Gone"): ()}, b""))),
    ],
)
def test_a_record_that_cannot_be_read_is_named_and_left_alone(tmp_path, text):
    home = tmp_path / "home"
    record = home / "stores" / "model_packages.Registry" / "123456789012.us-east-1"
    Home(home, "aws", {"moto": version("moto")}, moto_answers=False).close()
    record.parent.mkdir(parents=True)
    record.write_bytes(text)
    with pytest.raises(
        StackFailed, match=r"stores/model_packages.Registry/123456789012.us-east-1 cannot be read"
    ) as error:
        start_aws(home=home)
    assert "Traceback" not in str(error.value)
    assert record.read_bytes() == text


class Planted:
    """Unpickled, it makes a file."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


def test_a_record_without_this_users_seal_is_never_unpickled(tmp_path, written):
    home = shutil.copytree(written, tmp_path / "home")
    ran = tmp_path / "ran"
    record = next((home / "stores" / "model_packages.Registry").iterdir())
    planted = pickle.dumps(Planted(ran))
    for text in (planted, b"\0" * 32 + planted, record.read_bytes()[:32] + planted):
        record.write_bytes(text)
        with pytest.raises(
            StackFailed, match="was not written by a stack of this user, or is damaged"
        ):
            start_aws(home=home)
    assert not ran.exists()
    pickle.loads(planted)
    assert ran.exists(), "what was planted works"


def buckets(home):
    with start_aws(home=home) as stack:
        return [bucket["Name"] for bucket in Aws(stack.url).s3.list_buckets()["Buckets"]]


def sealed_by(home, key, *, number=FORMAT):
    """The home as another user's stack wrote it; of format 1 as a stack before there were seals
    did.
    """
    for path in home.rglob("*"):
        if path.is_file() and path.parent != home and path.suffix != ".body":
            pickled = path.read_bytes()[32:]
            path.write_bytes(
                pickled if number == 1 else hmac.digest(key, pickled, "sha256") + pickled
            )
    about = json.loads((home / "home.json").read_text()) | {"format": number, "seal": "00" * 32}
    (home / "home.json").write_text(
        json.dumps({name: value for name, value in about.items() if number > 1 or name != "seal"})
    )


@pytest.mark.parametrize("number", [1, 2])
def test_another_users_or_an_older_home_is_refused_until_it_is_trusted(tmp_path, written, number):
    home = shutil.copytree(written, tmp_path / "home")
    sealed_by(home, b"another user's", number=number)
    files = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    with pytest.raises(StackFailed, match=f"isthmus-stack trust --home {home}"):
        start_aws(home=home)
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == files
    adopt(home)
    assert buckets(home) == ["bucket"]


def test_a_home_whose_adoption_was_interrupted_is_adopted_again(tmp_path, written):
    """Some of its records carry this user's seal already, and its home.json does not yet."""
    home = shutil.copytree(written, tmp_path / "home")
    ours = next((home / "stores" / "model_packages.Registry").iterdir())
    before = ours.read_bytes()
    sealed_by(home, b"another user's")
    ours.write_bytes(before)
    adopt(home)
    assert ours.read_bytes() == before
    assert buckets(home) == ["bucket"]


def test_a_link_in_a_home_is_not_followed_when_it_is_adopted(tmp_path, written):
    home = shutil.copytree(written, tmp_path / "home")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("private")
    (home / "stores" / "linked").symlink_to(elsewhere)
    with pytest.raises(NotUsable, match="is a symbolic link"):
        adopt(home)


@pytest.mark.parametrize(
    "change", [lambda key: key.chmod(0o644), lambda key: key.write_bytes(b"short")]
)
def test_a_key_that_others_can_read_or_that_is_damaged_is_refused(tmp_path, monkeypatch, change):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    seals.seal(b"")
    assert seals.file().stat().st_mode & 0o777 == 0o600
    change(seals.file())
    seals._key.cache_clear()
    with pytest.raises(seals.NoKey, match="open to others, or damaged"):
        seals.seal(b"")
