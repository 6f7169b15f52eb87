"""Guards a door without keys against web pages: a browser on this machine must not be made to spend money.

A page can send requests to a loopback address from any site, and a name of its own can be made to mean 127.0.0.1
(DNS rebinding). So without keys the Host must be a loopback one, and an Origin, if there is one, this very door.
"""

import functools
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from imagequeue.producer.door.access import is_loopback
from imagequeue.producer.door.problems import forbidden

HOSTS_KEPT_MAX: Final = 64
"""Most requests come under one name; what it means is found out once."""


def check_same_machine(request: Request) -> None:
    """Problem 403 when the request was made by another site's page, or under a foreign name."""
    host = request.headers.get("host", "")
    if not _means_this_machine(host):
        raise forbidden("without keys only loopback names are served; make a key with `imagequeue keys create`")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host:
        raise forbidden("without keys no requests of other sites' pages are served")


@functools.lru_cache(HOSTS_KEPT_MAX)
def _means_this_machine(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return is_loopback(name)
