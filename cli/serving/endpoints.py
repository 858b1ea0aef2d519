"""deploy, traffic, and endpoints list | invoke | explain | metrics | logs | serve."""

from __future__ import annotations

import json
import sys
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import click

from ...errors import Invalid
from ..console.command import command, waits
from ..console.console import Console
from ..console.tables import grid

if TYPE_CHECKING:
    from ...core.runtime.project import Project
    from ...endpoints.port import EndpointSpec


@command(
    changes=True,
    help="Put the versions that project.yaml names behind ENDPOINT. It sets the split only when "
    "the endpoint is new.",
)
@click.argument("endpoint")
@click.option("--yes", is_flag=True, help="Do not ask.")
@waits
def deploy(console: Console, endpoint: str, yes: bool, wait: bool) -> None:
    """Run `isthmus deploy`: put the versions that project.yaml names behind an endpoint."""
    from ...endpoints.deploy.deploy import deploy as put
    from ...endpoints.deploy.restoration import planned
    from ...endpoints.traffic import owner
    from ...endpoints.traffic.convergence import variants_ready
    from ...endpoints.traffic.resolution import ranking_endpoint_of
    from ...endpoints.traffic.router import routed_endpoints

    with console.open() as project:
        _wait_released(console, project, endpoint, wait=wait)
        running = routed_endpoints(project.target).observe(endpoint) if console.dry_run else None
        claim = owner.read(project.target.state, endpoint)

        def resolved_spec() -> tuple[EndpointSpec, str]:
            declared = ranking_endpoint_of(project, endpoint)
            spec = planned(project, declared, running, claim).resolved.spec
            return spec, "   ".join(
                [
                    f"{project.target.name:<7} {endpoint}",
                    *(f"{v.name} {v.model}@{v.version}" for v in spec.variants),
                ]
            )

        if console.dry_run:
            spec, words = resolved_spec()
            # its smoke test would be counted in the metrics
            if variants_ready(spec, running) and not owner.is_stopped(claim):
                console.result(
                    {"dry_run": "nothing to do", "would": spec}, f"{words}   nothing to do"
                )
                return
            console.would(spec, words)
        console.ask(project, "deploy?", lambda: resolved_spec()[1], yes=yes)
        deployment = put(project, endpoint)
    console.result(deployment)
    if not deployment.smoke.ok:
        console.next(f"endpoints logs {endpoint}")
        raise SystemExit(1)
    console.next(f"endpoints invoke {endpoint} '{{...}}'")


@command(
    changes=True,
    help="Change the split: VARIANT=PERCENT. With two variants the other gets the rest. Read back "
    "afterwards. Without a share: show the split.",
)
@click.argument("endpoint")
@click.argument("changes", nargs=-1, metavar="[VARIANT=PERCENT...]")
@click.option("--yes", is_flag=True, help="Do not ask.")
@waits
def traffic(
    console: Console, endpoint: str, changes: tuple[str, ...], yes: bool, wait: bool
) -> None:
    """Run `isthmus traffic`: change an endpoint's traffic split (VARIANT=PERCENT), or print it."""
    from ...endpoints.traffic.manual import intent, served_split
    from ...endpoints.traffic.manual import traffic as move

    percentages = dict(map(_percent, changes))
    with console.open() as project:
        if not changes:
            console.result(served_split(project, endpoint))
            return
        _wait_released(console, project, endpoint, wait=wait)
        meant = intent(project, endpoint, percentages)
        console.would(meant)
        console.ask(project, "change?", lambda: meant, yes=yes)
        console.result(move(project, endpoint, percentages))


def _wait_released(console: Console, project: Project, endpoint: str, *, wait: bool) -> None:
    """Wait until a rollout that has ended gives back the endpoint's traffic, if `wait` says so."""
    from ...rollouts.verbs.rollout import wait_released

    if wait and not console.dry_run:
        wait_released(project, endpoint)


def _percent(text: str) -> tuple[str, Decimal]:
    """Parse the text VARIANT=PERCENT; return the variant and its percentage of the traffic."""
    name, equals, value = text.partition("=")
    try:
        percent = Decimal(value.removesuffix("%"))
    except InvalidOperation:
        percent = None
    if not equals or not name or percent is None:
        raise click.UsageError(f"a share is VARIANT=PERCENT, such as challenger=20, not {text!r}")
    if not (percent.is_finite() and 0 <= percent <= 100):
        raise click.UsageError(f"{text}: a share is a number from 0 to 100")
    return name, percent


@click.group(help="List, invoke, watch and serve endpoints.")
def endpoints() -> None:
    """Group the commands that list, invoke, watch and serve endpoints."""


@command(help="Every endpoint: its state, variants and split.")
def list_(console: Console) -> None:
    """Run `isthmus endpoints list`: print the state, variants and split of every endpoint."""
    from ...endpoints.operations.verbs import list as listing

    with console.open() as project:
        listed = listing(project)
    rows = []
    for name, state in listed.endpoints.items():
        if state is None:
            rows.append((name, "not there", "", "", f"isthmus deploy {name}"))
            continue
        split = "  ".join(
            f"{v.name} {v.model}@{v.version} {v.percent.normalize():f} %" for v in state.variants
        )
        rows.append((name, state.phase, split, listed.urls.get(name) or "", state.failure or ""))
    console.result(listed, grid(rows, head=("endpoint", "phase", "variants", "url", "")))


@command(
    help="Rank through the gateway: online features, the endpoint, exploration, the exposure log. "
    "REQUEST is JSON, or - for stdin. With --parameter a model is only asked: its predictions in "
    "the candidates' order, and no exposure."
)
@click.argument("endpoint")
@click.argument("request")
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=JSON",
    help="For the model: blend=0.7. May be repeated.",
)
def invoke(console: Console, endpoint: str, request: str, parameters: tuple[str, ...]) -> None:
    """Run `isthmus endpoints invoke`: rank one JSON request through the gateway; print the answer.

    `parameters` are values for the model, as NAME=JSON.
    """
    from ...endpoints.operations.verbs import invoke as ask

    parsed_request = _request(request)
    sent = dict(map(parameter, parameters))
    with console.open() as project:
        console.result(ask(project, endpoint, parsed_request, parameters=sent), raw=True)


def _request(request: str) -> dict[str, object]:
    """Parse a request to an endpoint, a JSON object in the argument or in stdin (`-`)."""
    text = sys.stdin.read() if request == "-" else request
    shape = 'quote it for the shell: \'{"visitor_id": "v1", ...}\''
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"the request is not JSON: {error}", remedy=shape) from None
    if not isinstance(body, dict):
        raise Invalid(f"the request is {_kind(body)}, not an object", remedy=shape)
    return body


@command(
    help="The order that the model gives to REQUEST, and what each rule of ENDPOINT makes of it. "
    "Nothing is drawn, shown or logged. REQUEST is JSON, or - for stdin."
)
@click.argument("endpoint")
@click.argument("request")
def explain(console: Console, endpoint: str, request: str) -> None:
    """Run `isthmus endpoints explain`: print how each rule changes the order for a JSON request."""
    from ...endpoints.operations.verbs import explain as ask

    parsed_request = _request(request)
    with console.open() as project:
        console.result(ask(project, endpoint, parsed_request))


def parameter(text: str) -> tuple[str, object]:
    """Parse the text NAME=JSON; return the name and value of a serving parameter."""
    name, _, value = text.partition("=")
    try:
        parsed: object = json.loads(value)
    except (ValueError, RecursionError):
        name, parsed = "", None
    if not name:
        raise click.UsageError(
            f"""a parameter is NAME=JSON, such as blend=0.7 or mode='"mean"', not {text!r}"""
        )
    return name, parsed


def _kind(value: object) -> str:
    """Return what JSON calls the type of a value (`a list`), for an error message."""
    names = {
        list: "a list",
        str: "a string",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), "null")


@command(help="Requests, errors and latency of each variant, by the minute.")
@click.argument("endpoint")
@click.option("--minutes", default=60, show_default=True, help="How far back.")
def metrics(console: Console, endpoint: str, minutes: int) -> None:
    """Run `isthmus endpoints metrics`: print each variant's requests, errors, latency by minute."""
    from ...endpoints.operations.verbs import metrics as read

    with console.open() as project:
        by_variant = read(project, endpoint, minutes=minutes)
    rows = [
        (
            variant,
            f"{b.start:%H:%M}",
            b.requests,
            b.client_errors,
            b.server_errors,
            round(b.p50_ms, 2),
            round(b.p90_ms, 2),
            round(b.p99_ms, 2),
        )
        for variant, buckets in by_variant.items()
        for b in buckets
    ]
    head = ("variant", "minute", "requests", "4xx", "5xx", "p50 ms", "p90 ms", "p99 ms")
    nothing = f"no request in the last {minutes} whole minutes (one counts when its minute is over)"
    console.result({"items": by_variant}, grid(rows, head=head) if rows else nothing)


@command(
    help="What the shadow variant answered beside those that did: latency, failures, scores, order."
)
@click.argument("endpoint")
@click.option("--days", default=7, show_default=True, type=click.IntRange(1), help="How far back.")
def shadow(console: Console, endpoint: str, days: int) -> None:
    """Run `isthmus endpoints shadow`: compare the shadow variant's answers with the live ones."""
    from ...endpoints.operations.verbs import shadow as shadow_figures

    with console.open() as project:
        console.result(shadow_figures(project, endpoint, days=days))


@command(help="The last lines that the endpoint's processes wrote.")
@click.argument("endpoint")
@click.option("--variant", help="Only this variant.")
@click.option("--limit", default=50, show_default=True)
def logs(console: Console, endpoint: str, variant: str | None, limit: int) -> None:
    """Run `isthmus endpoints logs`: print the last log lines of an endpoint's variants."""
    from ...endpoints.operations.verbs import logs as read

    with console.open() as project:
        pages = read(project, endpoint, variant=variant, limit=limit)
    lines = [f"{name:<12} {line}" for name, page in pages.items() for line in page]
    console.result({"items": pages}, "\n".join(lines) or "nothing was written", raw=True)


@command(
    help="Print a systemd user unit that keeps ENDPOINT of this machine up over restarts. A cloud "
    "does so by itself."
)
@click.argument("endpoint")
def service(console: Console, endpoint: str) -> None:
    """Run `isthmus endpoints service`: print a systemd unit that keeps a local endpoint running."""
    from ...endpoints.operations.verbs import service as described

    with console.open() as project:
        unit = described(project, endpoint)
    console.result(unit, unit.unit, raw=True)


@command(help="Short for `isthmus gateway ENDPOINT`.")
@click.argument("endpoint")
@click.option("--port", default=8800, show_default=True)
def serve(console: Console, endpoint: str, port: int) -> None:
    """Run `isthmus endpoints serve`: serve one endpoint's gateway over HTTP on a port."""
    from .gateway import run

    run(console, (endpoint,), port=port)


for _name, _command in (
    ("list", list_),
    ("invoke", invoke),
    ("metrics", metrics),
    ("logs", logs),
    ("explain", explain),
    ("service", service),
    ("serve", serve),
    ("shadow", shadow),
):
    endpoints.add_command(_command, _name)
