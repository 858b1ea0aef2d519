"""What may be changed from a page: by a form of that page, with --write, once; and the history says
who.
"""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

import isthmus
from isthmus.experiments.design import runs
from isthmus.experiments.experiment import history, start, status
from isthmus.tests.experiments.shop import PROJECT, Shop
from isthmus.ui.pages.experiments import forms as experiment_forms

from .conftest import HOST, Browser

THREE = PROJECT.replace("share: 40%", "share: 30%")
OTHER_SITE = {"origin": "http://evil.example"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Two experiments, of which open_end runs with 30 %; nobody has come yet."""
    shop = Shop(tmp_path_factory.mktemp("shop"), THREE)
    with shop.project as project:
        isthmus.apply(project)
        start(project, "open_end")
        yield project


@pytest.fixture(scope="module")
def writer(project):
    return Browser(project, write=True, proxy=b"x-user")


def as_ann(writer):
    writer.client.headers["x-user"] = "ann@example.com"
    return writer


def test_a_run_is_started_ramped_shipped_and_stopped_from_its_page_and_the_history_says_by_whom(
    writer, project
):
    """The forms that a page has are those that its state allows."""
    page, ann = "/experiments/blend_up", as_ann(writer)
    assert "experiment start blend_up" in ann.get(page).text
    for action, fields in (
        ("start", {}),
        ("ramp", {"share": "25.5", "because": "more <b>units</b>"}),
        ("ship", {"arm": "treatment", "because": "it is better"}),
        ("stop", {"because": "it was not"}),
    ):
        response = ann.send(page, f"{page}/{action}", fields)
        assert (response.status_code, response.headers["location"]) == (303, f"{page}#stands"), (
            response.text
        )
    changes = history(project, "blend_up")
    assert [(change.what, change.who, change.because) for change in changes] == [
        ("started", "ann@example.com", ""),
        ("ramped", "ann@example.com", "more <b>units</b>"),
        ("shipped", "ann@example.com", "it is better"),
        ("stopped", "ann@example.com", "it was not"),
    ]
    assert [change.after for change in changes] == [
        "60.00 %",
        "25.50 %",
        "treatment ships",
        "stopped",
    ]
    text = ann.get(page).text
    assert "<td>ann@example.com</td>" in text
    assert "stopped, treatment ships -&gt; stopped, by ann@example.com at " in text
    assert "more &lt;b&gt;units&lt;/b&gt;" in text


def test_what_the_product_refuses_is_told_with_its_remedy_and_changes_nothing(writer, project):
    page, ann, before = (
        "/experiments/open_end",
        as_ann(writer),
        runs.current(project.target.state),
    )
    for action, fields, status_code, words in (
        ("ramp", {"share": "101", "because": "x"}, 400, "no share of a layer"),
        ("ramp", {"share": "many", "because": "x"}, 400, "write a percentage"),
        ("ramp", {"share": "20"}, 400, "a share is changed for a reason"),
        ("stop", {"because": " "}, 400, "stopped for a reason"),
        ("ship", {"arm": "nobody", "because": "x"}, 404, "has no arm nobody"),
        ("ship", {"because": "x"}, 400, "no arm is named"),
        ("look", {}, 400, "no unit of open_end.1 was assigned"),
    ):
        response = ann.send(page, f"{page}/{action}", fields)
        assert (response.status_code, words in response.text) == (status_code, True), response.text
    assert runs.current(project.target.state) == before


def test_a_look_that_takes_long_holds_no_change_back(writer, monkeypatch):
    page, ann, began, ends = "/experiments/open_end", as_ann(writer), Event(), Event()
    monkeypatch.setattr(
        experiment_forms, "look", lambda _project, _fields: (began.set(), ends.wait(60), page)[2]
    )
    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(ann.send, page, f"{page}/look")
        try:
            assert began.wait(60)
            assert (
                ann.send(page, f"{page}/ramp", {"share": "many", "because": "x"}).status_code == 400
            )
            assert not looking.done()
        finally:
            ends.set()
        assert looking.result(60).status_code == 303


def test_nothing_is_changed_by_looking_at_a_page_or_at_the_address_of_a_change(writer, project):
    ann, before = as_ann(writer), project.target.state.get("experiments/live")
    for action in ("start", "look", "ramp", "ship", "stop"):
        assert ann.client.get(
            f"/experiments/open_end/{action}?share=1&because=x&arm=treatment"
        ).status_code in (404, 405)
    for path in ("/experiments", "/experiments/open_end", "/experiments/open_end.json?because=x"):
        ann.get(path)
    assert project.target.state.get("experiments/live") == before


@pytest.mark.parametrize(
    "headers",
    [OTHER_SITE, {"origin": "null"}, {"sec-fetch-site": "cross-site"}, {"host": "evil.example"}],
)
def test_a_form_that_another_site_sends_is_refused(writer, project, headers):
    page = "/experiments/open_end"
    assert as_ann(writer).send(page, f"{page}/stop", {"because": "x"}, **headers).status_code == 403
    assert status(project, "open_end").state == "running"


def test_a_form_without_the_token_of_its_page_is_refused(writer, project):
    page, ann = "/experiments/open_end", as_ann(writer)
    for fields in (
        {"because": "x"},
        {"because": "x", "token": ""},
        {"because": "x", "token": "0" * 64},
        {"because": "x", "token": "ü"},
    ):
        response = ann.client.post(f"{page}/stop", data=fields, headers={"origin": HOST})
        assert (response.status_code, "open the page again" in response.text) == (403, True)
    assert status(project, "open_end").state == "running"


@pytest.mark.parametrize(
    "body",
    [
        b"a=1&a=2",
        b"because=" + b"x" * 70_000,
        b"\xff=1",
        b"&".join(b"f%d=1" % at for at in range(300)),
    ],
)
def test_a_body_that_is_no_form_of_ours_is_refused(writer, body):
    sent = {"origin": HOST, "content-type": "application/x-www-form-urlencoded"}
    assert (
        as_ann(writer)
        .client.post("/experiments/open_end/stop", content=body, headers=sent)
        .status_code
        == 400
    )


def test_only_a_form_is_taken(writer):
    response = as_ann(writer).client.post(
        "/experiments/open_end/stop", json={"because": "x"}, headers={"origin": HOST}
    )
    assert response.status_code == 415


def test_pages_that_only_read_have_no_form_and_show_the_command_instead(project):
    reader = Browser(project)
    text = reader.get("/experiments/open_end").text
    assert "<form" not in text
    assert "Nobody has looked at it yet" in text
    assert "<code>isthmus experiment ramp open_end" in text
    response = reader.client.post(
        "/experiments/open_end/stop", data={"because": "x"}, headers={"origin": HOST}
    )
    assert (response.status_code, "--write" in response.text) == (403, True)


def test_without_a_proxy_the_history_says_the_user_of_this_machine(project, monkeypatch):
    monkeypatch.setenv("ISTHMUS_USER", "bob")
    browser = Browser(project, write=True)
    browser.client.headers["x-user"] = "ann@example.com"
    page = "/experiments/open_end"
    assert browser.send(page, f"{page}/ramp", {"share": "10", "because": "x"}).status_code == 303
    assert history(project, "open_end")[-1].who == "bob"
