"""Build the package `isthmus_stack` from this folder, as the checkout is `isthmus`.

See docs/architecture.md.
"""

from shutil import rmtree

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

BESIDE = ("tests", "testing", "docs", "build")  # what is of the checkout alone


class BuildPy(build_py):
    def run(self):
        """Build anew: what an earlier build left would be packed, too."""
        if not self.editable_mode:
            rmtree(self.build_lib, ignore_errors=True)
        super().run()

    def find_package_modules(self, package, package_dir):
        modules = super().find_package_modules(package, package_dir)
        return [module for module in modules if package != "isthmus_stack" or module[1] != "setup"]


folders = find_packages(
    exclude=[pattern for folder in BESIDE for pattern in (folder, f"{folder}.*")]
)
setup(
    packages=["isthmus_stack", *(f"isthmus_stack.{folder}" for folder in folders)],
    package_dir={"isthmus_stack": "."},
    cmdclass={"build_py": BuildPy},
)
