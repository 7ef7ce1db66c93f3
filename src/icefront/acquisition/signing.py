"""Addresses of images as they can be read: with a token, or signed with keys of the environment."""

from __future__ import annotations

import datetime as dt
import threading
import urllib.parse
from collections.abc import Callable, Iterable
from typing import Any

from icefront.acquisition.catalogues import Catalogue
from icefront.errors import IcefrontError
from icefront.files.downloads import ask_json

Signer = Callable[[str, bool], str]
"""Returns the address of a file as it can be read, anew if the flag says that the last one was
refused."""

TOKENS_URL = "https://planetarycomputer.microsoft.com/api/sas/v1/token"
"""Where the Planetary Computer hands out tokens, for everyone."""

_BLOBS = ".blob.core.windows.net"
_BEFORE_END = dt.timedelta(minutes=5)
_VALID_S = 3_600


def signer_of(catalogue: Catalogue) -> Signer:
    """Return what makes the addresses of a catalogue readable."""
    if catalogue.signing == "planetary-computer":
        return AzureTokens()
    if catalogue.signing in ("s3", "requester-pays"):
        return S3Addresses(
            endpoint=catalogue.s3_endpoint,
            region=catalogue.s3_region,
            requester_pays=catalogue.signing == "requester-pays",
        )
    return plain


def plain(href: str, anew: bool = False) -> str:
    """Return an address that needs nothing.

    Raises
    ------
    IcefrontError
        If it is no web address.
    """
    scheme = urllib.parse.urlsplit(href).scheme
    if scheme in ("http", "https"):
        return href
    if scheme == "s3":
        raise IcefrontError(
            f"{href} lies in a store that needs keys: search again with --signing s3 or "
            "--signing requester-pays."
        )
    raise IcefrontError(f"{href} is no web address: it is not read.")


class AzureTokens:
    """Adds the tokens that the Planetary Computer hands out, one for each container.

    Parameters
    ----------
    url : str
        Where tokens are had.
    """

    def __init__(self, url: str = TOKENS_URL) -> None:
        self._url = url
        self._tokens: dict[str, tuple[str, dt.datetime]] = {}
        self._lock = threading.Lock()

    def __call__(self, href: str, anew: bool = False) -> str:
        """Return an address with a token that is valid for some minutes at least."""
        parts = urllib.parse.urlsplit(plain(href))
        if not parts.netloc.lower().endswith(_BLOBS) or parts.query:
            return href
        account = parts.netloc.partition(".")[0]
        container = parts.path.lstrip("/").partition("/")[0]
        return f"{href}?{self._token(f'{account}/{container}', anew)}"

    def _token(self, place: str, anew: bool) -> str:
        with self._lock:
            known = self._tokens.get(place)
            now = dt.datetime.now(dt.UTC)
            if known is None or anew or known[1] - _BEFORE_END < now:
                answer = ask_json(f"{self._url}/{place}")
                try:
                    end = dt.datetime.fromisoformat(answer["msft:expiry"].replace("Z", "+00:00"))
                    known = str(answer["token"]), end
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    raise IcefrontError(
                        f"{self._url} hands out no token for {place}: try again later."
                    ) from error
                self._tokens[place] = known
            return known[0]


class S3Addresses:
    """Signs ``s3://`` addresses with keys of the environment, of a profile or of a machine's role.

    Parameters
    ----------
    endpoint : str
        Of the store; by default AWS, or what ``AWS_ENDPOINT_URL_S3`` says.
    region : str
        By default that of the environment.
    requester_pays : bool
        The reader pays the transfer.
    """

    def __init__(
        self, *, endpoint: str = "", region: str = "", requester_pays: bool = False
    ) -> None:
        self._endpoint = endpoint
        self._region = region
        self._requester_pays = requester_pays
        self._client: Any = None
        self._lock = threading.Lock()

    def __call__(self, href: str, anew: bool = False) -> str:
        """Return a signed web address; web addresses stay."""
        parts = urllib.parse.urlsplit(href)
        if parts.scheme != "s3":
            return plain(href)
        what = {"Bucket": parts.netloc, "Key": parts.path.lstrip("/")}
        with self._lock:
            if self._client is None or anew:
                self._client = self._made()
            signed = self._client.generate_presigned_url(
                "get_object", Params=what, ExpiresIn=_VALID_S
            )
        return str(signed)

    def _made(self) -> Any:
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError
        except ImportError as error:
            raise IcefrontError(
                "Addresses s3:// need boto3: install it with pip install 'icefront[acquire]'."
            ) from error
        try:
            session = boto3.Session()
            if session.get_credentials() is None:
                raise IcefrontError(
                    "There are no keys for s3:// addresses in the environment: set "
                    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in AWS_PROFILE."
                )
            client = session.client(
                "s3",
                endpoint_url=self._endpoint or None,
                region_name=self._region or session.region_name or "us-east-1",
                config=Config(
                    signature_version="s3v4",
                    s3={"addressing_style": "path" if self._endpoint else "auto"},
                ),
            )
            if self._requester_pays:
                client.meta.events.register("before-sign.s3.GetObject", _pay)
            return client
        except BotoCoreError as error:
            reason = " ".join(str(error).split())
            raise IcefrontError(
                f"The keys for s3:// addresses cannot be used ({reason}): check AWS_PROFILE and "
                "the other variables AWS_*."
            ) from error


def _pay(request: Any, **more: object) -> None:
    """Say in a signed address that the reader pays, where a header would have to be sent along."""
    request.params["x-amz-request-payer"] = "requester"


def check_keys(catalogue: Catalogue, hrefs: Iterable[str], signer: Signer) -> None:
    """Find out before anything is fetched whether keys are needed that are not there.

    Raises
    ------
    IcefrontError
        If so; it says what is needed.
    """
    first = next((href for href in hrefs if href.startswith("s3://")), None)
    if first is None:
        return
    try:
        signer(first, False)
    except IcefrontError as error:
        account = next(iter(catalogue.accounts.values()), "")
        raise IcefrontError(account or str(error)) from error
