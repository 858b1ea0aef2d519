"""Where a rollout is rehearsed on this machine: its minutes are made up, the requests beside them
are real.
"""

from datetime import timedelta

from isthmus.adapters.local.endpoints.request_log import RequestLog, file_name
from isthmus.adapters.local.endpoints.serving import serving
from isthmus.lifecycle.rehearsal.places import Home
from isthmus.rollouts.world import START
from isthmus.target import Profile


def test_a_rehearsals_minutes_stay_when_a_real_request_begins_a_new_hour_of_the_log(tmp_path):
    own = {"home": str(tmp_path), "serving": {"timeout": "5s"}}
    of_rehearsal = serving(
        Home(Profile(name="local", adapter="local", project="p", options=own)).profile.options,
        "ranker",
    )
    (tmp_path / file_name(START)).touch()
    RequestLog(tmp_path, keep=of_rehearsal.request_log).write("champion", 200, 0.004)
    assert (tmp_path / file_name(START)).exists()
    assert of_rehearsal.timeout == timedelta(seconds=5)
