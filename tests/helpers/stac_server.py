"""A small STAC API on this machine: items that tests give it, asked by area, time and page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import shapely

from tests.helpers.local_server import serving

CONFORMS = (
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/item-search",
)


@dataclass
class StacServer:
    """What the catalogue holds, what it does wrong, and what it was asked."""

    url: str = ""
    items: list[dict[str, Any]] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    """Refusals to come first."""
    body: bytes | None = None
    """What it answers to everything, whatever was asked."""
    asked: list[dict[str, Any]] = field(default_factory=list)


def _answer(state: StacServer, path: str, question: dict[str, Any]) -> dict[str, Any] | None:
    def link(relation: str, tail: str, **more: Any) -> dict[str, Any]:
        return {"rel": relation, "href": state.url + tail, "type": "application/json", **more}

    collections = sorted({item["collection"] for item in state.items})
    described = [
        {
            "type": "Collection",
            "stac_version": "1.0.0",
            "id": name,
            "description": name,
            "license": "proprietary",
            "extent": {
                "spatial": {"bbox": [[-180, -90, 180, 90]]},
                "temporal": {"interval": [["2014-01-01T00:00:00Z", None]]},
            },
            "links": [],
        }
        for name in collections
    ]
    if path == "/":
        return {
            "type": "Catalog",
            "stac_version": "1.0.0",
            "id": "local",
            "description": "local",
            "conformsTo": list(CONFORMS),
            "links": [
                link("self", "/"),
                link("root", "/"),
                link("data", "/collections"),
                link("search", "/search", method="POST"),
                link("search", "/search", method="GET"),
            ],
        }
    if path == "/collections":
        return {"collections": described, "links": []}
    if path != "/search":
        return None
    state.asked.append(question)
    first, last = question["datetime"].split("/")
    wanted = shapely.from_geojson(json.dumps(question["intersects"]))
    hits = [
        item
        for item in state.items
        if item["collection"] in question["collections"]
        and first <= item["properties"]["datetime"] <= last
        and shapely.from_geojson(json.dumps(item["geometry"])).intersects(wanted)
    ]
    begin, size = int(question.get("token", 0)), question["limit"]
    more = {**question, "token": begin + size}
    links = [link("next", "/search", method="POST", body=more)]
    return {
        "type": "FeatureCollection",
        "features": hits[begin : begin + size],
        "links": links if begin + size < len(hits) else [],
    }


@contextmanager
def stac_server(*items: dict[str, Any]) -> Iterator[StacServer]:
    """Serve items as a STAC API on 127.0.0.1 while the block runs."""
    state = StacServer(items=list(items))

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            self.reply({})

        def do_POST(self) -> None:
            self.reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def reply(self, question: dict[str, Any]) -> None:
            status, content = 200, state.body
            if state.status:
                status, content = state.status.pop(0), b"{}"
            elif content is None:
                found = _answer(state, self.path.partition("?")[0], question)
                status, content = (
                    (404, b"{}") if found is None else (200, json.dumps(found).encode())
                )
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with serving(Handler) as state.url:
        yield state


def radar_item(
    name: str,
    time: str,
    outline: shapely.Polygon,
    assets: dict[str, str],
    *,
    collection: str = "sentinel-1-rtc",
    product: str = "RTC",
    orbit: int = 90,
    direction: str = "descending",
    mode: str = "IW",
    **more: Any,
) -> dict[str, Any]:
    """Return a Sentinel-1 item in the form of the Planetary Computer."""
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": name,
        "collection": collection,
        "geometry": shapely.geometry.mapping(outline),
        "bbox": list(outline.bounds),
        "links": [],
        "properties": {
            "datetime": time,
            "start_datetime": time,
            "end_datetime": time,
            "platform": f"SENTINEL-{name[1:3]}",
            "constellation": "Sentinel-1",
            "sar:instrument_mode": mode,
            "sar:product_type": product,
            "sar:polarizations": [key.upper() for key in assets],
            "sat:orbit_state": direction,
            "sat:relative_orbit": orbit,
            **more,
        },
        "assets": {key: {"href": href, "roles": ["data"]} for key, href in assets.items()},
    }
