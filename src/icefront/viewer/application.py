"""The web application of the viewer: which address answers what, and to whom.

Nobody but the page may ask: every request states the token of this server and its own host, so that
neither another site in the same browser nor a name that leads here by a trick of DNS gets an
answer. What is answered are data, files of the page and pictures made here, never a file that a
request names.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qs

import shapely
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from icefront.errors import IcefrontError, failure
from icefront.projects.corrections import ConflictError
from icefront.projects.review import VerdictConflictError
from icefront.text import printable
from icefront.viewer.open_project import OpenGlacier, OpenProject, UnknownError
from icefront.viewer.tiles import EMPTY_PNG, grey_png, picture_tile, zones_png, zones_tile
from icefront.viewer.whole_numbers import WholeNumber

PAGE = Path(__file__).parent / "page"
"""The page: HTML, scripts, styles and libraries."""

TOKEN_HEADER = "x-icefront-token"

LARGEST_BODY = 1 << 20
"""Bytes of a request."""

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
    ".json": "application/json",
    ".map": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
}
"""Of the files of the page; others are not served."""

_ALWAYS = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}

_KEEP = {"cache-control": "private, max-age=31536000, immutable"}
_ASK_AGAIN = {"cache-control": "no-store"}

LONGEST_WAIT_S = 300.0
"""For the picture of a scene."""

_MOST_VERTICES = 20_000
_FARTHEST_M = 1e8
"""From the origin of any map."""

_Body = TypeVar("_Body", bound=BaseModel)

_log = logging.getLogger(__name__)

register_url_convertor("whole", WholeNumber())


def make_application(
    project: OpenProject, token: str, hosts: Iterable[str], page: Path = PAGE
) -> ASGIApp:
    """Return the web application of a project.

    Parameters
    ----------
    project : OpenProject
    token : str
        Which every request must state.
    hosts : iterable of str
        Names and ports by which the server may be called, such as ``127.0.0.1:8000``.
    page : Path
        Folder with the files of the page.
    """
    answers = _Answers(project, token, page.resolve())
    routes = [
        Route("/", answers.index),
        Route("/assets/{token}/{path:path}", answers.asset),
        Route("/api/project", answers.project),
        Route("/api/glaciers/{number:int}", answers.glacier),
        Route("/api/glaciers/{number:int}/curve", answers.curve),
        Route("/api/glaciers/{number:int}/walls", answers.walls),
        Route("/api/glaciers/{number:int}/fronts.geojson", answers.geojson),
        Route("/api/tiles/{scene:int}/{v}/{z:int}/{x:whole}/{y:whole}.png", answers.picture),
        Route("/api/zones/{scene:int}/{v}/{z:int}/{x:whole}/{y:whole}.png", answers.zones),
        Route("/api/corrections", answers.correct, methods=["POST"]),
        Route("/api/corrections/{number:int}/undo", answers.take_back, methods=["POST"]),
        Route("/api/verdicts", answers.judge, methods=["POST"]),
    ]
    application = Starlette(
        routes=routes,
        exception_handlers={
            HTTPException: _on_http_error,
            IcefrontError: _on_refusal,
            Exception: _on_bug,
        },
    )
    application.router.redirect_slashes = False
    return Guard(application, token, frozenset(hosts))


class Guard:
    """Lets requests through that state the token and the right host, and bounds their bodies."""

    def __init__(self, application: ASGIApp, token: str, hosts: frozenset[str]) -> None:
        self.application, self.token, self.hosts = application, token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self.application(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in _ALWAYS.items()]
                message["headers"] = [*message.get("headers", ()), *own]
            await send(message)

        refused = self._refusal(scope)
        if refused is not None:
            await refused(scope, receive, send_with_headers)
            return
        try:
            await self.application(scope, _bounded(receive), send_with_headers)
        except Exception:  # a bug, of which the page was told: the server goes on
            _log.exception("A request failed.")

    def _refusal(self, scope: Scope) -> Response | None:
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        if headers.get("host", []) not in [[host] for host in self.hosts]:
            return _error(400, "This server answers under its own address only.")
        if not self._has_token(scope, headers):
            return _error(403, "The token is missing or wrong: open the address that was printed.")
        origins = {f"http://{host}" for host in self.hosts}
        if scope["method"] not in ("GET", "HEAD") and not origins.issuperset(
            headers.get("origin", [])
        ):
            return _error(403, "Another site may not change this project.")
        return None

    def _has_token(self, scope: Scope, headers: dict[str, list[str]]) -> bool:
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        stated = [*headers.get(TOKEN_HEADER, []), *query.get("token", [])]
        first, _, rest = scope["path"].removeprefix("/").partition("/")
        if first == "assets":
            stated.append(rest.partition("/")[0])
        own = self.token.encode()
        return any(secrets.compare_digest(one.encode(), own) for one in stated)


def _bounded(receive: Receive) -> Receive:
    """Refuse a body that is larger than any that the page sends."""
    total = 0

    async def bounded() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > LARGEST_BODY:
            raise HTTPException(413, "The request is larger than 1 MB.")
        return message

    return bounded


# --- what is sent ---------------------------------------------------------------------------


class _Sent(BaseModel):
    """A request: unknown keys and other types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    person: str | None = Field(None, max_length=200)

    def who(self) -> str | None:
        """Return the name of the person, fit to be shown, or None."""
        return _plain_line(self.person)


class SentUndo(_Sent):
    """A correction is to be taken back."""

    seen: str = Field(max_length=100)


class SentLine(BaseModel):
    """A line as GeoJSON."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    type: Literal["LineString", "MultiLineString"]
    coordinates: list[Any]

    def line(self) -> BaseGeometry:
        """Return the line.

        Raises
        ------
        IcefrontError
            If it is none.
        """
        parts = [self.coordinates] if self.type == "LineString" else self.coordinates
        try:
            places = [[(float(x), float(y)) for x, y in part] for part in parts]
            line = shapely.multilinestrings([shapely.linestrings(part) for part in places])
        except (TypeError, ValueError, ShapelyError):
            raise IcefrontError("The line is no list of places of two numbers each.") from None
        count = shapely.get_num_coordinates(line)
        if not 0 < count <= _MOST_VERTICES:
            raise IcefrontError(f"The line has no vertices, or more than {_MOST_VERTICES}.")
        if not (abs(shapely.get_coordinates(line)) < _FARTHEST_M).all():
            raise IcefrontError("The line lies far from any place on the map.")
        if any(part.length == 0 for part in line.geoms) or not shapely.is_valid(line):
            raise IcefrontError("The line has no length: draw it from wall to wall of the fjord.")
        return line.geoms[0] if len(places) == 1 else line


class SentCorrection(SentUndo):
    """A front that a person drew."""

    scene: int
    line: SentLine


class SentVerdict(_Sent):
    """What a person says of a scene."""

    scene: int
    seen: int
    verdict: Literal["accepted", "rejected"] | None
    remarks: list[str] = Field([], max_length=10)
    note: str | None = Field(None, max_length=5000)


def _plain_line(text: str | None) -> str | None:
    return (printable(" ".join((text or "").split())) or None) if text else None


async def _sent(request: Request, kind: type[_Body]) -> _Body:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "Send JSON.")
    try:
        return kind.model_validate_json(await request.body())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the request"
        raise HTTPException(422, f"{place}: {first['msg']}.") from None


# --- what is answered -----------------------------------------------------------------------


class _Answers:
    """The answers to the requests that were let through."""

    def __init__(self, project: OpenProject, token: str, page: Path) -> None:
        self.open, self.token, self.page = project, token, page

    async def index(self, request: Request) -> Response:
        path = self.page / "index.html"
        if not path.is_file():
            raise HTTPException(404, "The page is not installed.")
        text = path.read_text("utf-8")
        text = text.replace("{{assets}}", f"/assets/{self.token}").replace("{{data}}", "")
        return Response(text, media_type=MEDIA_TYPES[".html"], headers=_ASK_AGAIN)

    async def asset(self, request: Request) -> Response:
        path = _page_file(self.page, request.path_params["path"])
        if path is None:
            raise HTTPException(404, "There is no such file of the page.")
        content = await run_in_threadpool(path.read_bytes)
        headers = {"cache-control": "no-cache"}
        return Response(content, media_type=MEDIA_TYPES[path.suffix], headers=headers)

    async def project(self, request: Request) -> Response:
        return await _json_of(self.open.project_answer)

    async def glacier(self, request: Request) -> Response:
        return await _json_of(partial(self.open.glacier_answer, request.path_params["number"]))

    async def curve(self, request: Request) -> Response:
        return await _json_of(partial(self.open.curve_answer, request.path_params["number"]))

    async def walls(self, request: Request) -> Response:
        return await _json_of(partial(self.open.walls_answer, request.path_params["number"]))

    async def geojson(self, request: Request) -> Response:
        number = request.path_params["number"]
        try:
            scenes = [int(text) for text in request.query_params.getlist("scene")]
        except ValueError:
            raise HTTPException(422, "scene is no number.") from None
        text = await run_in_threadpool(self.open.geojson, number, scenes)
        named = {"content-disposition": f'attachment; filename="fronts-{number}.geojson"'}
        return Response(text, media_type="application/geo+json", headers=_ASK_AGAIN | named)

    async def picture(self, request: Request) -> Response:
        tile = _tile_of(request)
        glacier, made = await run_in_threadpool(self.open.picture, tile["scene"])
        try:
            # No thread waits: those that answer other requests are few.
            path = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(made)), LONGEST_WAIT_S)
        except TimeoutError:
            raise HTTPException(503, "The picture is still being made: ask again.") from None
        except IcefrontError as error:
            raise HTTPException(404, str(error)) from None
        return await run_in_threadpool(self._picture, glacier, path, **tile)

    def _picture(
        self, glacier: OpenGlacier, path: Path, scene: int, z: int, x: int, y: int
    ) -> Response:
        tile = picture_tile(path, glacier.tiles.bounds(z, x, y))
        self.open.pictures_beside(scene)
        return _png(grey_png(tile) if tile.any() else EMPTY_PNG)

    async def zones(self, request: Request) -> Response:
        return await run_in_threadpool(self._zones, **_tile_of(request))

    def _zones(self, scene: int, z: int, x: int, y: int) -> Response:
        glacier, path = self.open.zones(scene)
        tile = zones_tile(path, glacier.tiles.bounds(z, x, y), glacier.crs)
        return _png(zones_png(tile) if tile.any() else EMPTY_PNG)

    async def correct(self, request: Request) -> Response:
        sent = await _sent(request, SentCorrection)
        line = sent.line.line()
        change = partial(self.open.correct, sent.scene, line, seen=sent.seen, person=sent.who())
        return await self._change(change)

    async def take_back(self, request: Request) -> Response:
        sent = await _sent(request, SentUndo)
        number = request.path_params["number"]
        return await self._change(
            partial(self.open.take_back, number, seen=sent.seen, person=sent.who())
        )

    async def _change(self, change: Callable[[], Any]) -> Response:
        try:
            return await _json_of(change)
        except ConflictError as error:
            body = await run_in_threadpool(self._conflict, error)
            return _json({"error": str(error), "person": error.person, **body}, 409)

    def _conflict(self, error: ConflictError) -> dict[str, Any]:
        number = self.open.number_of(error.glacier)
        answer = self.open.glacier_answer(number)
        return {"revision": answer["revision"], "glacier": answer}

    async def judge(self, request: Request) -> Response:
        sent = await _sent(request, SentVerdict)
        change = partial(
            self.open.judge,
            sent.scene,
            sent.verdict,
            remarks=sent.remarks,
            note=printable(sent.note.strip()) if sent.note else None,
            person=sent.who(),
            seen=sent.seen,
        )
        try:
            return await _json_of(change)
        except VerdictConflictError as error:
            body = await run_in_threadpool(self.open.scene_answer, sent.scene)
            return _json({"error": str(error), **body}, 409)


def _page_file(page: Path, name: str) -> Path | None:
    """Return a file of the page, or None for anything else."""
    if "\\" in name or "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        return None
    path = (page / name).resolve()
    fit = path.is_relative_to(page) and path.suffix in MEDIA_TYPES and path.is_file()
    return path if fit else None


def _tile_of(request: Request) -> dict[str, int]:
    return {name: request.path_params[name] for name in ("scene", "z", "x", "y")}


def _png(content: bytes) -> Response:
    return Response(content, media_type="image/png", headers=_KEEP)


async def _json_of(compute: Callable[[], Any]) -> Response:
    """Compute an answer in another thread and write it as JSON there."""
    return await run_in_threadpool(lambda: _json(compute()))


def _json(content: Any, status: int = 200) -> Response:
    text = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return Response(text, status, media_type="application/json", headers=_ASK_AGAIN)


def _error(status: int, message: str) -> Response:
    return _json({"error": message}, status)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, str(error.detail))


async def _on_refusal(request: Request, error: Exception) -> Response:
    return _error(404 if isinstance(error, UnknownError) else 422, str(error))


async def _on_bug(request: Request, error: Exception) -> Response:
    return _error(500, failure("The request", error))
