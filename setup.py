"""The checkout is the package `isthmus`: see docs/architecture.md, "Two packages in one
repository".
"""

from pathlib import Path
from shutil import rmtree

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOMS = [
    "adapters",
    "cli",
    "core",
    "endpoints",
    "events",
    "experiments",
    "feature_store",
    "lifecycle",
    "pipelines",
    "project",
    "reports",
    "rollouts",
    "ui",
]
ROOT_MODULES = {path.stem for path in Path(__file__).parent.glob("*.py")} - {"setup", "noxfile"}


class BuildPy(build_py):
    def run(self):
        """Build anew: what an earlier build left would be packed, too."""
        if not self.editable_mode:
            rmtree(self.build_lib, ignore_errors=True)
        super().run()

    def find_package_modules(self, package, package_dir):
        modules = super().find_package_modules(package, package_dir)
        if package == "isthmus.tests":  # only conformance/ is for others
            return [m for m in modules if m[1] == "__init__"]
        return [m for m in modules if package != "isthmus" or m[1] in ROOT_MODULES]


rooms = find_packages(include=[pattern for room in ROOMS for pattern in (room, f"{room}.*")])
setup(
    packages=[
        "isthmus",
        *(f"isthmus.{room}" for room in rooms),
        "isthmus.tests",
        *(f"isthmus.{name}" for name in find_packages(include=["tests.conformance*"])),
    ],
    package_dir={"isthmus": "."},
    cmdclass={"build_py": BuildPy},
)
