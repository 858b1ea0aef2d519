"""The systemd unit of an endpoint, whatever its folder is called: systemd itself reads it, where it
is there.
"""

import os
import shutil
import subprocess
import sys

import pytest

from isthmus.adapters.local.endpoints.service import unit_of
from isthmus.errors import Invalid

FOLDERS = (
    "plain",
    "a b",
    "per%cent",
    "%h",
    "it's",
    "dol$lar",
    'quo"te',
    "back\\slash",
    "semi;colon",
    "tab\there",
    "été",
    "#hash",
)
WITH_PROGRAM = ("plain", "a b", "per%cent", "dol$lar", "semi;colon")


def units(folder):
    """A unit a name: the project's folder is called so, and where systemd can start such a program
    the program's, too.
    """
    for number, name in enumerate(FOLDERS):
        place = folder / name
        place.mkdir()
        program = (place if name in WITH_PROGRAM else folder) / f"program{number}"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        file = folder / f"isthmus-{number}.service"
        file.write_text(
            unit_of(
                "Isthmus endpoint ranker of shop",
                [str(program), "--home", str(place / ".isthmus"), "--name", "ranker"],
                place,
            )
        )
        yield file


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_reads_the_unit_of_a_folder_of_any_name(tmp_path):
    environment = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)}
    tmp_path.chmod(0o700)
    command = ["systemd-analyze", "verify", "--user", "--man=no"]
    done = subprocess.run(
        [*command, *map(str, units(tmp_path))],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if "initialize manager" in done.stderr:
        pytest.skip(f"systemd-analyze does not run here: {done.stderr}")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_words_of_a_unit_are_quoted_as_systemd_reads_them(tmp_path):
    unit = unit_of(
        "d",
        [
            "/opt/my $env/python",
            "-m",
            "isthmus",
            "a$b",
            "50%",
            "it's",
            'say "x"',
            "back\\slash",
            "two\nlines",
        ],
        tmp_path / "5%",
    )
    lines = dict(line.partition("=")[::2] for line in unit.splitlines())
    words = [
        '"/opt/my $env/python"',
        "-m",
        "isthmus",
        '"a$$b"',
        '"50%%"',
        '"it\'s"',
        r'"say \"x\""',
        r'"back\\slash"',
        r'"two\nlines"',
    ]
    assert lines["ExecStart"] == " ".join(words)
    assert lines["WorkingDirectory"] == str(tmp_path / "5%%")


@pytest.mark.parametrize(
    "program",
    ['/opt/quo"te/python', "/opt/it's/python", "/opt/back\\slash/python", "/opt/tab\t/python"],
)
def test_a_program_that_systemd_does_not_start_is_refused_by_its_path(program, tmp_path):
    with pytest.raises(Invalid, match="systemd starts no program"):
        unit_of("d", [program], tmp_path)


@pytest.mark.parametrize("name", ["two\nlines", "ends in a blank "])
def test_a_folder_that_no_unit_can_name_is_refused(name, tmp_path):
    with pytest.raises(Invalid, match="systemd has no word"):
        unit_of("d", [sys.executable], tmp_path / name)
