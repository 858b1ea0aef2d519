"""Another user of this machine at every server of ours: one table of tries.

It is a process with a user id of its own.
"""

import json
import re
from contextlib import ExitStack
from html import unescape
from urllib.parse import urlencode

import pytest

from isthmus.adapters.local.endpoints import supervision
from isthmus.core.runtime.project import reopen
from isthmus.endpoints.gateway.http.background import in_background
from isthmus.endpoints.gateway.http.sample import SampleFailed
from isthmus.endpoints.http.peers import allowed_users
from isthmus.errors import Invalid
from isthmus.tests.endpoints import mini
from isthmus.tests.endpoints.gateway.gateway_kit import deployed
from isthmus.tests.experiments.shop import Shop
from isthmus.tests.other_user import USER, asked, needs_root
from isthmus.tests.ui.drawn import serving
from isthmus.tests.ui.test_new_experiment import DRAFT
from isthmus_stack.core import keys
from isthmus_stack.gcp import environment
from isthmus_stack.run import start

pytestmark = [pytest.mark.slow, needs_root]
JSON = {"content-type": "application/json"}
RANK = json.dumps(mini.REQUEST)
PREDICT = json.dumps({"instances": [{"item_history.item_impressions": 1}]})


class Nobody:
    def sample(self, _endpoint):
        raise SampleFailed("there is no log")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with deployed(tmp_path_factory.mktemp("mini")) as folder:
        yield folder


@pytest.fixture(scope="module")
def project(folder):
    with mini.opened(folder) as project:
        yield project


@pytest.fixture(scope="module")
def local(folder, project):
    """The ports of this machine's servers of a project: ui, ui --write, gateway, router, model
    server.
    """
    home = folder / ".isthmus"
    with ExitStack() as servers:
        urls = {
            "ui": servers.enter_context(serving(lambda: project)),
            "ui --write": servers.enter_context(serving(lambda: project, write=True)),
            "gateway": servers.enter_context(
                in_background(mini.opened(folder), "ranker", Nobody())
            ).url,
        }
        address = supervision.address(home, "ranker")
        ports = {name: int(url.rpartition(":")[2]) for name, url in urls.items()}
        yield ports | {"router": address.port, "model server": address.servers[0].port}


TRIES = [
    ("ui", "GET", "/experiments", {}, None),
    ("ui", "GET", "/new.json", {}, None),
    ("ui --write", "GET", "/new", {}, None),
    ("gateway", "POST", "/rank", JSON, RANK),
    ("gateway", "POST", "/track", JSON, "{}"),
    ("gateway", "GET", "/metrics", {}, None),
    ("gateway", "GET", "/openapi.json", {"x-forwarded-for": "198.51.100.7"}, None),
    ("router", "POST", "/invocations", JSON, PREDICT),
    ("router", "GET", "/_isthmus/state", {}, None),
    ("model server", "POST", "/invocations", JSON, PREDICT),
]


def test_another_user_is_refused_by_each_server_of_a_project_and_told_why(local):
    tries = [(local[server], *rest) for server, *rest in TRIES]
    for (server, *rest), (status, text, _) in zip(TRIES, asked(tries), strict=True):
        assert status == 403, (server, *rest, text)
        assert f"ISTHMUS_ALLOW_USER={USER}" in text, (server, text)
        assert "mini" not in text, "nothing of the project is told"
    for (server, *_), (status, text, _) in zip(TRIES, asked(tries, user=0), strict=True):
        assert "ISTHMUS_ALLOW_USER" not in text, (server, status, text)


def test_another_user_who_has_the_owners_form_writes_nothing(tmp_path):
    """As it was done: the form of `ui --write`, its cookie, its token, its Origin."""
    with (
        Shop(tmp_path).project as project,
        serving(lambda: reopen(tmp_path, project.target), write=True) as url,
    ):
        port = int(url.rpartition(":")[2])
        ((status, page, headers),) = asked(
            [(port, "GET", f"/new?{urlencode(DRAFT)}", {}, None)], user=0
        )
        assert status == 200
        form = re.search(r'<form method="post" action="/new".*?</form>', page, re.DOTALL)[0]
        fields = {
            name: unescape(value)
            for name, value in re.findall(
                r'<input type="hidden" name="([^"]*)" value="([^"]*)">', form
            )
        }
        sent = {
            "origin": url,
            "content-type": "application/x-www-form-urlencoded",
            "cookie": headers["set-cookie"].partition(";")[0],
        }
        post = (port, "POST", "/new", sent, urlencode(fields))
        before = sorted(tmp_path.rglob("*"))
        ((status, text, _),) = asked([post])
        assert (status, sorted(tmp_path.rglob("*"))) == (403, before), text
        ((status, text, _),) = asked([post], user=0)
        assert (status, sorted(tmp_path.rglob("*")) == before) == (303, False), (
            "the form is a real one"
        )


def test_probes_of_other_users_hear_whether_a_server_is_there(local):
    answers = asked([(local[name], "GET", "/ping", {}, None) for name in ("gateway", "router")])
    assert [(status, json.loads(text)["status"]) for status, text, _ in answers] == [
        (200, "alive"),
        (200, "ready"),
    ]


def test_users_whom_the_setting_names_are_served(project, monkeypatch):
    for setting in (f"root, {USER}", "*"):
        monkeypatch.setenv("ISTHMUS_ALLOW_USER", setting)
        with serving(lambda: project) as url:
            ((status, _, _),) = asked(
                [(int(url.rpartition(":")[2]), "GET", "/experiments", {}, None)]
            )
            assert status == 200, setting
    with pytest.raises(Invalid, match="no user nobody-at-all"):
        allowed_users({"ISTHMUS_ALLOW_USER": "nobody-at-all"})


def test_another_user_is_refused_by_the_offline_clouds():
    with start("aws") as aws, start("gcp") as gcp:
        amazon, google = (int(stack.url.rpartition(":")[2]) for stack in (aws, gcp))
        ((_, variables, _),) = asked([(amazon, "GET", "/_stack/environment", {}, None)], user=0)
        proxy = int(json.loads(variables)["HTTPS_PROXY"].rpartition(":")[2])
        grpc = environment.ways_into(gcp.url).grpc_address
        secrets = [
            {"authorization": f"Bearer {keys.keys_of(stack.url).control}"} for stack in (aws, gcp)
        ]
        steal = [
            (port, "POST", "/_stack/reset", secret, None)
            for port, secret in zip((amazon, google), secrets, strict=True)
        ]
        tries = [
            (amazon, "GET", "/", {}, None),
            (amazon, "PUT", "/bucket", {}, ""),
            (proxy, "CONNECT", "sts.us-east-1.amazonaws.com:443", {}, None),
            (google, "GET", "/storage/v1/b?project=p", {}, None),
            (google, "GET", "/storage/v1/b?project=p", {"authorization": "Bearer owner"}, None),
            (google, "CONNECT", "storage.googleapis.com:443", {}, None),
            (grpc, "", "/google.pubsub.v1.Publisher/ListTopics", {}, "\n\nprojects/p"),
            *steal,
        ]
        answers = asked(tries)
        assert [status for status, *_ in answers] == [
            403,
            403,
            403,
            401,
            401,
            403,
            "UNAUTHENTICATED",
            403,
            403,
        ], answers
        assert asked(tries[3:5], user=0)[0][0] == 200
