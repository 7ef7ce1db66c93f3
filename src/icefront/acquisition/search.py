"""Which scenes of an area a catalogue has, and the recipe from which they are fetched.

The catalogue is asked for a collection, an area and a time; everything else is filtered here, so
that it can be said which filter left nothing, whatever a catalogue can filter by itself.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import shapely

from icefront import __version__
from icefront.acquisition.areas import Area
from icefront.acquisition.catalogues import (
    COLLECTION_WORDS,
    PRODUCT_NAMES,
    Catalogue,
    Product,
    catalogue_of,
)
from icefront.acquisition.items import POLARISATIONS, Item, Pass, passes_of, read_item
from icefront.errors import IcefrontError
from icefront.files.atomic import writing
from icefront.progress import steps

if TYPE_CHECKING:
    from pystac_client import Client

PAGE = 250
"""Items that the catalogue is asked for at a time."""

MOST_ITEMS = 20_000
"""More are not looked at: the question was too wide."""

TIMEOUT_S = 60.0
TRIES = 5
PAUSE_S = 0.5
"""The first wait after a refusal; it doubles each time, unless the server says how long."""


@dataclass(frozen=True)
class Filters:
    """Which scenes count.

    Attributes
    ----------
    months : tuple of int
        1 to 12; empty for all.
    direction : "ascending", "descending" or None
    relative_orbits : tuple of int
        Empty for all.
    polarisation : str or None
        HH, HV, VV or VH that a scene must have.
    mode : str or None
        IW, EW, …
    max_cloud_percent : float or None
        Of a Sentinel-2 image as a whole.
    min_covered : float
        Fraction of the area that a pass must cover by its outlines.
    """

    months: tuple[int, ...] = ()
    direction: Literal["ascending", "descending"] | None = None
    relative_orbits: tuple[int, ...] = ()
    polarisation: str | None = None
    mode: str | None = None
    max_cloud_percent: float | None = None
    min_covered: float = 0.0

    def __post_init__(self) -> None:
        if any(not 1 <= month <= 12 for month in self.months):
            raise IcefrontError("Months are numbers from 1 to 12: give such as 6,7,8.")
        if self.direction not in (None, "ascending", "descending"):
            raise IcefrontError(
                f"The direction {self.direction!r} is unknown: give ascending or descending."
            )
        if any(not 1 <= orbit <= 175 for orbit in self.relative_orbits):
            raise IcefrontError("Relative orbits are numbers from 1 to 175: give such as 90,127.")
        if self.polarisation is not None and self.polarisation not in POLARISATIONS:
            raise IcefrontError(
                f"The polarisation {self.polarisation!r} is unknown: give one of "
                f"{', '.join(POLARISATIONS)}."
            )
        if not 0 <= self.min_covered <= 1:
            raise IcefrontError(
                f"The least covered fraction of the area lies from 0 to 1, not at "
                f"{self.min_covered:g}: change --min-covered."
            )
        if self.max_cloud_percent is not None and not 0 <= self.max_cloud_percent <= 100:
            raise IcefrontError(
                f"The most cloud lies from 0 to 100 percent, not at {self.max_cloud_percent:g}: "
                "change --max-cloud."
            )

    def of_items(self) -> Iterator[tuple[str, Any]]:
        """Yield the filters of single images: their names and what they let pass."""
        if self.months:
            named = ",".join(str(month) for month in self.months)
            yield f"--months {named}", lambda item: item.start.month in self.months
        if self.mode is not None:
            yield f"--mode {self.mode}", lambda item: item.mode == self.mode
        if self.direction is not None:
            yield f"--direction {self.direction}", lambda item: item.direction == self.direction
        if self.relative_orbits:
            named = ",".join(str(orbit) for orbit in self.relative_orbits)
            yield f"--orbit {named}", lambda item: item.relative_orbit in self.relative_orbits
        if self.polarisation is not None:
            yield (
                f"--polarisation {self.polarisation}",
                lambda item: self.polarisation in item.images,
            )
        if self.max_cloud_percent is not None:
            most = self.max_cloud_percent
            yield (
                f"--max-cloud {most:g}",
                lambda item: item.cloud_percent is not None and item.cloud_percent <= most,
            )


@dataclass(frozen=True)
class Found:
    """What a search found, and the recipe for fetching it.

    Attributes
    ----------
    area : Area
    catalogue : Catalogue
    product : str
    passes : tuple of Pass
        In the order of time.
    notes : tuple of str
        What was decided or left out, a sentence each.
    asked : dict
        The question, as kept in the recipe.
    """

    area: Area
    catalogue: Catalogue
    product: Product
    passes: tuple[Pass, ...]
    notes: tuple[str, ...] = ()
    asked: dict[str, Any] = field(default_factory=dict)

    @property
    def items(self) -> list[Item]:
        """All images, pass after pass."""
        return [item for one in self.passes for item in one.items]

    def save(self, path: Path) -> None:
        """Write the recipe: a STAC ItemCollection, with the area and the catalogue beside."""
        content = {
            "type": "FeatureCollection",
            "icefront": {
                "software": f"icefront {__version__}",
                "area": self.area.to_json(),
                "catalogue": self.catalogue.to_json(),
                "asked": self.asked,
            },
            "features": [item.raw for item in self.items],
        }
        with writing(path, remedy="name another file with --save") as part:
            part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


@dataclass(frozen=True)
class Recipe:
    """What `Found.save` wrote and people may have edited.

    Attributes
    ----------
    area : Area
    catalogue : Catalogue
    passes : tuple of Pass
    """

    area: Area
    catalogue: Catalogue
    passes: tuple[Pass, ...]


def read_recipe_of_scenes(path: Path) -> Recipe:
    """Read a recipe for fetching scenes.

    Raises
    ------
    IcefrontError
        If it is missing, is no ItemCollection with an area and a catalogue, or has no scenes.
    """
    if not path.exists():
        raise IcefrontError(f"{path} does not exist: make it with icefront search --save.")
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise IcefrontError(f"{path} is no JSON: make it with icefront search --save.") from error
    about = content.get("icefront") if isinstance(content, dict) else None
    raws = content.get("features") if isinstance(content, dict) else None
    if not isinstance(about, dict) or not isinstance(raws, list):
        raise IcefrontError(
            f"{path} is no list of scenes with their area: make it with icefront search --save."
        )
    try:
        area, catalogue = Area.from_json(about.get("area")), catalogue_of(about.get("catalogue"))
        items = [read_item(raw) for raw in raws]
    except IcefrontError as error:
        raise IcefrontError(f"{path}: {error}") from error
    if not items:
        raise IcefrontError(f"{path} has no scene: search again with other filters.")
    return Recipe(area, catalogue, tuple(passes_of(items, area)))


def search(
    area: Area,
    start: dt.date,
    end: dt.date,
    *,
    catalogue: Catalogue,
    product: Product | None = None,
    collection: str | None = None,
    filters: Filters | None = None,
    max_items: int = MOST_ITEMS,
    progress: bool = True,
) -> Found:
    """Ask a catalogue for the scenes of an area.

    Parameters
    ----------
    area : Area
    start, end : date
        The first and the last day.
    catalogue : Catalogue
    product : str, optional
        ``rtc``, ``grd`` or ``s2``; by default the first of these that the catalogue has.
    collection : str, optional
        Identifier of the collection, where the catalogue calls it something else.
    filters : Filters, optional
    max_items : int
        The most images that are looked at.
    progress : bool

    Returns
    -------
    Found
        With at least one pass.

    Raises
    ------
    IcefrontError
        If the catalogue does not answer, is none, or lacks the collection; if nothing is found, and
        then which filter left nothing.
    """
    if end < start:
        raise IcefrontError(f"The end {end} lies before the start {start}: swap them.")
    filters = filters or Filters()
    with _explained(catalogue):
        client = _client(catalogue)
        product, collection = _collection(client, catalogue, product, collection)
        items, notes, seen = _ask(client, area, start, end, collection, max_items, progress)
    items = [item for item in items if item.product == product]
    where = f"{PRODUCT_NAMES[product]} over {area.name} from {start} to {end}"
    if seen > len(items):
        notes.append(f"{seen - len(items)} of {seen} items are no {PRODUCT_NAMES[product]}.")
    if not items:
        raise IcefrontError(
            f"{catalogue.title} has no {where}: try other dates, another --product or another "
            "--catalogue."
        )
    steps_taken = [f"{len(items)} images of {where}"]
    for name, passing in filters.of_items():
        items = [item for item in items if passing(item)]
        steps_taken.append(f"{len(items)} after {name}")
        if not items:
            raise _nothing(steps_taken, name)
    passes = passes_of(items, area)
    least = max(filters.min_covered, 1e-9)
    covering = [one for one in passes if one.covered >= least]
    if not covering:
        most = max(one.covered for one in passes)
        steps_taken.append(f"the best of {len(passes)} passes covers {most:.0%} of the area")
        raise _nothing(steps_taken, f"--min-covered {filters.min_covered:g}")
    if product in catalogue.accounts:
        notes.append(catalogue.accounts[product])
    asked = {
        "start": str(start),
        "end": str(end),
        "product": product,
        "collection": collection,
        "filters": [name for name, _ in filters.of_items()],
    }
    return Found(area, catalogue, product, tuple(covering), tuple(notes), asked)


def _nothing(steps_taken: Sequence[str], name: str) -> IcefrontError:
    return IcefrontError(f"No scene is left by {name} ({', '.join(steps_taken)}): loosen it.")


@contextmanager
def _explained(catalogue: Catalogue) -> Iterator[None]:
    """Turn what the libraries raise where a catalogue does not answer into one sentence."""
    try:
        yield
    except IcefrontError:
        raise
    except Exception as error:
        sentence = _sentence(catalogue, error)
        if sentence is None:
            raise
        raise IcefrontError(sentence) from error


def _sentence(catalogue: Catalogue, error: Exception) -> str | None:
    """Say why a catalogue gave no answer; None for what is no failure of an answer."""
    from pystac import STACError, STACTypeError
    from pystac_client.errors import ClientTypeError
    from pystac_client.exceptions import APIError
    from requests.exceptions import JSONDecodeError, RequestException

    url, name = catalogue.url, catalogue.title
    root = "give the root of a STAC API"
    status = getattr(error, "status_code", None)
    if isinstance(error, APIError) and status is not None:
        if status in (401, 403):
            return f"{name} refuses the question (HTTP {status}): look at its page for an account."
        if status in (404, 405):
            return f"{url} is no catalogue (HTTP {status}): {root}."
        reason = " ".join(str(error).split())[:200]
        return (
            f"{name} fails on the question (HTTP {status}: {reason}): try later, or ask for less."
        )
    broken = isinstance(error, JSONDecodeError)
    network = any(isinstance(one, RequestException) for one in (error, error.__context__))
    if network and not broken:
        return (
            f"{name} at {url} cannot be reached ({_reason(error)}): check the connection, or name "
            "another --catalogue."
        )
    answers = (STACError, STACTypeError, ClientTypeError, APIError)
    if broken or isinstance(error, (*answers, ValueError, KeyError, TypeError, AttributeError)):
        return f"{url} is no catalogue, since it answers with something else than STAC: {root}."
    return None


def _reason(error: BaseException) -> str:
    """Return the innermost reason that libraries wrapped, in a few words."""
    text = " ".join(str(error).split())
    for words, said in (
        ("Name or service not known", "there is no such host"),
        ("nodename nor servname", "there is no such host"),
        ("Temporary failure in name resolution", "there is no network, or no such host"),
        ("Connection refused", "the connection was refused"),
        ("timed out", "no answer in time"),
        ("too many 429", "too many requests"),
        ("too many 50", "trouble in the server"),
        ("Network is unreachable", "there is no network"),
        ("Connection reset", "the connection broke off"),
        ("Connection aborted", "the connection broke off"),
        ("CERTIFICATE", "its certificate is not trusted"),
    ):
        if words in text:
            return said
    return text[:120] or type(error).__name__


def _client(catalogue: Catalogue) -> Client:
    try:
        from pystac_client import Client
        from pystac_client.stac_api_io import StacApiIO
        from pystac_client.warnings import PystacClientWarning
        from urllib3 import Retry
    except ImportError as error:
        raise IcefrontError(
            "Searching needs pystac-client: install it with pip install 'icefront[acquire]'."
        ) from error
    patient = Retry(
        TRIES,
        backoff_factor=PAUSE_S,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=None,
        respect_retry_after_header=True,
    )
    talk = StacApiIO(
        headers={"User-Agent": f"icefront/{__version__}"}, timeout=TIMEOUT_S, max_retries=patient
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PystacClientWarning)
        client = Client.open(catalogue.url, stac_io=talk)
    if not client.conforms_to("ITEM_SEARCH"):
        raise IcefrontError(
            f"{catalogue.url} is a catalogue that cannot be searched: give the root of a STAC API."
        )
    return client


def _collection(
    client: Client, catalogue: Catalogue, product: Product | None, collection: str | None
) -> tuple[Product, str]:
    """Choose the product and the collection that holds it."""
    wanted: tuple[Product, ...] = ("rtc", "grd") if product is None else (product,)
    if collection is not None:
        chosen = product
        if chosen is None:
            words = ((one, word) for one in COLLECTION_WORDS for word in COLLECTION_WORDS[one])
            chosen = next((one for one, word in words if collection.lower() == word), None)
        if chosen is None:
            raise IcefrontError(
                f"What the collection {collection} holds is not known: say it with --product."
            )
        return chosen, collection
    for one in wanted:
        if one in catalogue.collections:
            return one, catalogue.collections[one]
    if catalogue.collections:
        has = ", ".join(f"{one} ({PRODUCT_NAMES[one]})" for one in catalogue.collections)
        raise IcefrontError(
            f"{catalogue.title} has no {PRODUCT_NAMES[wanted[0]]} but {has}: give one of these "
            "with --product, or another --catalogue."
        )
    names = [one.id for one in itertools.islice(client.get_collections(), 1000)]
    lower = {name.lower(): name for name in names}
    for one in wanted:
        for word in COLLECTION_WORDS[one]:
            if word in lower:
                return one, lower[word]
    listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    raise IcefrontError(
        f"{catalogue.title} has no collection of {PRODUCT_NAMES[wanted[0]]} but "
        f"{listed or 'none at all'}: name it with --collection, or give another --catalogue."
    )


def _ask(
    client: Client,
    area: Area,
    start: dt.date,
    end: dt.date,
    collection: str,
    max_items: int,
    progress: bool,
) -> tuple[list[Item], list[str], int]:
    """Return the images, what was left out, and how many items there were."""
    question = client.search(
        method="POST",
        collections=[collection],
        intersects=json.loads(shapely.to_geojson(area.outline)),
        datetime=f"{start}T00:00:00Z/{end}T23:59:59Z",
        limit=min(PAGE, max_items),
        max_items=max_items + 1,
    )
    items: list[Item] = []
    notes: list[str] = []
    seen = 0
    with warnings.catch_warnings(), steps("Searching", 0, show=progress) as advance:
        warnings.simplefilter("ignore")
        for raw in question.items_as_dicts():
            seen += 1
            if seen > max_items:
                notes.append(
                    f"Only the first {max_items} images were looked at: shorten the time, or allow "
                    "more with --max-items."
                )
                seen -= 1
                break
            advance(1)
            try:
                items.append(read_item(raw))
            except IcefrontError as error:
                notes.append(str(error))
    if len(notes) > 5:
        notes = [*notes[:5], f"And {len(notes) - 5} more items that are of no use."]
    return items, notes, seen
