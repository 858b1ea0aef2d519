"""The built site shows what the pages mean: Markdown that its converter reads otherwise than GitHub
does would stand there as text, and `mkdocs build --strict` says nothing of it.
"""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="there is no mkdocs here: make setup")

ROOT = Path(__file__).parents[2]
VERBATIM = {"pre", "code", "script", "style", "svg"}
TEXT = {"p", "li", "td", "th", "dt", "dd", "summary", *(f"h{level}" for level in range(1, 7))}
MARKUP = {
    "a table's row": r"^\s*\|.*\|\s*$",
    "a list's item": r"^\s*(?:[-*+]|\d+[.)]) (?!.*¶$)",  # a heading may begin with its number
    "a heading": r"^#{1,6} ",
    "a fence": r"`{3}|~{3}",
    "a backtick": r"`",
    "stars": r"\*\*",
    "a link": r"\]\(",
    "a docstring's entry": r"^ +\w+: ",
}


class Article(HTMLParser):
    """The text of each element of a page that holds some, without code; its ids and links."""

    def __init__(self, html):
        super().__init__()
        self.texts, self.ids, self.links, self._open, self._verbatim = [], set(), [], [], 0
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids.add(attributes.get("id"))
        self.links += [attributes["href"]] if attributes.get("href") and tag == "a" else []
        self._verbatim += tag in VERBATIM
        if tag in TEXT:
            self._open.append("")

    def handle_endtag(self, tag):
        self._verbatim -= tag in VERBATIM
        if tag in TEXT and self._open:
            self.texts.append(self._open.pop())

    def handle_data(self, text):
        if self._open:
            self._open[-1] += "code" if self._verbatim else text


def markup(html):
    """The marks of Markdown that stand on a page as text, each with the text."""
    article = html.partition("<article")[2].partition("</article>")[0]
    return [
        f"{name}: {' '.join(text.split())[:80]}"
        for text in Article(article).texts
        for name, mark in MARKUP.items()
        if re.search(mark, text, re.MULTILINE)
    ]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Page -> its HTML, of the site as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        check=True,
        timeout=600,
    )
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*.html"))
        if path.name != "404.html"
    }


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("| a | b |\n|---|---|", "a table's row"),
        ("Three rules:\n- one", "a list's item"),
        ("Do it:\n1. one", "a list's item"),
        ("of **kwargs", "stars"),
        ("the `key", "a backtick"),
        ("```\nx", "a fence"),
        ("text\n## More", "a heading"),
        ("see [this](there)", "a link"),
        ("Args:\n    project: It.", "a docstring's entry"),
    ],
)
def test_markdown_that_stands_as_text_is_told_by_name(text, name):
    assert name in [told.partition(":")[0] for told in markup(f"<article><p>{text}</p></article>")]
    assert markup(f"<article><p>It is <code>{text}</code>.</p></article>") == []


def test_no_markdown_stands_on_a_page_as_text(site):
    assert len(site) > 40
    assert [f"{page}  {told}" for page, html in site.items() for told in markup(html)] == []


def test_every_link_of_a_page_leads_to_a_page_and_every_fragment_to_an_id(site):
    articles = {page: Article(html) for page, html in site.items()}
    assert [
        f"{page}  {link}"
        for page, article in articles.items()
        for link in article.links
        if not re.match(r"\w+:|#?$", link) and not leads(articles, page, link)
    ] == []


def test_every_picture_of_a_page_is_one_that_a_browser_draws(site):
    pictures = [
        (page, source)
        for page, html in site.items()
        for source in re.findall(r'<img [^>]*src="(?!data:)([^"]+)"', html.partition("<article")[2])
    ]
    assert {"images/rollout.png", "images/experiment.png"} <= {source for _, source in pictures}
    for page, source in pictures:
        drawn = ROOT / "docs" / Path("/", page).parent.joinpath(source).resolve().relative_to("/")
        assert drawn.is_file(), (page, source)
        assert drawn.suffix in (".png", ".svg"), (page, source)


def leads(articles, page, link):
    """Whether a link of a page leads to a page of the site, or to a file that lies beside."""
    place, _, fragment = link.partition("#")
    path = page
    if place:
        target = Path("/", page).parent.joinpath(place).resolve()
        path = str(target.relative_to("/"))
        path = path if target.suffix else str(Path(path, "index.html"))
    if not path.endswith(".html"):
        return not fragment
    return path in articles and (not fragment or fragment in articles[path].ids)


def test_no_paragraph_begins_in_bold_where_a_heading_belongs(site):
    bold = re.compile(r"(?<!<li>\n)<p><strong>[A-Z/].*")
    assert [
        f"{page}  {text[:80]}" for page, html in site.items() for text in bold.findall(html)
    ] == []


def test_a_page_takes_the_systems_scheme(site):
    inputs = re.findall(r"<input[^>]*data-md-color-media=[^>]*>", site["index.html"])
    schemes = [re.findall(r'data-md-color-(?:media|scheme)="([^"]*)"', each) for each in inputs]
    assert schemes[0][0] == "(prefers-color-scheme)"
    assert ["(prefers-color-scheme: dark)", "slate"] in schemes
