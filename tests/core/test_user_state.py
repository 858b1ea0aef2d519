"""Which `.isthmus` is known to this user: made or trusted here, moved, copied, from elsewhere,
tracked by git.
"""

import errno
import json
import os
import shutil
import subprocess
import threading

import pytest

from isthmus.core import user_state
from isthmus.core.git_index import tracked_below
from isthmus.core.user_state import known_id, make
from isthmus.errors import Denied, Refused


@pytest.fixture(autouse=True)
def state(tmp_path_factory, monkeypatch):
    """A user who knows nothing yet."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder / "isthmus"


def stored(folder):
    """A known folder with something in it."""
    (make(folder) / "local.db").write_text("rows")
    return folder


def test_a_folder_that_we_made_is_known_private_and_keeps_its_id(tmp_path, state):
    own = stored(tmp_path / ".isthmus")
    number = known_id(own)
    assert (own / "id").read_text() == f"{number}\n"
    assert len(number) == 32
    assert make(own) == own
    assert known_id(own) == known_id(own / "rehearsal") == number
    assert [oct(path.stat().st_mode & 0o777) for path in (own, state)] == ["0o700", "0o700"]
    assert known_id(stored(tmp_path / "other" / ".isthmus")) != number


def test_what_is_not_there_or_empty_is_made_and_nothing_is_written_until_then(tmp_path, state):
    own = tmp_path / ".isthmus"
    assert known_id(own) is None
    own.mkdir(mode=0o755)
    assert known_id(own) is None
    assert not state.exists()
    stored(own)
    assert known_id(own)
    assert own.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("text", [None, "", "nonsense", "0" * 32, "../../../../tmp"])
def test_a_folder_from_elsewhere_is_refused_before_anything_of_it_is_read(tmp_path, text):
    own = tmp_path / ".isthmus"
    own.mkdir()
    (own / "local.db").write_text("theirs")
    if text is not None:
        (own / "id").write_text(text)
    (own / "local.db").chmod(0)
    for use in (known_id, make):
        with pytest.raises(Refused, match="is not known to") as error:
            use(own)
    assert "isthmus trust" in error.value.remedy
    assert "local.db" in error.value.remedy, "what may be the only copy is named"
    assert not user_state.is_known(own)


def test_removing_is_called_safe_only_where_all_is_made_again(tmp_path):
    own = tmp_path / ".isthmus"
    (own / "reports").mkdir(parents=True)
    for name in ("lock", "traceback-x.txt"):
        (own / name).write_text("")
    with pytest.raises(Refused) as error:
        known_id(own)
    assert "that is safe" in error.value.remedy
    (own / "warehouse").mkdir()
    with pytest.raises(Refused) as error:
        known_id(own)
    assert "that is safe" not in error.value.remedy
    assert "(warehouse)" in error.value.remedy


@pytest.mark.parametrize("name", ["documents", "other/.isthmus"])
def test_nobody_is_advised_to_remove_a_folder_that_a_clone_names_as_its_home(tmp_path, name):
    mine = tmp_path / name
    mine.mkdir(parents=True)
    (mine / "thesis.txt").write_text("mine")
    with pytest.raises(Refused, match="is not known to") as error:
        user_state.claim(mine, tmp_path / "clone")
    assert "rm -r" not in error.value.remedy
    assert "take its `home` out" in error.value.remedy
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-f", name)
    with pytest.raises(Refused, match="git tracks files in") as error:
        user_state.claim(mine, tmp_path / "clone")
    assert "rm -r " not in error.value.remedy.replace("rm -r --cached", "")


def test_trust_gives_an_id_that_whoever_wrote_the_folder_does_not_know(tmp_path):
    own = tmp_path / ".isthmus"
    own.mkdir(mode=0o755)
    (own / "id").write_text("0" * 32)
    (own / "local.db").write_text("")
    number = user_state.trust(own)
    assert number == known_id(own) != "0" * 32
    assert user_state.trust(own) == number
    assert own.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_written_to_keeps_the_id_that_it_has(tmp_path, monkeypatch):
    """Another user's, which one may look at; a copy of one's own on a disk that can only be read."""
    theirs, without = tmp_path / "theirs" / ".isthmus", tmp_path / "without" / ".isthmus"
    for own in (theirs, without):
        own.mkdir(parents=True)
        (own / "local.db").write_text("")
    (theirs / "id").write_text("0" * 32)
    copy = (
        shutil.copytree(stored(tmp_path / "first" / ".isthmus").parent, tmp_path / "copy")
        / ".isthmus"
    )

    def refuse(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(user_state, "_register", refuse)
    assert user_state.trust(theirs) == known_id(theirs) == "0" * 32
    with pytest.raises(Denied, match="has no id and cannot be given one: Read-only file system"):
        user_state.trust(without)
    assert known_id(copy) == "", "it shares nothing with its original"


def test_a_moved_folder_stays_known_and_a_copy_gets_an_id_of_its_own(tmp_path):
    first = stored(tmp_path / "first" / ".isthmus")
    number = known_id(first)
    copy = shutil.copytree(tmp_path / "first", tmp_path / "copy") / ".isthmus"
    assert known_id(copy) != number
    assert known_id(first) == number
    (tmp_path / "first").rename(tmp_path / "second")
    assert known_id(tmp_path / "second" / ".isthmus") == number
    assert known_id(copy) != number


def test_the_moved_one_is_the_original_also_where_a_copy_took_its_place(tmp_path):
    number = known_id(stored(tmp_path / "first" / ".isthmus"))
    (tmp_path / "first").rename(tmp_path / "moved")
    shutil.copytree(tmp_path / "moved", tmp_path / "first")
    assert known_id(tmp_path / "moved" / ".isthmus") == number
    assert known_id(tmp_path / "first" / ".isthmus") != number


def test_a_folder_that_was_put_back_from_a_backup_is_known(tmp_path):
    own = stored(tmp_path / "shop" / ".isthmus")
    number = known_id(own)
    shutil.copytree(own, tmp_path / "backup")
    shutil.rmtree(tmp_path / "shop")
    shutil.copytree(tmp_path / "backup", own)
    assert known_id(own) == number


def test_a_folder_of_an_older_release_becomes_private(tmp_path):
    own = stored(tmp_path / ".isthmus")
    own.chmod(0o755)
    user_state._known.clear()
    assert known_id(own)
    assert own.stat().st_mode & 0o777 == 0o700


def test_a_link_to_a_known_folder_is_refused(tmp_path):
    stored(tmp_path / "mine" / ".isthmus")
    (tmp_path / "clone").mkdir()
    (tmp_path / "clone" / ".isthmus").symlink_to(tmp_path / "mine" / ".isthmus")
    with pytest.raises(Refused, match="is a symbolic link, to"):
        known_id(tmp_path / "clone" / ".isthmus")
    with pytest.raises(Refused, match="is a symbolic link, to"):
        user_state.trust(tmp_path / "clone" / ".isthmus")
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / ".isthmus").write_text("")
    with pytest.raises(Refused, match="is not a folder"):
        make(tmp_path / "file" / ".isthmus")


def test_an_id_that_is_a_link_is_none(tmp_path):
    mine = stored(tmp_path / "mine" / ".isthmus")
    theirs = tmp_path / "clone" / ".isthmus"
    theirs.mkdir(parents=True)
    (theirs / "local.db").write_text("")
    (theirs / "id").symlink_to(mine / "id")
    with pytest.raises(Refused, match="is not known to"):
        known_id(theirs)


def test_another_projects_home_is_refused_until_it_is_trusted(tmp_path):
    for name in ("mine", "clone", "friend"):
        (tmp_path / name).mkdir()
    mine, clone = stored(tmp_path / "mine" / ".isthmus"), tmp_path / "clone"
    with pytest.raises(Refused, match=r"is kept for /.*/mine, and"):
        user_state.claim(mine, clone)
    shared = stored(tmp_path / "shared")
    user_state.claim(shared, tmp_path / "mine")
    user_state.claim(shared, tmp_path / "mine")
    with pytest.raises(Refused, match=r"is kept for /.*/mine, and"):
        user_state.claim(shared, tmp_path / "friend")
    user_state.claim(shared, tmp_path / "friend", trusted=True)
    user_state.claim(shared, tmp_path / "friend")
    user_state.claim(shared, tmp_path / "mine")
    user_state.claim(tmp_path / "not there", clone)


def test_commands_at_once_make_one_folder_with_one_id(tmp_path):
    numbers = []

    def run():
        make(tmp_path / ".isthmus")
        numbers.append(known_id(tmp_path / ".isthmus"))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(numbers) == 8
    assert len(set(numbers)) == 1


@pytest.mark.parametrize("left", [{}, {"id": ""}, {"id": "0" * 32}, {"id.new": "12"}])
def test_whoever_was_killed_while_making_it_begins_again(tmp_path, left):
    own = tmp_path / ".isthmus"
    own.mkdir()
    for name, text in left.items():
        (own / name).write_text(text)
    assert known_id(stored(own))
    assert sorted(path.name for path in own.iterdir()) == ["id", "local.db"]


def test_a_state_folder_that_cannot_be_made_is_one_sentence_with_the_variable(
    tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file" / "state"))
    with pytest.raises(Denied, match="cannot be made or written: Not a directory") as error:
        make(tmp_path / "shop" / ".isthmus")
    assert "XDG_STATE_HOME" in error.value.remedy


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_users_state_folder_is_refused(tmp_path, state):
    own = stored(tmp_path / ".isthmus")
    os.chown(state, 65534, 65534)
    user_state._known.clear()
    for use in (known_id, make):
        with pytest.raises(Refused, match="belongs to another user"):
            use(own)


def test_a_damaged_record_names_what_to_do(tmp_path, state):
    own = stored(tmp_path / ".isthmus")
    [record] = state.glob("projects/*/project.json")
    record.write_text("{")
    user_state._known.clear()
    assert not user_state.is_known(own)
    assert user_state.trust(own) == known_id(own)


def git(folder, *words):
    alone = {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
    }
    alone |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    return subprocess.run(
        ["git", "-C", folder, *words],
        env=os.environ | alone,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


@pytest.fixture(params=["2", "3", "4", "sha256", "split", "linked"])
def tree(request, tmp_path):
    """A work tree, in each of the forms that its index can have; `shop` is its project."""
    kind = request.param
    whole = tmp_path / "whole"
    whole.mkdir()
    git(whole, "init", "-q", *(["--object-format=sha256"] if kind == "sha256" else []))
    if kind in ("3", "4"):
        git(whole, "config", "index.version", kind)
    if kind == "split":
        git(whole, "update-index", "--split-index")
    for name in (
        ".isthmus-notes",
        "a",
        "shop/.isthmusx",
        "shop/project.yaml",
        f"shop/{'/'.join(['long' * 40] * 2)}",
        "z/.isthmus/x",
    ):
        (whole / name).parent.mkdir(parents=True, exist_ok=True)
        (whole / name).write_text(name)
    git(whole, "add", "-A")
    if kind == "3":
        (whole / "later").write_text("")
        git(whole, "add", "--intent-to-add", "later")  # an entry with extended flags
    git(whole, "commit", "-qm", "x")
    if kind == "linked":
        git(whole, "worktree", "add", "-q", tmp_path / "linked")
        whole = tmp_path / "linked"
    return whole


def test_files_that_git_tracks_are_refused_by_name_also_of_a_known_folder(tree):
    own = stored(tree / "shop" / ".isthmus")
    assert tracked_below(own) == ()
    assert known_id(own)
    git(tree, "add", "-f", "shop/.isthmus/local.db")
    assert tracked_below(own) == ("shop/.isthmus/local.db",)
    user_state._known.clear()
    for use in (known_id, user_state.trust):
        with pytest.raises(
            Refused, match=r"git tracks files in .*: shop/\.isthmus/local\.db\. "
        ) as error:
            use(own)
    git(tree, *error.value.remedy.splitlines()[0].split()[1:])
    assert known_id(own)


def test_the_names_are_those_that_git_lists(tree):
    listed = git(tree, "ls-files", "-z", "shop", "z").split("\0")[:-1]
    assert sorted((*tracked_below(tree / "shop"), *tracked_below(tree / "z"))) == sorted(listed)
    assert len(listed) == 4


def test_a_damaged_index_names_nothing(tree):
    index = (
        next(path for path in (tree / ".git", tree.parent / "whole" / ".git") if path.is_dir())
        / "index"
    )
    for text in (b"", b"DIRC", b"DIRC\0\0\0\4\0\0\0\2shop/.isthmus", index.read_bytes()[:100]):
        index.write_bytes(text)
        tracked_below(tree / "shop")


def test_the_record_says_where_the_folder_was_last_seen(tmp_path, state):
    own = stored(tmp_path / "first" / ".isthmus")
    (tmp_path / "first").rename(tmp_path / "second")
    number = known_id(tmp_path / "second" / ".isthmus")
    record = json.loads((state / "projects" / number / "project.json").read_text())
    assert record["folder"] == str(tmp_path / "second" / ".isthmus")
    assert not own.exists()
    user_state.forget(tmp_path / "second" / ".isthmus")
    assert not (state / "projects" / number).exists()
