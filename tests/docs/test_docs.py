"""The pages that follow from the code are up to date."""

import ast
import importlib.util
import re
import subprocess
from pathlib import Path

import click
import pytest
import yaml

import isthmus as im
from isthmus.cli.main import COMMANDS, main
from isthmus.tests.cli.running import create, isthmus
from isthmus.tests.conformance.rows import PORTS
from isthmus.tests.docs.shown import STACK_DOCS, block_of, masked
from isthmus.tests.test_architecture import FOLDERS

DOCS = Path(__file__).parents[2] / "docs"
NEEDS = {
    "../localstack/docs/coverage.md": "moto",
    "../localstack/docs/coverage-gcp.md": "google.cloud.aiplatform_v1",
}


def pages():
    found = importlib.util.spec_from_file_location("isthmus_docs", DOCS / "generate.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.PAGES


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_generated_page_is_what_the_code_says(name):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    assert (DOCS / name).read_text() == pages()[name](), "run `make docs` and commit the page"


def written():
    """The pages that people wrote or that were generated for them."""
    root = DOCS.parent
    folders = (root, DOCS, STACK_DOCS.parent, STACK_DOCS, *root.glob("examples/*"))
    return sorted(page for folder in folders for page in folder.glob("*.md"))


def anchors(page):
    """The fragments of a page's headings, as GitHub makes them."""
    headings = re.findall(
        r"^#+ (.+)$",
        re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL),
        re.MULTILINE,
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page):
    """The links of a page that lead nowhere."""
    for link in re.findall(
        r"\]\(([^)\s]+)\)",
        re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(), flags=re.MULTILINE | re.DOTALL),
    ):
        file, _, fragment = link.partition("#")
        to = page.parent / file if file else page
        if not re.match(r"https?:", link) and not (
            to.exists() and (not fragment or to.suffix != ".md" or fragment in anchors(to))
        ):
            yield f"{page.relative_to(DOCS.parent)}: {link}"


def test_no_link_of_a_page_is_broken():
    assert len(written()) > 15
    assert [link for page in written() for link in broken(page)] == []


def test_every_page_is_reached_from_the_readme():
    for readme in (DOCS.parent / "README.md", STACK_DOCS.parent / "README.md"):
        linked = set(re.findall(r"\]\(docs/([\w-]+\.md)", readme.read_text()))
        assert {page.name for page in (readme.parent / "docs").glob("*.md")} - linked == set()


def promised():
    """The sections of promises.md by heading."""
    parts = re.split(r"^### (.+)$", (DOCS / "promises.md").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def functions(path):
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    }


def test_each_test_that_shows_a_promise_exists_and_each_promise_has_one():
    named = re.findall(
        r"((?:localstack/)?tests/[\w/]+\.py)::(\w+)", (DOCS / "promises.md").read_text()
    )
    assert len(named) > 50
    root = DOCS.parent
    known = {
        file: functions(root / file) if (root / file).is_file() else set() for file, _ in named
    }
    assert [f"{file}::{test}" for file, test in named if test not in known[file]] == []
    assert [
        heading
        for heading, text in promised().items()
        if not re.search(r"Shown by (localstack/)?tests/", text)
    ] == []


def test_each_command_that_changes_something_has_its_promise():
    headings = " ".join(promised())
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        group = command.commands if isinstance(command, click.Group) else {"": command}
        changing = [
            child
            for child, each in group.items()
            if any(parameter.name == "dry_run" for parameter in each.params)
        ]
        assert all(re.search(rf"isthmus {name}\b.*\b{child}\b", headings) for child in changing), (
            name
        )


def texts(path):
    """The strings of a file; `...` for what is put into them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            text = "".join(
                part.value if isinstance(part, ast.Constant) else "..." for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = re.sub(r"{\w+}", "...", node.value)
        else:
            continue
        yield re.sub(r"\.{4,}", "...", text)


def test_each_error_of_the_troubleshooting_page_is_said_by_the_file_that_it_names():
    page = (DOCS / "troubleshooting.md").read_text()
    entries = [
        (said, file)
        for _, said, file in re.findall(
            r"^### (`{1,2})(.+?) ?\1\n<!-- ([\w/]+\.py) -->$", page, re.MULTILINE
        )
    ]
    assert len(entries) == page.count("\n### ") >= 20
    wrong = [
        said
        for said, file in entries
        if not any(text.startswith(said.removesuffix("...")) for text in texts(DOCS.parent / file))
    ]
    assert wrong == []


def commands(job):
    """The `isthmus` lines of a job of the workflow, as words."""
    workflow = yaml.safe_load((DOCS.parent / "examples/ci/github-actions.yml").read_text())
    return [
        step["run"].split()
        for step in workflow["jobs"][job]["steps"]
        if step.get("run", "").startswith("isthmus ")
    ]


def test_the_workflow_has_commands_that_exist():
    words = [*commands("check"), *commands("apply")]
    assert len(words) >= 8
    for line in words:
        main.make_context("isthmus", line[1:])
        context, command, rest = click.Context(main), main, line[1:]
        while isinstance(command, click.Group):
            command, rest = command.get_command(context, rest[0]), rest[1:]
        command.make_context(command.name, rest, parent=context)  # click.UsageError


def test_what_the_workflow_and_the_first_pages_run_on_the_laptop_passes_on_a_new_project_and_says_what_they_show(
    tmp_path,
):
    assert (
        isthmus(tmp_path, "init", "shop").out.splitlines()[0]
        == block_of("your-data.md", "isthmus init shop && cd shop")[0]
    )
    project = tmp_path / "shop"
    for line in (
        "init -q",
        "add .",
        "commit -q -m begin",
        "update-ref refs/remotes/origin/main HEAD",
    ):
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *line.split()],
            cwd=project,
            check=True,
        )
    alone = [line[1:] for line in commands("check") if "--offline" not in line]
    assert [words[0] for words in alone] == ["validate", "events", "apply", "ingest", "materialize"]
    said = {words[0]: isthmus(project, *words).out for words in [*alone, ["plan"]]}
    log = block_of("your-data.md", "isthmus apply && isthmus ingest && isthmus materialize")
    assert masked(log[-1]) in map(masked, said["ingest"].splitlines())
    first = (
        (DOCS.parent / "README.md")
        .read_text()
        .partition("\nisthmus init shop && cd shop")[2]
        .partition("```")[0]
    )
    assert set(re.findall(r"\bisthmus (\w+)", first.partition("#")[2])) <= said.keys()


def test_the_targets_of_the_production_page_are_sound(tmp_path):
    blocks = re.findall(
        r"```yaml\n(targets:.+?)```", (DOCS / "production.md").read_text(), re.DOTALL
    )
    targets = {
        name: target
        for block in blocks
        for name, target in yaml.safe_load(block)["targets"].items()
    }
    assert sorted(targets) == ["sagemaker", "vertex"]
    project = create(tmp_path / "shop")
    (project / "profiles.yaml").write_text(yaml.safe_dump({"targets": targets}))
    assert im.validate(project / "project.yaml").errors == ()


def test_the_metrics_that_pages_name_are_the_gateways():
    named = {
        name for page in written() for name in re.findall(r"isthmus_gateway_\w+", page.read_text())
    }
    code = "".join(path.read_text() for path in (DOCS.parent / "endpoints").rglob("*.py"))
    assert {name for name in named if name not in code} == set()
    assert len(named) > 3


def test_every_room_has_an_owner_and_every_owned_place_is_there():
    owned = [
        line.split()[0]
        for line in (DOCS.parent / "CODEOWNERS").read_text().splitlines()
        if line.startswith("/")
    ]
    assert {f"/{room}/" for room in FOLDERS} - set(owned) == set()
    assert [place for place in owned if not list(DOCS.parent.glob(place.strip("/")))] == []


def test_each_measured_figure_of_the_scale_page_is_one_of_the_benchmarks():
    table = (DOCS / "scale.md").read_text().partition("## On one machine\n")[2].partition("\n\n")[0]
    figures = re.findall(r"\d[\d,.]*\d(?= (?:ms|MB|CPU s|s|events)\b|/s)", table)
    measured = (DOCS / "benchmarks.md").read_text()
    assert len(figures) > 15
    assert [
        figure
        for figure in figures
        if not re.search(rf"(?<![\d.,]){re.escape(figure)}(?!\d)", measured)
    ] == []


def test_the_walk_of_an_adapter_names_each_port_and_where_its_protocol_stands():
    section = (
        (DOCS / "extending.md")
        .read_text(encoding="utf-8")
        .partition("## Add an adapter")[2]
        .partition("\n## ")[0]
    )
    cells = dict(re.findall(r"^\| (`.+?) \| (`.+?) \|$", section, re.MULTILINE))
    protocols = {
        port: protocol
        for left, right in cells.items()
        for port, protocol in zip(
            re.findall("`(.+?)`", left),
            re.findall("`(.+?)`", right.partition(" in ")[0]),
            strict=True,
        )
    }
    target = ast.parse((DOCS.parent / "target.py").read_text(encoding="utf-8"))
    returned = {
        node.name: ast.unparse(node.returns)
        for node in ast.walk(target)
        if isinstance(node, ast.FunctionDef) and node.returns
    }
    assert protocols == {port: returned[port] for port in PORTS if port != "native"}
    for right in cells.values():
        names, _, file = right.partition(" in ")
        text = (DOCS.parent / file.strip("`")).read_text(encoding="utf-8")
        assert all(f"class {name}(Protocol)" in text for name in re.findall("`(.+?)`", names))
