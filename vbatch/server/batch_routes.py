"""The addresses of files and batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from vbatch.server.checks import parse
from vbatch.server.desk import Call
from vbatch.server.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from vbatch.server.batches import Batches

_DEFAULT_LISTED = 20


class BatchRoutes:
    """Hands what comes over HTTP to ``batches``; ``key_of`` checks and returns a request's key."""

    def __init__(
        self, batches: Batches, *, prefix: str, key_of: Callable[[web.Request], str]
    ) -> None:
        self._batches = batches
        self._prefix = prefix
        self._key_of = key_of

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        files, batches = f"{self._prefix}/files", f"{self._prefix}/batches"
        app.router.add_post(files, self._upload)
        app.router.add_get(files + "/{id}", self._file)
        app.router.add_get(files + "/{id}/content", self._content)
        app.router.add_delete(files + "/{id}", self._delete)
        app.router.add_post(batches, self._begin)
        app.router.add_get(batches, self._list)
        app.router.add_get(batches + "/{id}", self._batch)
        app.router.add_post(batches + "/{id}/cancel", self._cancel)

    async def _upload(self, request: web.Request) -> web.Response:
        self._key_of(request)
        form = await request.post()
        file, purpose = form.get("file"), form.get("purpose")
        if not isinstance(file, web.FileField) or not isinstance(purpose, str):
            missing = "file" if not isinstance(file, web.FileField) else "purpose"
            raise Refusal(400, f"Missing required parameter: '{missing}'.", param=missing)
        kept = self._batches.keep(file.filename, purpose, file.file.read())
        return web.json_response(kept.told())

    async def _file(self, request: web.Request) -> web.Response:
        self._key_of(request)
        return web.json_response(self._batches.file(request.match_info["id"]).told())

    async def _content(self, request: web.Request) -> web.Response:
        self._key_of(request)
        data = self._batches.file(request.match_info["id"]).data
        return web.Response(body=data, content_type="application/octet-stream")

    async def _delete(self, request: web.Request) -> web.Response:
        self._key_of(request)
        name = request.match_info["id"]
        self._batches.remove(name)
        return web.json_response({"id": name, "object": "file", "deleted": True})

    async def _begin(self, request: web.Request) -> web.Response:
        key = self._key_of(request)
        raw = await request.read()
        call = Call(key=key, content_type=request.content_type, raw=b"")
        body = parse(raw, request.content_type)
        batch = self._batches.begin(body, call, f"{self._prefix}/chat/completions")
        return web.json_response(batch.told())

    async def _batch(self, request: web.Request) -> web.Response:
        self._key_of(request)
        return web.json_response(self._batches.batch(request.match_info["id"]).told())

    async def _cancel(self, request: web.Request) -> web.Response:
        self._key_of(request)
        return web.json_response(self._batches.cancel(request.match_info["id"]).told())

    async def _list(self, request: web.Request) -> web.Response:
        self._key_of(request)
        limit = request.query.get("limit", "")
        wanted = int(limit) if limit.isdigit() else _DEFAULT_LISTED
        return web.json_response(self._batches.listed(request.query.get("after"), wanted))
