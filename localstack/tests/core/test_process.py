"""A stack's own command line, as `python -m isthmus_stack.aws` and `.gcp` read it."""

import pytest

from isthmus_stack.core.process import options


@pytest.mark.parametrize(
    ("cloud", "option", "title"),
    [
        ("gcp", "--moto-answers", "GCP"),
        ("gcp", "--home=kept", "GCP"),
    ],
)
def test_an_option_that_a_cloud_has_not_is_refused_by_its_name(cloud, option, title, capsys):
    with pytest.raises(SystemExit) as ended:
        options(cloud, 0, [option])
    assert ended.value.code == 2
    assert f"the {title} stack has no {option.partition('=')[0]}" in capsys.readouterr().err


def test_a_cloud_takes_the_options_that_it_has():
    assert options("aws", 0, ["--open"]).any_key
    assert options("gcp", 0, ["--open"]).any_key
    assert options("gcp", 0, ["--allow-host", "Example.COM"]).allow_hosts == ("example.com",)
