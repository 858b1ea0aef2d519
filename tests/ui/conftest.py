"""A browser without a screen: pages of the shop in which two experiments ran, asked in this
process.
"""

import re
from html import unescape

import pytest
from starlette.testclient import TestClient

from isthmus.endpoints.http.door import door
from isthmus.errors import Refused
from isthmus.experiments.results.comparison import results
from isthmus.tests.experiments.shop import DAY, START, Shop
from isthmus.ui.access import FORM, UiAccessRules
from isthmus.ui.application import Application

HOST = "http://127.0.0.1:8790"


class Browser:
    """What a person does with a page: look, fill in a form of it, send it."""

    def __init__(self, project, *, same="", **access):
        self.project = project
        at = access.pop("door", None) or door(listen="127.0.0.1", bodies=frozenset({FORM}))
        self.client = TestClient(
            Application(lambda: project, UiAccessRules(door=at, **access), same=same),
            base_url=HOST,
            follow_redirects=False,
        )

    def get(self, path, status=200, **headers):
        response = self.client.get(path, headers=headers)
        assert response.status_code == status, response.text
        return response

    def send(self, page, action, fields=None, **headers):
        """The form of a page that goes to `action`, with its hidden fields, as a browser would send
        it.
        """
        form = re.search(
            rf'<form method="post" action="{re.escape(action)}".*?</form>',
            self.get(page).text,
            re.DOTALL,
        )
        hidden = {
            name: unescape(value)
            for name, value in re.findall(
                r'<input type="hidden" name="([^"]*)" value="([^"]*)">', form[0]
            )
        }
        headers = {"origin": HOST, "sec-fetch-site": "same-origin"} | headers
        return self.client.post(action, data=hidden | (fields or {}), headers=headers)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """blend_up was looked at twice, and open_end, whose split is broken, once."""
    shop = Shop(tmp_path_factory.mktemp("shop")).filled()
    with shop.project:
        end = shop.now
        for day in (2, 5):
            shop.now = START.replace(hour=20) + day * DAY
            results(shop.project, "blend_up")
        shop.now = end
        with pytest.raises(Refused):
            results(shop.project, "open_end")
        yield shop


@pytest.fixture(scope="module")
def browser(shop):
    return Browser(shop.project)
