"""What git says of a project's folder."""

import subprocess

from isthmus.project.git import git_revision


def test_git_says_revision_and_changes(tmp_path):
    assert git_revision(tmp_path) is None

    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        subprocess.run(
            ["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True
        )

    git("init", "-q")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-q", "-m", "first")
    clean = git_revision(tmp_path)
    assert not clean.dirty
    assert len(clean.revision) == 7
    (tmp_path / "a").write_text("2")
    assert str(git_revision(tmp_path)) == f"git {clean.revision} with changes"
