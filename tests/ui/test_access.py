"""Who may see the pages: the host they are asked at, the token, the proxy, other sites; and what
every answer carries.
"""

import base64

import pytest

from isthmus.endpoints.http.door import door
from isthmus.errors import Invalid
from isthmus.tests.experiments.shop import Shop
from isthmus.ui import access, server
from isthmus.ui.access import FORM, UiAccessRules

from .conftest import HOST, Browser

SECRET = "a-secret-of-nobody"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """In which nothing happened yet."""
    shop = Shop(tmp_path_factory.mktemp("shop"))
    with shop.project:
        yield shop


def headers(**sent):
    return [
        (b"host", b"127.0.0.1:8790"),
        *((name.replace("_", "-").encode(), value.encode()) for name, value in sent.items()),
    ]


def refused(to, method="GET", path="/experiments", **sent):
    answer = access.access_refusal(to, method, path, headers(**sent))
    return None if answer is None else answer.status


def local(**about):
    return UiAccessRules(door=door(listen="127.0.0.1", bodies=frozenset({FORM})), **about)


def test_a_foreign_host_is_refused_and_learns_nothing_of_the_project(browser):
    text = browser.get("/experiments", status=403, host="evil.example:8790").text
    assert "not one of this server" in text
    assert "ranker" not in text
    assert "shop" not in text


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/experiments",
        "/experiments.json",
        "/experiments/nobody",
        "/elsewhere",
        "/style.css",
        "/page.js",
    ],
)
def test_every_answer_says_what_a_browser_may_do_with_it(browser, path):
    sent = browser.client.get(path).headers
    policy = dict(
        directive.split(" ", 1) for directive in sent["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert (
        policy["script-src"]
        == policy["style-src"]
        == policy["form-action"]
        == policy["connect-src"]
        == "'self'"
    )
    assert (sent["x-content-type-options"], sent["cache-control"]) == ("nosniff", "no-store")


@pytest.mark.parametrize("name", ["host", "origin", "authorization"])
def test_a_header_that_decides_and_is_there_twice_is_refused(name):
    twice = [
        *headers(),
        (name.encode(), b"http://127.0.0.1:8790"),
        (name.encode(), b"http://127.0.0.1:8790"),
    ]
    assert access.access_refusal(local(), "GET", "/experiments", twice).status == 400


def test_a_page_of_another_site_reads_nothing():
    assert refused(local()) is None
    assert refused(local(), origin="http://evil.example") == 403
    assert refused(local(), sec_fetch_site="cross-site") == 403
    assert refused(local(), sec_fetch_site="same-site") == 403


LINK = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}


def test_who_follows_a_link_of_another_site_is_let_in_by_a_click_and_nothing_is_asked_before(
    browser,
):
    sent = {name.replace("_", "-"): value for name, value in LINK.items()}
    response = browser.get('/experiments/x"y?look=1&a=<b>', **sent)
    assert '<a href="/experiments/x%22y?look=1&amp;a=%3Cb%3E">Open the page</a>' in response.text
    assert "ranker" not in response.text
    assert "set-cookie" not in response.headers
    assert '<a href="/evil.example/x">' in browser.get(f"{HOST}//evil.example/x", **sent).text
    assert (
        "Open the page"
        not in browser.get("/experiments", **(sent | {"sec-fetch-site": "same-origin"})).text
    )


def test_a_link_of_another_site_opens_no_door_that_is_shut():
    to = UiAccessRules(
        door=door(
            listen="192.0.2.7", allow_hosts=("127.0.0.1",), token=SECRET, bodies=frozenset({FORM})
        ),
        write=True,
    )
    assert refused(to, **LINK) == 401
    assert refused(local(proxy=b"x-user"), **LINK) == 401
    assert (
        access.access_refusal(
            local(), "GET", "/experiments", [(b"host", b"evil.example"), *headers(**LINK)[1:]]
        ).status
        == 403
    )
    assert (
        refused(local(write=True), "POST", origin=HOST, content_type=FORM.decode(), **LINK) == 403
    )
    assert refused(local(), **(LINK | {"sec_fetch_dest": "iframe"})) == 403
    assert refused(local(), **(LINK | {"sec_fetch_mode": "no-cors"})) == 403


def test_what_only_reads_takes_no_change():
    sent = {"origin": HOST, "content_type": FORM.decode()}
    assert refused(local(), "POST", **sent) == 403
    assert refused(local(write=True), "POST", **sent) is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_change_needs_the_origin_of_a_page_of_this_server(method):
    form = {"content_type": FORM.decode()}
    assert refused(local(write=True), method, **form) == 403
    assert refused(local(write=True), method, origin="null", **form) == 403
    assert refused(local(write=True), method, origin="http://127.0.0.1:8791", **form) == 403
    assert refused(local(write=True), method, origin=HOST, **form) is None


def test_beyond_loopback_the_token_comes_as_a_password_or_as_programs_send_it():
    to = UiAccessRules(
        door=door(
            listen="192.0.2.7", allow_hosts=("127.0.0.1",), token=SECRET, bodies=frozenset({FORM})
        )
    )
    assert refused(to) == 401
    assert (
        refused(to, authorization="Basic " + base64.b64encode(f"ann:{SECRET}".encode()).decode())
        is None
    )
    assert refused(to, authorization="Basic " + base64.b64encode(b"ann:guess").decode()) == 401
    assert refused(to, authorization="Basic ?") == 401
    assert refused(to, authorization=f"Bearer {SECRET}") is None
    assert access.who(to, {}) == "whoever has ISTHMUS_TOKEN", (
        "the name that is sent with it is anybody's"
    )


def test_a_browser_is_asked_for_the_token(shop):
    to = door(
        listen="192.0.2.7", allow_hosts=("127.0.0.1",), token=SECRET, bodies=frozenset({FORM})
    )
    browser = Browser(shop.project, door=to)
    assert browser.get("/experiments", status=401).headers["www-authenticate"].startswith("Basic ")
    assert browser.client.get("/experiments", auth=("ann", SECRET)).status_code == 200


def test_behind_a_proxy_somebody_has_a_name():
    to = local(proxy=b"x-forwarded-user")
    assert refused(to) == 401
    assert refused(to, x_forwarded_user="  ") == 401
    assert refused(to, x_forwarded_user="ann@example.com") is None
    assert access.who(to, dict(headers(x_forwarded_user=" ann@example.com"))) == "ann@example.com"
    assert access.who(local(), dict(headers(x_forwarded_user="ann"))) is None, (
        "nobody vouches for it"
    )
    twice = [*headers(x_forwarded_user="ann"), (b"x-forwarded-user", b"root")]
    assert access.access_refusal(to, "GET", "/experiments", twice).status == 400


def test_beyond_loopback_somebody_must_say_who_may_come():
    open_to = {"allow_hosts": (), "write": False}
    with pytest.raises(Invalid, match="set ISTHMUS_TOKEN"):
        server.access(host="0.0.0.0", token=None, proxy=None, **open_to)
    with pytest.raises(Invalid, match="no name of a header"):
        server.access(host="127.0.0.1", token=None, proxy="X: Y", **open_to)
    assert server.access(host="127.0.0.1", token=None, proxy=None, **open_to).door.token is None
    behind = server.access(host="192.0.2.7", token=None, proxy="X-User", **open_to)
    assert (behind.proxy, b"192.0.2.7" in behind.door.hosts) == (b"x-user", True)
    assert (
        server.access(host="192.0.2.7", token=SECRET, proxy="X-User", **open_to).door.token
        == SECRET.encode()
    ), "both are asked for"


def test_a_cookie_goes_to_no_other_site_and_its_token_is_of_this_process_alone(browser):
    browser.client.cookies.clear()
    set_cookie = browser.get("/experiments").headers["set-cookie"].lower()
    assert "samesite=strict" in set_cookie
    assert "httponly" in set_cookie
    to, again = local(), local()
    assert access.is_ours(to, "c", access.token(to, "c"))
    assert not access.is_ours(to, "d", access.token(to, "c"))
    assert not access.is_ours(again, "c", access.token(to, "c"))
    assert not access.is_ours(to, "", access.token(to, ""))
