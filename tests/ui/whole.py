"""What holds of every page, whatever it shows."""

import re

from isthmus.tests.pipelines.run_pages.test_report import Balanced

OPERATIONS = (
    "/endpoints",
    "/rollouts",
    "/runs",
    "/models",
    "/bias",
    "/events",
)  # pages of another project than the experiments': test_operations.py


def check_whole(browser, path):
    """Every element is closed, and nothing is fetched from elsewhere."""
    text = browser.get(path).text
    Balanced(text)
    assert set(re.findall(r'(?:src|href)="(?!/|#|data:,)([^"]*)"', text)) == set()
    assert " style=" not in text
    assert "<style" not in text
    assert len(re.findall("<script", text)) == 1


def check_data(browser, path):
    address, _, query = path.partition("?")
    response = browser.get(f"{address}.json?{query}")
    assert response.headers["content-type"] == "application/json"
    assert response.json()


def check_pictures(browser, path):
    """Every picture has its table, and every mark says what it is; a line that has no name is a
    ruler's.
    """
    for figure in re.findall("<figure>.*?</figure>", browser.get(path).text, re.DOTALL):
        assert "<details><summary>as a table</summary>" in figure
        marks = re.findall(r"<(?:circle|rect|path) [^>]*>(<title>)?", figure)
        assert marks or "<polyline" in figure
        assert all(marks)
        desk, _, phone = figure.partition('<div class="on-phone">')
        if phone:  # the same marks, and where a phone shows them
            titles = [re.findall("<title>.*?</title>", half) for half in (desk, phone)]
            assert titles[0] == titles[1]
            assert 'viewBox="0 0 380 ' in phone
