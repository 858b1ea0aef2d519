"""The pages as an ASGI application.

What a page shows is drawn in a thread; of changes of one thing one comes after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from threading import Lock
from typing import Any, final
from urllib.parse import parse_qsl
from weakref import WeakValueDictionary

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from ..core.runtime.project import Project
from ..endpoints.http.asgi_limits import STRANGER
from ..endpoints.http.door import Refusal
from ..endpoints.http.error_log import tell
from ..errors import Invalid, IsthmusError
from ..experiments.design import runs
from ..experiments.simulation.clock import is_simulated
from ..reports import page as kit
from . import access
from .access import UiAccessRules
from .pages import ACTIONS, HOME, PAGES, Action, Page
from .parts import failures, forms, frame
from .parts.frame import PageFrame
from .parts.script import SCRIPT
from .parts.style import SHEET
from .parts.view import PageContent

_LARGEST = 65_536  # bytes of a form
_FIELDS = 200
_THREADS = 8  # pages that are drawn at once: each thread keeps its connections to the target
_JSON = ".json"
Handler = Callable[[Request], Awaitable[Response]]


@final
class Application:
    """The ASGI application of the pages.

    `read`: returns the project as its files are now; it opens nothing new.

    `same`: the options of a command for the same target.
    """

    def __init__(self, read: Callable[[], Project], to: UiAccessRules, *, same: str = "") -> None:
        self._read, self._access, self._same = read, to, same
        self._threads = ThreadPoolExecutor(_THREADS, "page")
        # of changes that are under way, or wait for it
        self._turns: WeakValueDictionary[str, Lock] = WeakValueDictionary()
        self._turning = Lock()
        routes = [
            Route("/", self._home),
            Route("/style.css", partial(_text, SHEET, "text/css")),
            Route("/page.js", partial(_text, SCRIPT, "text/javascript")),
            *(Route(action.path, self._post(action), methods=["POST"]) for action in ACTIONS),
            *(
                Route(page.path + ending, self._get(page, ending))
                for page in PAGES
                for ending in (_JSON, *page.files, "")
            ),
        ]
        handlers: Any = {HTTPException: self._not_here}
        self._inner = Starlette(routes=routes, exception_handlers=handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        answer: Any = self._inner
        stranger = partial(_stranger, self._access.door.users, scope)
        if (
            refused := access.access_refusal(
                self._access, scope["method"], scope["path"], scope["headers"], stranger
            )
        ) is not None:
            answer = self._refusal(scope["path"], refused)
        elif access.comes_from_elsewhere(scope["method"], dict(scope["headers"])):
            answer = self._error_page(
                scope["path"],
                200,
                failures.at_the_door(scope["path"], scope["query_string"].decode("latin-1")),
            )
        await answer(scope, receive, partial(_send_guarded, send))

    async def _home(self, request: Request) -> Response:
        """Redirect the browser from `/` to the first page.

        The URL may contain the generated token as a password. The redirect drops it, as browsers
        let a page with a password in its URL fetch nothing.
        """
        where = f"http://{request.headers['host']}{HOME}" if self._access.drawn else HOME
        return RedirectResponse(where, status_code=307)

    def _get(self, page: Page, ending: str) -> Handler:
        """Return the request handler that draws a page, as HTML, JSON or a file by its `ending`."""

        async def answer(request: Request) -> Response:
            return await self._in_thread(self._draw, page, ending, request)

        return answer

    def _in_thread(
        self, function: Callable[..., Response], *arguments: Any
    ) -> asyncio.Future[Response]:
        """Run a blocking function in the thread pool; return its result as an asyncio future."""
        return asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    def _draw(self, page: Page, ending: str, request: Request) -> Response:
        """Draw a page as HTML, JSON or a file by its `ending`; an error becomes an error page."""
        typed = request.query_params  # boxes of one name, of which several are ticked
        query = {name: " ".join(typed.getlist(name)) for name in typed} | request.path_params
        try:
            project = self._read()
            view: PageContent = _function(page.draw)(project, query)
            if ending == _JSON:
                return _json(view.data)
            return (
                _download(view, ending, request.url.path)
                if ending
                else self._page(view, request, project)
            )
        except Exception as error:  # noqa: BLE001  whoever asked must hear, and the pages go on
            return self._failure(error, request.url.path)

    def _page(self, view: PageContent, request: Request, project: Project) -> Response:
        """Return a page as an HTML response, with navigation, footer and session cookie."""
        cookie = request.cookies.get(access.COOKIE) or access.new_cookie()
        around = PageFrame(
            project=project.spec.name,
            target=project.target.name,
            links=[(page.title, page.path) for page in PAGES if page.title],
            here=_section(request.url.path),
            foot=_foot(project),
            data=f"{request.url.path}{_JSON}"
            + (f"?{request.url.query}" if request.url.query else ""),
            token=access.token(self._access, cookie),
            write=self._access.write,
            same=self._same,
        )
        response = Response(frame.html(view, around), media_type="text/html")
        if access.COOKIE not in request.cookies:
            response.set_cookie(access.COOKIE, cookie, samesite="strict", httponly=True)
        return response

    def _post(self, action: Action) -> Handler:
        """Return the request handler of a form; it checks the form's anti-forgery token first."""

        async def answer(request: Request) -> Response:
            try:
                fields = await _fields(request)
            except ValueError as error:
                return self._refusal(request.url.path, Refusal(400, "BadRequest", str(error)))
            if not access.is_ours(
                self._access, request.cookies.get(access.COOKIE, ""), fields.pop(forms.TOKEN, "")
            ):
                words = (
                    "this form is not from a page of this server as it runs now: open the page "
                    "again, then send it"
                )
                return self._refusal(request.url.path, Refusal(403, "Forbidden", words))
            return await self._in_thread(self._act, action, request, fields)

        return answer

    def _act(self, action: Action, request: Request, fields: Mapping[str, str]) -> Response:
        """Make the change that a form asks for; redirect the browser to the page that shows it."""
        name = access.who(self._access, dict(request.scope["headers"]))
        try:
            with self._turn(action.turn or request.url.path), runs.acting(name):
                where = _function(action.act)(self._read(), {**fields, **request.path_params})
        except Exception as error:  # noqa: BLE001  whoever asked must hear, and the pages go on
            return self._failure(error, request.url.path)
        return RedirectResponse(where, status_code=303)

    def _turn(self, name: str) -> Lock:
        """Return the lock by which changes of one kind (`name`) run one at a time."""
        with self._turning:
            return self._turns.setdefault(name, Lock())

    def _failure(self, error: Exception, path: str) -> Response:
        """Return the error page for an exception that was raised while a page was drawn."""
        if not isinstance(error, IsthmusError):
            tell("a page failed", error)
        return self._error_page(path, failures.status(error), failures.view(error))

    def _refusal(self, path: str, refused: Refusal) -> Response:
        """Return the page that says why a request is refused, with the refusal's HTTP status."""
        response = self._error_page(path, refused.status, failures.refusal_view(refused))
        if refused.status == 401:
            response.headers["www-authenticate"] = (
                'Basic realm="isthmus: the password is ISTHMUS_TOKEN", charset="UTF-8"'
            )
        return response

    def _error_page(self, path: str, status: int, view: PageContent) -> Response:
        """Return an error page: a page in a frame without any of the project's data."""
        if path.endswith(_JSON):
            return _json(view.data, status)
        links = [(page.title, page.path) for page in PAGES if page.title]
        around = PageFrame(
            project="Isthmus",
            target="",
            links=links,
            here=_section(path),
            foot="",
            data="",
            write=self._access.write,
        )
        return Response(frame.html(view, around), status, media_type="text/html")

    async def _not_here(self, request: Request, error: Exception) -> Response:
        """Return the error page for an unknown path, or a method that a path does not accept."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        words = (
            f"{request.url.path} takes no {request.method}"
            if status == 405
            else f"there is no page {request.url.path}"
        )
        return self._refusal(
            request.url.path,
            Refusal(status, "NotFound" if status == 404 else "MethodNotAllowed", words),
        )


def _stranger(users: frozenset[int] | None, scope: Scope) -> Refusal | None:
    """Return why the Unix user who owns a connection is refused; None if the user is allowed.

    `users` are those who are allowed. A test's client has no owner, and is allowed.
    """
    ask = scope.get("extensions", {}).get(STRANGER)
    return ask(users) if ask is not None else None


async def _text(text: str, kind: str, _request: Request) -> Response:
    """Return a fixed text as an HTTP response, such as the style sheet, of media type `kind`."""
    return Response(text, media_type=kind)


def _json(data: object, status: int = 200) -> Response:
    """Return an HTTP response with a value as indented JSON."""
    return Response(
        msgspec.json.format(msgspec.json.encode(data), indent=2),
        status,
        media_type="application/json",
    )


def _download(view: PageContent, ending: str, path: str) -> Response:
    """Return an HTTP response that downloads a file of a page, such as a diff.

    `ending` is the file's extension, `path` the page's.

    Raises:
        Invalid: The page has no such file, and says why.
    """
    if ending not in view.files:
        raise Invalid("there is no such file", remedy="the page says why")
    name = "".join(
        letter
        for letter in path.rpartition("/")[2]
        if letter.isascii() and (letter.isalnum() or letter in "._-")
    )
    return Response(
        view.files[ending],
        media_type="text/plain",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


def _foot(project: Project) -> str:
    """Return the text of a page's footer: the project's time and the target."""
    clock = ", simulated clock" if is_simulated(project) else ""
    return kit.footer(project.log_time(), f"{project.target.name}{clock}")


def _section(path: str) -> str:
    """Return the path of the navigation link to highlight for a page's path, or "" for none."""
    places = [
        page.path
        for page in PAGES
        if page.title and (path == page.path or path.startswith(f"{page.path}/"))
    ]
    return max(places, key=len, default="")


def _function(named: str) -> Callable[..., Any]:
    """Import the function of ui/pages that draws a page or makes a change, by `module:function`."""
    module, _, name = named.partition(":")
    function: Callable[..., Any] = getattr(import_module(f"{__package__}.pages.{module}"), name)
    return function


async def _fields(request: Request) -> dict[str, str]:
    """Return the fields of a submitted HTML form by their names.

    Raises:
        ValueError: The body is too large, or is no form.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST:
            raise ValueError(f"the form has more than {_LARGEST:,} bytes")
    pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_FIELDS)
    if len(dict(pairs)) != len(pairs):
        raise ValueError("the form has a field twice")
    return {name: value.replace("\r\n", "\n") for name, value in pairs}


async def _send_guarded(send: Send, message: Message) -> None:
    """Send an ASGI message, with the security headers added to a response's start."""
    if message["type"] == "http.response.start":
        message["headers"] = [
            *message["headers"],
            *((name.encode(), value.encode()) for name, value in access.HEADERS.items()),
        ]
    await send(message)
