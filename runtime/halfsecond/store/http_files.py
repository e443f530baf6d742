"""Files over HTTP, from any byte on."""

from __future__ import annotations

import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import quote, urlsplit

from halfsecond.catalog import HubFile
from halfsecond.errors import FetchError

CHUNK_BYTES = 1 << 18
# A connection that gives nothing for this long is given up; a retry goes on where it stopped.
TIMEOUT_S = 30.0
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class ConnectionCutError(FetchError):
    """The connection ended before the file did: trying again goes on from there."""


@dataclass(frozen=True)
class HttpBody:
    """What a server sends: bytes from `offset` on."""

    offset: int
    chunks: Generator[bytes, None, None]


def open_url(url: str, *, offset: int = 0, headers: Mapping[str, str] | None = None) -> HttpBody:
    """Returns the bytes of a file from `offset` on, or from 0 where the server cannot do that.

    Raises FetchError; ConnectionCutError while reading, or where a server is briefly away.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise FetchError(f"{url}: only http and https addresses can be fetched")
    request = urllib.request.Request(url, headers={"User-Agent": "halfsecond"})  # noqa: S310
    if offset:
        request.add_header("Range", f"bytes={offset}-")
    for name, value in (headers or {}).items():
        # Unredirected: a token must not travel on to the host of a signed address.
        request.add_unredirected_header(name, value)
    try:
        response = urllib.request.build_opener(_SameOriginHeaders).open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        with error:
            return _refused(url, error, offset, headers)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        raise ConnectionCutError(f"{url}: cannot be reached ({reason})") from error
    return HttpBody(_start_of(response, offset), _chunks(url, response))


def hub_address(file: HubFile, environment: Mapping[str, str] | None = None) -> str:
    """Returns where a hub file lies; HF_ENDPOINT names another hub or a mirror of it."""
    environment = os.environ if environment is None else environment
    endpoint = environment.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"
    return f"{endpoint}/{file.repo}/resolve/{quote(file.revision, safe='')}/{quote(file.path)}"


def hub_headers(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns the headers for a hub: HF_TOKEN, where set, opens gated repositories."""
    token = (os.environ if environment is None else environment).get("HF_TOKEN", "").strip()
    return {"Authorization": f"Bearer {token}"} if token else {}


class _SameOriginHeaders(urllib.request.HTTPRedirectHandler):
    """Carries unredirected headers on only where the redirect stays on the same origin."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None and _origin(req.full_url) == _origin(newurl):
            token = req.unredirected_hdrs.get("Authorization")
            if token:
                following.add_unredirected_header("Authorization", token)
        return following


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _refused(
    url: str, error: urllib.error.HTTPError, offset: int, headers: Mapping[str, str] | None
) -> HttpBody:
    if error.code == 416 and offset:  # What is here already is longer than the file: start over.
        return open_url(url, headers=headers)
    if error.code in (408, 429) or error.code >= 500:
        raise ConnectionCutError(f"{url}: the server answered {error.code} {error.reason}")
    hint = "; set HF_TOKEN if it is gated" if error.code in (401, 403) else ""
    raise FetchError(f"{url}: the server answered {error.code} {error.reason}{hint}")


def _start_of(response: http.client.HTTPResponse, asked: int) -> int:
    if response.status != 206:
        return 0
    found = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    return int(found.group(1)) if found else asked


def _chunks(url: str, response: http.client.HTTPResponse) -> Generator[bytes, None, None]:
    """Unlike `read`, tells a file that ended from a connection that did."""
    announced = response.headers.get("Content-Length")
    got = 0
    with closing(response):
        while True:
            try:
                chunk = response.read(CHUNK_BYTES)
            except (OSError, http.client.HTTPException) as error:
                raise ConnectionCutError(f"{url}: cut off after {got} bytes ({error})") from error
            if not chunk:
                break
            got += len(chunk)
            yield chunk
    if announced is not None and got < int(announced):
        raise ConnectionCutError(f"{url}: cut off after {got} of {announced} bytes")
