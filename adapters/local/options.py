"""The laptop's keys of profiles.yaml."""

from __future__ import annotations

from ...project.shapes import Folder, Key

KEYS = {
    "home": Key(shape=Folder(default=".isthmus"), description="Where the laptop keeps things. Default .isthmus beside project.yaml."),
}
