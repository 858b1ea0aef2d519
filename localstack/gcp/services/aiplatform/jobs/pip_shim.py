"""The `pip` inside the stack's containers.

This file stands alone: it is run by its path, in a container's own process.

A requirement that is installed beside the stack is satisfied; kfp is, whatever its version. The
rest is installed into a folder for that set of requirements, which is kept, and linked from there
into this container's own folder of packages. The stack's environment is never changed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

WITH_VALUE = {
    "-i", "--index-url", "--extra-index-url", "--trusted-host", "-f", "--find-links", "-c",
    "--constraint", "--timeout", "--retries", "--progress-bar", "--only-binary", "--no-binary",
    "--root-user-action",
}  # fmt: skip
FORWARDED = {
    "-i",
    "--index-url",
    "--extra-index-url",
    "--trusted-host",
    "-f",
    "--find-links",
    "-c",
    "--constraint",
    "--no-deps",
    "--pre",
}
SAY = "[local stack] pip:"


def main(arguments: list[str]) -> int:
    """Act as `pip` for these command line arguments, and return its exit code."""
    if arguments[:1] in (["--version"], ["-V"]):
        print(f"pip 26.0 from the local stack (python {sys.version_info[0]}.{sys.version_info[1]})")
        return 0
    if arguments[:1] in (["list"], ["freeze"]):
        print(
            "\n".join(sorted(f"{d.name}=={d.version}" for d in importlib.metadata.distributions()))
        )
        return 0
    if arguments[:1] != ["install"]:
        return refuse(
            f"`pip {' '.join(arguments)}` is not there: only `pip install`, list, freeze and "
            "--version are"
        )
    join_stack()
    requirements, options = read(arguments[1:])
    return install(requirements, options)


def join_stack() -> None:
    """Let a container's virtualenv import the packages installed beside the stack.

    In a real image the job would see the image's packages in the same way.
    """
    stack, own = os.environ["ISTHMUS_PIP_STACK"], sysconfig.get_path("purelib")
    if Path(own) != Path(stack):
        (Path(own) / "stack.pth").write_text(f"{stack}\n")
        sys.path.append(stack)


def read(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Parse pip's command line arguments into requirements and options."""
    requirements: list[str] = []
    options: list[str] = []
    words = list(arguments)
    while words:
        word = words.pop(0)
        name, _, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if name in ("-r", "--requirement"):
            lines = Path(value or words.pop(0)).read_text().splitlines()
            requirements += [text for line in lines if (text := line.partition("#")[0].strip())]
        elif name in ("-t", "--target", "--user", "--upgrade", "-U", "-q", "--quiet"):
            if name in ("-t", "--target") and not value:
                words.pop(0)
        elif name.startswith("-"):
            more = [words.pop(0)] if name in WITH_VALUE and not value else []
            options += [word, *more] if name in FORWARDED else []
        else:
            requirements.append(word)
    return requirements, options


def install(requirements: list[str], options: list[str]) -> int:
    """Install the requirements that are not installed yet; return pip's exit code."""
    files = [text for text in requirements if is_file(text)]
    missing = [text for text in requirements if not is_file(text) and not is_satisfied(text)]
    if any(name_of(text) == "kfp" for text in missing):
        return refuse("kfp is not installed beside the stack: pip install 'kfp>=2.17,<3'")
    if missing and (code := fetch(missing, options)):
        return code
    for file in files:
        if code := fetch([file], ["--no-deps"]):
            return code
        if (
            "--no-deps" not in options
            and (needed := needs_of_newest())
            and (code := install(needed, options))
        ):
            return code
    return 0


def is_file(text: str) -> bool:
    """Return whether a requirement in pip's arguments is a path or a URL."""
    return (
        "://" in text or text.startswith((".", "/")) or text.endswith((".whl", ".tar.gz", ".zip"))
    )


def name_of(text: str) -> str:
    """Return the package's name in a requirement such as "numpy>=1"."""
    from packaging.requirements import Requirement

    return Requirement(text).name.lower().replace("_", "-")


def is_satisfied(text: str) -> bool:
    """Return whether an installed package fulfils a requirement; if so, print that, as pip does."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return False
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return True
    if name_of(text) == "pip":  # this one
        return True
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    if name_of(text) == "kfp" and not requirement.specifier.contains(version, prereleases=True):
        print(
            f"{SAY} {text} is met by the kfp {version} that is installed beside the stack",
            flush=True,
        )
        return True
    return requirement.specifier.contains(version, prereleases=True)


def fetch(requirements: list[str], options: list[str]) -> int:
    """Install requirements into a cache folder once, and link them into the container."""
    text = json.dumps([sorted(requirements), options, sys.version])
    if any(is_file(word) and Path(word).is_file() for word in requirements):
        text += "".join(
            hashlib.sha256(Path(word).read_bytes()).hexdigest()
            for word in requirements
            if Path(word).is_file()
        )
    folder = Path(os.environ["ISTHMUS_PIP_KEPT"]) / hashlib.sha256(text.encode()).hexdigest()[:16]
    if not folder.is_dir():
        temporary = folder.with_name(f"{folder.name}.{os.getpid()}")
        print(f"{SAY} installing {', '.join(requirements)}", flush=True)
        if not build_archive(requirements[0], temporary) and (
            code := download(requirements, options, temporary)
        ):
            shutil.rmtree(temporary, ignore_errors=True)
            return code
        try:
            temporary.rename(folder)
        except OSError:  # another container was a little faster
            shutil.rmtree(temporary, ignore_errors=True)
    site = Path(os.environ["ISTHMUS_PIP_SITE"])
    for entry in folder.iterdir():
        link = site / entry.name
        if not link.exists():
            link.symlink_to(entry)
    return 0


def build_archive(file: str, folder: Path) -> bool:
    """Build a source distribution (setup.py) into a folder offline; return whether that worked.

    Google's SDK packs a user's script in this form.
    """
    if (
        not file.endswith(".tar.gz")
        or not Path(file).is_file()
        or importlib.util.find_spec("setuptools") is None
    ):
        return False
    with tempfile.TemporaryDirectory() as unpacked:
        with tarfile.open(file) as archive:
            archive.extractall(unpacked, filter="data")
        script = next(Path(unpacked).glob("*/setup.py"), None)
        if script is None or (script.parent / "pyproject.toml").exists():
            return False
        folder.mkdir(parents=True)
        command = [
            sys.executable,
            "setup.py",
            "-q",
            "build",
            "--build-lib",
            str(folder),
            "egg_info",
            "--egg-base",
            str(folder),
        ]
        return subprocess.run(command, cwd=script.parent, check=False).returncode == 0


def download(requirements: list[str], options: list[str], folder: Path) -> int:
    """Install requirements into a folder; return the installer's exit code."""
    command = installer(folder)
    if command is None:
        return refuse(
            f"{', '.join(requirements)}: neither pip nor uv is installed beside the stack"
        )
    return subprocess.run(
        [*command, *options, *requirements], env=environment(), check=False
    ).returncode


def needs_of_newest() -> list[str]:
    """Return the requirements of the package that was last installed into this container."""
    site = Path(os.environ["ISTHMUS_PIP_SITE"])
    newest = max(site.glob("*.*-info"), key=lambda path: path.stat().st_mtime, default=None)
    return importlib.metadata.PathDistribution(newest).requires or [] if newest else []


def installer(folder: Path) -> list[str] | None:
    """Return the command (uv or pip) that installs into a folder, or None if neither exists."""
    isolated = [sys.executable, "-I", "-m"]
    if (
        subprocess.run([*isolated, "pip", "--version"], capture_output=True, check=False).returncode
        == 0
    ):
        return [
            *isolated,
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--target",
            str(folder),
        ]
    if (
        subprocess.run([*isolated, "uv", "--version"], capture_output=True, check=False).returncode
        == 0
    ):
        return [
            *isolated,
            "uv",
            "pip",
            "install",
            "--quiet",
            "--python",
            sys.executable,
            "--target",
            str(folder),
        ]
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    return (
        [uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", str(folder)]
        if uv
        else None
    )


def environment() -> dict[str, str]:
    """Return the environment for installers, without what leads a container to the stack.

    The stack is no package index.
    """
    own = json.loads(Path(os.environ["ISTHMUS_PIP_ENVIRONMENT"]).read_text())
    basic = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "LANG", "LC_ALL", "TZ")
    }
    return {**basic, **own}


def refuse(words: str) -> int:
    """Print `words`, which say what is not supported; return an exit code for failure."""
    print(f"{SAY} {words}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
