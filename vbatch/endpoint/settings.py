"""How an endpoint is reached: what a client needs to know of a job, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003 - dataclasses resolve their annotations
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

from vbatch.errors import JobError
from vbatch.profile.rules import is_http_url

if TYPE_CHECKING:
    from vbatch.job import Job

_MIN_UNLIKELY_CHARS = 8
_WORDS = re.compile(r"[0-9]+|(?:(?:[A-Z]?[a-z]{1,20}|[A-Z]{1,20})(?:[-_.' ]|$))+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """Where requests go and how: values that a job has checked. Times in seconds.

    ``proxy`` is a URL, or ``env`` for what the environment names. ``connections`` is the most at
    once; ``query`` stands after the ``?`` of every address; ``models_auth_header`` and
    ``models_headers`` are for the list of models alone; ``keep_alive_s`` says how long an idle
    connection is kept, ``timeout_s`` the time of one whole attempt, ``limit_window_s`` what
    rate-limit headers count over. ``secrets`` are redacted wherever the endpoint's words leave the
    client.
    """

    base_url: str
    path: str = "/chat/completions"
    models_path: str = "/models"
    query: Mapping[str, str] = field(default_factory=dict)
    vision_field: str = "any"
    api_key: str | None = field(default=None, repr=False)
    auth_header: str = "Authorization"
    auth_prefix: str = "Bearer "
    models_auth_header: str | None = None
    models_headers: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str | None = None
    keep_alive: bool = True
    keep_alive_s: float = 15.0
    timeout_s: float = 300.0
    limit_window_s: float = 60.0
    connections: int = 100
    secrets: tuple[str, ...] = field(default=(), repr=False)
    connect_s: float = 15.0
    sock_connect_s: float = 10.0
    sweep_s: float = 0.25
    max_response_bytes: int = 16 * 1024 * 1024
    keep_raw: bool = False
    """Whether answers keep the whole of what came, as text."""

    def url(self, path: str) -> str:
        """Return the address of ``path`` below the base URL."""
        query = f"?{urlencode(self.query)}" if self.query else ""
        return self.base_url.rstrip("/") + path + query

    def sent_headers(self, *, for_models: bool = False) -> dict[str, str]:
        """Return the key's header under the job's own, which win; ``for_models``: as lists want."""
        headers, prefix, name = dict(self.headers), self.auth_prefix, self.auth_header
        if for_models:
            headers = {**self.models_headers, **headers}
            if self.models_auth_header is not None:
                prefix, name = "", self.models_auth_header
        if self.api_key is not None and name.lower() not in {one.lower() for one in headers}:
            headers[name] = prefix + self.api_key
        return headers

    def proxy_url(self) -> str | None:
        """Return the proxy for the base URL; None: straight there.

        Raises JobError for one that does not speak HTTP, or is no address.
        """
        proxy = self._environments() if self.proxy == "env" else self.proxy
        if proxy is None:
            return None
        kind, separator, _ = proxy.partition("://")
        if separator and kind.lower() not in {"http", "https"}:
            raise JobError(f"endpoint.proxy: {kind} proxies are not supported, only HTTP ones")
        address = proxy if separator else f"http://{proxy}"
        if not is_http_url(address):
            raise JobError('endpoint.proxy: not an address like "http://proxy:3128"')
        if ":" in unquote(urlsplit(address).username or ""):
            raise JobError("endpoint.proxy: no proxy can be told a user name with a colon in it")
        return address

    def credentials(self) -> tuple[str, ...]:
        """Return those values that are only sent to be let in."""
        sent = "\n".join([*self.headers.values(), self.proxy_url() or ""])
        in_headers = [secret for secret in self.secrets if secret and secret in sent]
        return tuple(dict.fromkeys([*filter(None, (self.api_key,)), *in_headers, *self._login()]))

    def unlikely_credentials(self) -> tuple[str, ...]:
        """Return those of them that no answer holds by chance."""
        return tuple(filter(_is_unlikely, self.credentials()))

    def all_secrets(self) -> tuple[str, ...]:
        """Return every value that no error may show."""
        return tuple(dict.fromkeys([*self.secrets, *self.credentials()]))

    def _environments(self) -> str | None:
        parts = urlsplit(self.base_url)
        if proxy_bypass(parts.netloc):
            return None
        proxies = getproxies()
        return proxies.get(parts.scheme) or proxies.get("all")

    def _login(self) -> list[str]:
        password = urlsplit(self.proxy_url() or "").password
        return [password, unquote(password)] if password else []


def _is_unlikely(secret: str) -> bool:
    """Whether ``secret`` is neither short nor a number nor words, as ``EMPTY``, ``not-needed``."""
    return len(secret) >= _MIN_UNLIKELY_CHARS and not _WORDS.fullmatch(secret)


def settings_of(job: Job, *, connections: int) -> ClientSettings:
    """Return how ``job`` reaches its endpoint, with at most ``connections`` at once."""
    profile = job.profile
    return ClientSettings(
        base_url=job.base_url,
        path=profile.request.path,
        models_path=profile.list_models.path,
        query=profile.request.query_at(job.base_url),
        vision_field=profile.list_models.vision_field,
        api_key=job.api_key,
        auth_header=profile.auth_header,
        auth_prefix=profile.auth_prefix,
        models_auth_header=profile.list_models.auth_header,
        models_headers=profile.list_models.headers,
        headers=job.endpoint.headers,
        proxy=job.endpoint.proxy,
        keep_alive=job.endpoint.keep_alive,
        keep_alive_s=profile.keep_alive_s,
        timeout_s=job.retry.timeout,
        limit_window_s=profile.limit_window_s,
        connections=connections,
        secrets=job.secrets,
        keep_raw=job.request.raw,
    )
