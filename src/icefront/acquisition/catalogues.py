"""Catalogues of satellite images that the program knows, and what each of them needs."""

from __future__ import annotations

import difflib
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from icefront.errors import IcefrontError

Product = Literal["rtc", "grd", "s2"]
"""Sentinel-1 terrain-corrected, Sentinel-1 ground range detected, Sentinel-2 L2A."""

PRODUCTS: tuple[Product, ...] = get_args(Product)

PRODUCT_NAMES: Mapping[Product, str] = {
    "rtc": "Sentinel-1 RTC",
    "grd": "Sentinel-1 GRD",
    "s2": "Sentinel-2 L2A",
}

Signing = Literal["none", "planetary-computer", "s3", "requester-pays"]
"""What is done to an address before it is read: nothing; a token of the Planetary Computer is
added; it is signed with S3 keys of the environment; the same, and the reader pays the transfer."""

SIGNINGS: tuple[Signing, ...] = get_args(Signing)

COLLECTION_WORDS: Mapping[Product, tuple[str, ...]] = {
    "rtc": ("sentinel-1-rtc", "sentinel1-rtc", "sentinel1-rtc-aws"),
    "grd": ("sentinel-1-grd", "sentinel1-grd"),
    "s2": ("sentinel-2-l2a", "sentinel2-l2a", "sentinel-2-c1-l2a", "sentinel-s2-l2a-cogs"),
}
"""What collections are called in catalogues that are given by URL, the likeliest first."""


@dataclass(frozen=True)
class Catalogue:
    """A STAC API.

    Attributes
    ----------
    name : str
        As the command line calls it; the URL where nothing else is known.
    title : str
    url : str
        Of its root.
    collections : mapping of product to str
        Identifiers of the collections; empty where the catalogue has to be asked.
    signing : str
    accounts : mapping of product to str
        One sentence on what is needed to read a product, where something is.
    s3_endpoint : str
        Of ``s3://`` addresses, where it is not that of AWS.
    s3_region : str
    """

    name: str
    title: str
    url: str
    collections: Mapping[Product, str] = field(default_factory=dict)
    signing: Signing = "none"
    accounts: Mapping[Product, str] = field(default_factory=dict)
    s3_endpoint: str = ""
    s3_region: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the catalogue as a recipe holds it; what is known of it is found by its name."""
        if self.name in CATALOGUES:
            return {"name": self.name, "url": self.url}
        return {"url": self.url, "signing": self.signing}


_KEYS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in AWS_PROFILE"

CATALOGUES: Mapping[str, Catalogue] = {
    catalogue.name: catalogue
    for catalogue in (
        Catalogue(
            "planetary-computer",
            "Microsoft Planetary Computer",
            "https://planetarycomputer.microsoft.com/api/stac/v1",
            {"rtc": "sentinel-1-rtc", "grd": "sentinel-1-grd", "s2": "sentinel-2-l2a"},
            signing="planetary-computer",
        ),
        Catalogue(
            "earth-search",
            "Earth Search by Element 84",
            "https://earth-search.aws.element84.com/v1",
            {"grd": "sentinel-1-grd", "s2": "sentinel-2-l2a"},
            signing="requester-pays",
            accounts={
                "grd": "Sentinel-1 GRD of Earth Search lies in a bucket where the reader pays the "
                f"transfer, so that an AWS account is needed: {_KEYS}."
            },
            s3_region="eu-central-1",
        ),
        Catalogue(
            "copernicus",
            "Copernicus Data Space Ecosystem",
            "https://stac.dataspace.copernicus.eu/v1",
            {"grd": "sentinel-1-grd", "s2": "sentinel-2-l2a"},
            signing="s3",
            accounts={
                product: f"{name} of the Copernicus Data Space needs S3 keys of a free account "
                f"(its page is https://eodata-s3keysmanager.dataspace.copernicus.eu): {_KEYS}."
                for product, name in PRODUCT_NAMES.items()
            },
            s3_endpoint="https://eodata.dataspace.copernicus.eu",
            s3_region="default",
        ),
    )
}
"""By name; the first is taken where none is named, since it needs no account."""


def catalogue_named(text: str, signing: str | None = None) -> Catalogue:
    """Return a catalogue of the package, or one by its URL.

    Parameters
    ----------
    text : str
        A name of `CATALOGUES`, or the URL of the root of a STAC API.
    signing : str, optional
        One of `SIGNINGS`, for a URL.

    Raises
    ------
    IcefrontError
        If it is neither, or the signing is unknown or belongs to another catalogue.
    """
    if signing is not None and signing not in SIGNINGS:
        raise IcefrontError(f"The signing {signing!r} is unknown: give {', '.join(SIGNINGS)}.")
    known = CATALOGUES.get(text.strip().lower())
    if known is not None:
        if signing is not None and signing != known.signing:
            raise IcefrontError(
                f"{known.title} is read with {known.signing}: leave --signing out, or give the URL."
            )
        return known
    parts = urllib.parse.urlsplit(text.strip())
    if parts.scheme in ("http", "https") and parts.netloc:
        url = text.strip().rstrip("/")
        for catalogue in CATALOGUES.values():
            if url == catalogue.url and signing is None:
                return catalogue
        return Catalogue(url, parts.netloc, url, signing=signing or "none")
    near = difflib.get_close_matches(text, CATALOGUES, n=1)
    hint = f" (near it: {near[0]})" if near else ""
    raise IcefrontError(
        f"No catalogue named {text!r} is known{hint}: give {', '.join(CATALOGUES)}, or a URL."
    )


def catalogue_of(known: object) -> Catalogue:
    """Return the catalogue that a recipe names.

    Raises
    ------
    IcefrontError
        If it names none.
    """
    if not isinstance(known, dict):
        raise IcefrontError("the catalogue is missing; search again")
    name, url, signing = (known.get(key) for key in ("name", "url", "signing"))
    if isinstance(name, str):
        return catalogue_named(name)
    if not isinstance(url, str) or not isinstance(signing, str | None):
        raise IcefrontError("the catalogue has no url; search again")
    return catalogue_named(url, signing)


def product_named(text: str) -> Product:
    """Return the product of a name.

    Raises
    ------
    IcefrontError
        If there is none of that name.
    """
    if text.lower() not in PRODUCTS:
        raise IcefrontError(f"The product {text!r} is unknown: give {', '.join(PRODUCTS)}.")
    return cast(Product, text.lower())
