"""Images as commands: mapped by the user, or bare ones with a shell or a Python. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .....core.images import command_of, names_of

# by the name without registry, tag and digest -> what such an image starts when it is told nothing
_PLAIN: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"(library/)?python", ("python3",)),
    (r"(library/)?(alpine|busybox|ubuntu|debian|bash)", ("sh",)),
    (r"ubi\d+/python-\d+", ("sh",)),
    (r"ubi\d+(/ubi(-minimal)?)?", ("sh",)),
)
# Google's images for training: their frameworks are whatever is installed beside the stack
_TRAINING = re.compile(
    r"([a-z]+-docker\.pkg\.dev/vertex-ai/training|gcr\.io/cloud-aiplatform/training|gcr\.io/deeplearning-platform-release)/.+"
)


def own_command(images: Mapping[str, str], image: str) -> list[str] | None:
    """Return the user's command for a container image, as words, or None if none was set."""
    mapped = command_of(images, image)
    if mapped is not None:
        return mapped
    if is_training(image):
        return ["python3"]
    names = names_of(image)
    return next(
        (
            list(command)
            for pattern, command in _PLAIN
            if any(re.fullmatch(pattern, name) for name in names)
        ),
        None,
    )


def is_training(image: str) -> bool:
    """Return whether an image is one of Google's prebuilt images for training."""
    return _TRAINING.fullmatch(image) is not None


def unmapped_message(image: str) -> str:
    """Return the error message for a job whose container image has no command here."""
    return (
        f"the local stack does not pull images, and no command is mapped to '{image}'. Start "
        f"it with --image {names_of(image)[-1]}=COMMAND "
        f"(or `images:` in profiles.yaml)."
    )
