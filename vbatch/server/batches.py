"""Files and batches, in the form of OpenAI's API: requests by the thousand, answered later.

(https://platform.openai.com/docs/api-reference/batch and /files.) Everything is in memory and ends
with the server.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import orjson

from vbatch.server.desk import Call
from vbatch.server.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from vbatch.clock import Clock
    from vbatch.records import JsonValue
    from vbatch.server.desk import Reply

MOST_REQUESTS = 50_000
MOST_BYTES = 200_000_000
WINDOW = "24h"
WINDOW_S = 86_400.0
_AT_ONCE = 8
_MOST_LISTED = 100
_MOST_ERRORS = 20
_EXPIRED = "This request could not be executed before the completion window expired."
_OVER = frozenset({"completed", "failed", "expired", "cancelled"})

Status = Literal[
    "validating",
    "failed",
    "in_progress",
    "finalizing",
    "completed",
    "expired",
    "cancelling",
    "cancelled",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """An uploaded or written file; ``created_at`` in seconds since the epoch."""

    id: str
    name: str
    purpose: str
    data: bytes = field(repr=False)
    created_at: int

    def told(self) -> dict[str, JsonValue]:
        """As the API tells of it."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.data),
            "created_at": self.created_at,
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
        }


@dataclass(slots=True, kw_only=True)
class Batch:
    """A batch at work. Times in seconds since the epoch; its requests end before ``ends_at``."""

    id: str
    endpoint: str
    input_file_id: str
    metadata: JsonValue
    created_at: int
    expires_at: int
    ends_at: float
    status: Status = "validating"
    errors: list[JsonValue] = field(default_factory=list)
    times: dict[str, int] = field(default_factory=dict)
    total: int = 0
    output: list[bytes] = field(default_factory=list)
    refused: list[bytes] = field(default_factory=list)
    output_file_id: str | None = None
    error_file_id: str | None = None

    def told(self) -> dict[str, JsonValue]:
        """As the API tells of it."""
        steps = ("in_progress", "finalizing", "completed", "failed", "expired")
        times = {f"{step}_at": self.times.get(step) for step in (*steps, "cancelling", "cancelled")}
        errors = {"object": "list", "data": self.errors} if self.errors else None
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "errors": errors,
            "input_file_id": self.input_file_id,
            "completion_window": WINDOW,
            "status": self.status,
            "output_file_id": self.output_file_id,
            "error_file_id": self.error_file_id,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            **times,
            "request_counts": {
                "total": self.total,
                "completed": len(self.output),
                "failed": len(self.refused),
            },
            "metadata": self.metadata,
        }


class Batches:
    """Keeps files and works on batches, whose requests ``ask`` answers one by one."""

    def __init__(
        self, ask: Callable[[Call], Awaitable[Reply]], *, clock: Clock, window_s: float = WINDOW_S
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._window_s = window_s
        self._files: dict[str, File] = {}
        self._batches: dict[str, Batch] = {}
        self._work: dict[str, asyncio.Task[None]] = {}
        self._serial = 0

    def keep(self, name: str, purpose: str, data: bytes) -> File:
        """Take a file. Raises Refusal (400)."""
        if purpose != "batch":
            raise Refusal(400, f"'{purpose}' is not one of ['batch'] - 'purpose'", param="purpose")
        if len(data) > MOST_BYTES:
            raise Refusal(400, f"The file is larger than {MOST_BYTES} bytes.", param="file")
        return self._put(name, purpose, data)

    def file(self, name: str) -> File:
        """Raises Refusal (404)."""
        if name not in self._files:
            raise Refusal(404, f"No such File object: {name}", param="id")
        return self._files[name]

    def remove(self, name: str) -> None:
        """Raises Refusal (404)."""
        del self._files[self.file(name).id]

    def begin(self, body: dict[str, JsonValue], call: Call, endpoint: str) -> Batch:
        """Begin what ``body`` asks for, with the key of ``call``. Raises Refusal (400, 404)."""
        if body.get("endpoint") != endpoint:
            raise Refusal(400, f"Invalid value for 'endpoint'; use '{endpoint}'.", param="endpoint")
        if body.get("completion_window") != WINDOW:
            told = f"Invalid value for 'completion_window'; use '{WINDOW}'."
            raise Refusal(400, told, param="completion_window")
        source = self.file(str(body.get("input_file_id")))
        now = self._now()
        batch = Batch(
            id=self._name("batch"),
            endpoint=endpoint,
            input_file_id=source.id,
            metadata=body.get("metadata"),
            created_at=now,
            expires_at=now + int(self._window_s),
            ends_at=self._clock.time() + self._window_s,
        )
        self._batches[batch.id] = batch
        self._work[batch.id] = asyncio.create_task(self._through(batch, source, call))
        return batch

    def batch(self, name: str) -> Batch:
        """Raises Refusal (404)."""
        if name not in self._batches:
            raise Refusal(404, f"No such Batch object: {name}", param="id")
        return self._batches[name]

    def listed(self, after: str | None, limit: int) -> dict[str, JsonValue]:
        """Batches, the newest first, from the one behind ``after`` on."""
        names = [*reversed(self._batches)]
        if after is not None:
            names = names[names.index(self.batch(after).id) + 1 :]
        shown = names[: max(1, min(limit, _MOST_LISTED))]
        return {
            "object": "list",
            "data": [self._batches[name].told() for name in shown],
            "first_id": shown[0] if shown else None,
            "last_id": shown[-1] if shown else None,
            "has_more": len(shown) < len(names),
        }

    def cancel(self, name: str) -> Batch:
        """Begin nothing more of it. Raises Refusal (404, 409)."""
        batch = self.batch(name)
        if batch.status in _OVER:
            raise Refusal(409, f"Cannot cancel a batch with status '{batch.status}'.")
        self._enter(batch, "cancelling")
        return batch

    async def close(self) -> None:
        """Give up what is not done."""
        for task in self._work.values():
            task.cancel()
        await asyncio.gather(*self._work.values(), return_exceptions=True)

    async def _through(self, batch: Batch, source: File, call: Call) -> None:
        await self._clock.sleep(0)
        lines = list(_lines(source.data, batch))
        batch.total = len(lines)
        if batch.errors:
            self._enter(batch, "failed")
            return
        if batch.status == "validating":
            self._enter(batch, "in_progress")
        waiting = iter(lines)
        await asyncio.gather(*(self._work_on(batch, waiting, call) for _ in range(_AT_ONCE)))
        end: Status = "completed"
        if batch.status == "cancelling":
            end = "cancelled"
        elif unasked := [*waiting]:
            end = "expired"
            batch.refused += [_line(self._name("batch_req"), one, None) for one in unasked]
        if end == "completed":
            self._enter(batch, "finalizing")
        self._write(batch)
        self._enter(batch, end)

    async def _work_on(
        self, batch: Batch, waiting: Iterator[dict[str, JsonValue]], call: Call
    ) -> None:
        while batch.status == "in_progress" and self._clock.time() < batch.ends_at:
            line = next(waiting, None)
            if line is None:
                return
            raw = orjson.dumps(line["body"])
            reply = await self._ask(Call(key=call.key, content_type="application/json", raw=raw))
            name = self._name("batch_req")
            fine = reply.status is not None and reply.status < 300  # noqa: PLR2004 - HTTP
            (batch.output if fine else batch.refused).append(_line(name, line, reply))

    def _write(self, batch: Batch) -> None:
        if batch.output:
            data = b"\n".join([*batch.output, b""])
            batch.output_file_id = self._put(f"{batch.id}_output.jsonl", "batch_output", data).id
        if batch.refused:
            data = b"\n".join([*batch.refused, b""])
            batch.error_file_id = self._put(f"{batch.id}_error.jsonl", "batch_output", data).id

    def _put(self, name: str, purpose: str, data: bytes) -> File:
        file = File(
            id=self._name("file"), name=name, purpose=purpose, data=data, created_at=self._now()
        )
        self._files[file.id] = file
        return file

    def _enter(self, batch: Batch, status: Status) -> None:
        batch.status = status
        batch.times[status] = self._now()

    def _name(self, kind: str) -> str:
        self._serial += 1
        return f"{kind}{'_' if kind.startswith('batch') else '-'}{self._serial:08d}"

    def _now(self) -> int:
        return int(self._clock.time())


def _lines(data: bytes, batch: Batch) -> Iterator[dict[str, JsonValue]]:
    """The requests in a file; what is wrong with it is noted in the batch."""
    seen: set[str] = set()
    models: set[str] = set()
    lines = data.splitlines()
    if not lines or len(lines) > MOST_REQUESTS:
        told = f"A batch holds 1 to {MOST_REQUESTS} requests; this file has {len(lines)} lines."
        batch.errors.append(_error("invalid_number_of_requests", told, None))
        return
    for number, text in enumerate(lines, 1):
        problem, line = _problem(text, seen, models, batch.endpoint)
        if problem is None:
            yield line
        elif len(batch.errors) < _MOST_ERRORS:
            batch.errors.append(_error(*problem, number))


def _problem(
    text: bytes, seen: set[str], models: set[str], endpoint: str
) -> tuple[tuple[str, str] | None, dict[str, Any]]:
    try:
        line = orjson.loads(text)
    except orjson.JSONDecodeError:
        return ("invalid_json_line", "This line is not parseable as valid JSON."), {}
    for name, kind in (("body", dict), ("custom_id", str)):
        if not isinstance(line, dict) or not isinstance(line.get(name), kind) or not line[name]:
            return ("missing_required_parameter", f"Missing required parameter: '{name}'."), {}
    models.add(str(line["body"].get("model")))
    problem = None
    if line["custom_id"] in seen:
        problem = "duplicate_custom_id", f"The custom_id '{line['custom_id']}' is used twice."
    elif (line.get("method"), line.get("url")) != ("POST", endpoint):
        problem = "invalid_url", f"The method and URL must be POST {endpoint}."
    elif len(models) > 1:
        problem = "mismatched_model", "All requests of a batch must ask the same model."
    seen.add(line["custom_id"])
    return problem, line


def _error(code: str, message: str, line: int | None) -> JsonValue:
    return {"code": code, "message": message, "param": None, "line": line}


def _line(name: str, line: dict[str, JsonValue], reply: Reply | None) -> bytes:
    """A line of the output or of the error file; without a reply it came too late."""
    response = error = None
    if reply is None:
        error = {"code": "batch_expired", "message": _EXPIRED}
    elif reply.status is None:
        error = {"code": "server_error", "message": "The request could not be processed."}
    else:
        body = _body(reply)
        response = {"status_code": reply.status, "request_id": f"req-{name}", "body": body}
    said = {"id": name, "custom_id": line["custom_id"], "response": response, "error": error}
    return orjson.dumps(said)


def _body(reply: Reply) -> JsonValue:
    try:
        return orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return reply.body.decode(errors="replace")
