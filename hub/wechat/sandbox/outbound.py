"""The HTTP client of what the sandbox sends itself."""

import ssl
from functools import cache

import httpx2


def client(timeout: float | None = None) -> httpx2.AsyncClient:
    """Return a client for one errand: a mounted sandbox has no lifespan to close a lasting one in."""
    return httpx2.AsyncClient(verify=_tls(), timeout=timeout, trust_env=False, follow_redirects=False)


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
