"""Compare two versions of the event catalogue, and tell which changes break whom.

It is for a review before a change is merged.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from ...errors import Invalid, NotFound
from ...project.git import run_git
from ...project.specs.description import Attribute, Event, Place, ProjectSpec
from .entries import rule
from .readers import Versions, readers

_TEXTS = {".yaml", ".sql", ".py"}  # what is read of a project to know what it said
_DATA = {".parquet", ".csv"}  # of which it is enough that they are there; git seldom has them


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of the catalogue.

    It is breaking if events that were right become wrong, or a reader loses what it reads.
    """

    event: str
    attribute: str | None  # None: of the event itself
    what: str
    breaking: bool
    readers: tuple[str, ...]
    advice: str = ""
    place: Place | None = None  # in the new project.yaml

    def __str__(self) -> str:
        name = self.event if self.attribute is None else f"{self.event}.{self.attribute}"
        if not self.breaking:
            return f"{name}: {self.what}"
        verb = "reads" if len(self.readers) == 1 else "read"
        who = (
            f"{', '.join(self.readers)} {verb} it"
            if self.readers
            else "nothing in this project reads it"
        )
        return f"{name}: {self.what} is BREAKING: {who}. {self.advice}".rstrip()


def diff(
    old: ProjectSpec,
    new: ProjectSpec,
    *,
    versions: Versions | None = None,
    places: Mapping[str, Place] | None = None,
) -> tuple[Change, ...]:
    """Return the differences between the events of two project versions, breaking ones first.

    `versions` are the registered model versions, whose inputs a change may break. `places` gives
    the lines of project.yaml on which the changes are.
    """
    changes = []
    for event, attribute, what, breaking, advice in _changes(old, new):
        key = f"events.{event}" if attribute is None else f"events.{event}.attributes.{attribute}"
        place = (
            (places or {}).get(key)
            or (places or {}).get(f"events.{event}")
            or (places or {}).get("events")
        )
        who = dict.fromkeys(
            (*_readers(old, event, attribute, versions), *_readers(new, event, attribute, versions))
        )
        changes.append(
            Change(
                event=event,
                attribute=attribute,
                what=what,
                breaking=breaking,
                readers=tuple(who),
                advice=advice,
                place=place,
            )
        )
    return tuple(sorted(changes, key=lambda change: not change.breaking))


def _readers(
    spec: ProjectSpec, event: str, attribute: str | None, versions: Versions | None
) -> tuple[str, ...]:
    """Return the names of what reads an event or its attribute, such as metrics and models.

    Without an attribute, readers of any of them count. `versions` are the registered model
    versions.
    """
    return readers(spec, event, attribute, versions=versions)


_EventChange = tuple[str, str | None, str, bool, str]  # event, attribute, what, breaking, advice


def _changes(old: ProjectSpec, new: ProjectSpec) -> Iterator[_EventChange]:
    """Yield each difference between the events of two versions of a project."""
    for name in dict.fromkeys((*old.events, *new.events)):
        old_event, new_event = old.events.get(name), new.events.get(name)
        if new_event is None:
            yield name, None, "removed", True, "Keep it until nothing reads it."
        elif old_event is None:
            yield name, None, "new event", False, ""
        else:
            yield from _event(old_event, new_event)


def _event(old: Event, new: Event) -> Iterator[_EventChange]:
    """Yield each difference between two versions of an event, and whether it breaks readers."""
    if old.max_ahead != new.max_ahead:
        what = f"max_ahead {old.max_ahead.total_seconds():g}s -> {new.max_ahead.total_seconds():g}s"
        yield (
            new.name,
            None,
            what,
            new.max_ahead < old.max_ahead,
            "Events that were taken would wait, or be rejected by emit.",
        )
    if old.max_lateness != new.max_lateness:
        what = (
            f"max_lateness {old.max_lateness.total_seconds() / 86_400:g}d -> "
            f"{new.max_lateness.total_seconds() / 86_400:g}d"
        )
        yield (
            new.name,
            None,
            what,
            new.max_lateness < old.max_lateness,
            "Events that were in time would be quarantined.",
        )
    for name in ("owner", "description"):
        if getattr(old, name) != getattr(new, name):
            yield new.name, None, f"{name} changed", False, ""
    old_attributes, new_attributes = ({a.name: a for a in event.attributes} for event in (old, new))
    for name in dict.fromkeys((*old_attributes, *new_attributes)):
        if name not in new_attributes:
            yield (
                new.name,
                name,
                "removed",
                True,
                "Keep it, with required: false, until nothing reads it.",
            )
        elif name not in old_attributes:
            required = new_attributes[name].required
            what = f"new {'required' if required else 'optional'} attribute"
            yield (
                new.name,
                name,
                what,
                required,
                "Producers do not send it yet: begin with required: false.",
            )
        else:
            yield from (
                (new.name, name, *change)
                for change in _attribute(old_attributes[name], new_attributes[name])
            )


def _attribute(old: Attribute, new: Attribute) -> Iterator[tuple[str, bool, str]]:
    """Yield each difference between two versions of an attribute, as text, and how it matters.

    Each is (text, whether it breaks readers, remedy).
    """
    if old.type != new.type:
        yield f"{old.type} -> {new.type}", True, "Add an attribute instead."
        return
    if old.required != new.required:
        what = "optional -> required" if new.required else "required -> optional"
        yield what, new.required, "Events without it would be quarantined."
    if (old.min, old.max, old.allowed) != (new.min, new.max, new.allowed):
        what = f"{rule(old) or 'any value'} -> {rule(new) or 'any value'}"
        yield what, _narrowed(old, new), "Events that were right would be quarantined."
    if old.description != new.description:
        yield "description changed", False, ""


def _narrowed(old: Attribute, new: Attribute) -> bool:
    """Return whether an attribute's new bounds or allowed values exclude ones valid before."""
    if new.min is not None and (old.min is None or new.min > old.min) and not _inside(old, new):
        return True
    if new.max is not None and (old.max is None or new.max < old.max) and not _inside(old, new):
        return True
    return new.allowed is not None and (
        old.allowed is None or not set(old.allowed) <= set(new.allowed)
    )


def _inside(old: Attribute, new: Attribute) -> bool:
    """Return whether the values allowed before all lie within the new minimum and maximum."""
    low = float("-inf") if new.min is None else new.min
    high = float("inf") if new.max is None else new.max
    return old.allowed is not None and all(low <= value <= high for value in old.allowed)


def at_revision(folder: Path, ref: str) -> ProjectSpec:
    """Return project.yaml as it was at the git revision `ref`, parsed.

    The working tree is not touched.

    Raises:
        NotFound: there is no such revision, or no project.yaml in it.
        Invalid: the folder is in no git repository.
        ProjectError: the project was wrong then.
    """
    from ...project.load import load

    prefix = (
        _git(folder, "rev-parse", "--show-prefix", or_else="is in no git repository")
        .decode()
        .strip()
    )
    commit = _git(
        folder,
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        f"{ref}^{{commit}}",
        or_else=f"has no revision {ref}",
    )
    with tempfile.TemporaryDirectory(prefix="isthmus-revision-") as temporary:
        root = Path(temporary)
        _extract(folder, commit.decode().strip(), root, ref)
        if not (root / "project.yaml").is_file():
            raise NotFound(
                f"there was no {prefix}project.yaml at {ref}",
                remedy="name a later revision: isthmus events diff REF",
            )
        _mark_untracked(folder, root)
        return load(root / "project.yaml").spec


def _extract(folder: Path, commit: str, root: Path, ref: str) -> None:
    """Write the text files of a git commit to the folder `root`; of data files, empty ones.

    `folder` is in the repository, and `ref` names the commit in errors. Links are left out. Files
    are written as git stores them, not by `git archive` or a checkout: those run filters, and a
    filter of the repository's configuration is a command.
    """
    listed = _git(
        folder, "ls-tree", "-r", "-z", commit, ".", or_else=f"has nothing at {ref}"
    ).split(b"\0")
    blobs: dict[Path, str] = {}
    for entry in filter(None, listed):
        about, _, name = entry.partition(b"\t")
        mode, _, blob = about.decode().split()
        path = Path(name.decode("utf-8", "surrogateescape"))
        if mode.startswith("100") and ".." not in path.parts and not path.is_absolute():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).touch()
            if path.suffix in _TEXTS:
                blobs[path] = blob
    requests = "".join(f"{blob}\n" for blob in blobs.values()).encode()
    answers = memoryview(
        _git(folder, "cat-file", "--batch", stdin=requests, or_else=f"has nothing at {ref}")
    )
    for path in blobs:
        head, _, _ = bytes(answers[:200]).partition(b"\n")
        if head.endswith(b" missing"):  # of a partial clone: nothing is fetched
            raise NotFound(
                f"{folder} lacks {path} at {ref}",
                remedy=f"git -C {folder} fetch --refetch, and run this again",
            )
        size = int(head.split()[-1])
        (root / path).write_bytes(answers[len(head) + 1 : len(head) + 1 + size])
        answers = answers[len(head) + 1 + size + 1 :]


def _mark_untracked(folder: Path, root: Path) -> None:
    """Create an empty file in `root` for each data file in `folder` that git does not track.

    The project of an older commit, in `root`, may name such files.
    """
    others = (
        _git(folder, "ls-files", "--others", "-z", "--", ".", or_else="cannot be listed")
        .decode("utf-8", "surrogateescape")
        .split("\0")
    )
    for name in others:
        path = root / name
        if path.suffix.lower() in _DATA and not name.startswith(".isthmus/") and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


def _git(folder: Path, *arguments: str, or_else: str, stdin: bytes = b"") -> bytes:
    """Run git in a folder and return its output; raise Invalid with `or_else` if git fails."""
    try:
        done = run_git(folder, *arguments, stdin=stdin)
    except FileNotFoundError:
        raise Invalid(
            "git is not installed", remedy="events diff compares with a git revision"
        ) from None
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip()
        problem = NotFound if "revision" in or_else else Invalid
        raise problem(
            f"{folder} {or_else}" + (f": {words}" if words else ""),
            remedy="name a revision that git log shows, e.g. main",
        )
    return done.stdout
