"""How a run stands, told from outside: what run.json says, and what has become of it since."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from vbatch.errors import Corrupt, JournalError
from vbatch.sink.commits import newest_commit
from vbatch.sink.holder import boot_id, read_holder
from vbatch.sink.kept import read_json, read_kept
from vbatch.sink.lock import is_held
from vbatch.sink.recovery import uncommitted
from vbatch.sink.replay import count
from vbatch.sink.segments import read_entries
from vbatch.sink.storage import is_there
from vbatch.sink.views import iso, totals
from vbatch.state import Counts, Tallies

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vbatch.sink.holder import Holder
    from vbatch.sink.layout import Layout

_NOBODY: dict[str, Any] = {"waiting": None, "stalled": []}
_COUNTS = tuple(f.name for f in fields(Counts))
_TOTALS = tuple(name for name in totals(Tallies(), power_cut=False) if name != "wasted_cost")
"""What runs of every version wrote."""
_STOP = ("code", "message", "advice")
_STALLED = ("id", "step", "seconds")
_WRITER = ("pid", "host", "started_at", "updated_at")


def status_of(layout: Layout) -> dict[str, Any]:
    """run.json as it is now: see ``Run.status``. Raises ``Corrupt`` if it is not as we write it."""
    ours = _is_ours(layout)
    held = ours and is_held(layout.lock)  # before run.json is read: it may be let go of meanwhile
    holder = read_holder(layout.lock) if held else None
    if is_there(layout.run_json):
        status = _read(layout)
    else:
        status = {"state": "running" if read_kept(layout) else "never begun"}
    at_work = held and not (holder and holder.brief)
    writes = holder is None or _has_written(holder, status)
    if ours and status["state"] == "running" and not (at_work and writes):
        status = {**status, "state": "killed", **_aftermath(layout, status)}
    if at_work and holder is not None and not writes:
        status = {**status, **_begun(holder)}
    return status


def _read(layout: Layout) -> dict[str, Any]:
    status = read_json(layout.run_json)
    stop, stalled = status.get("stop"), status.get("stalled")
    whole = (
        isinstance(status.get("state"), str)
        and _has(status, _WRITER)
        and _has(status.get("counts"), _COUNTS, int)
        and _has(status.get("totals"), _TOTALS)
        and (stop is None or _has(stop, _STOP, str))
        and isinstance(stalled, list)
        and all(_has(row, _STALLED) for row in stalled)
    )
    if not whole:
        raise Corrupt(
            f"{layout.run_json} is not as a run writes it: somebody has changed it. The next "
            "vbatch run writes it anew; the tables are not harmed"
        )
    return status


def _has(value: object, names: Iterable[str], kind: type = object) -> bool:
    return isinstance(value, dict) and all(
        name in value and isinstance(value[name], kind) for name in names
    )


def _is_ours(layout: Layout) -> bool:
    """Of somebody else's run only what run.json says can be told."""
    try:
        is_there(layout.lock)
    except OSError:
        return False
    return True


def _has_written(holder: Holder, status: Mapping[str, Any]) -> bool:
    said = (status.get("pid"), status.get("host"), status.get("started_at"))
    return said == (holder.pid, holder.host, iso(holder.started_at))


def _begun(holder: Holder) -> dict[str, Any]:
    """A process that recovers the run or scans its manifest has not written run.json yet."""
    return {
        "state": "running",
        "invocation": None,
        "pid": holder.pid,
        "host": holder.host,
        "started_at": iso(holder.started_at),
        "exit_code": None,
        "stop": None,
        **_NOBODY,
    }


def _aftermath(layout: Layout, status: Mapping[str, Any]) -> dict[str, Any]:
    """What run.json of a killed run would say: it was written while requests were on their way."""
    changes = dict(_NOBODY)
    with suppress(OSError, JournalError):  # damaged, or just being gone on with
        commit = newest_commit(layout)
        tallies = commit.tallies.copy()
        for closed in uncommitted(layout, commit.n, boot=boot_id()):
            for entries, _ in read_entries(layout.segment(closed.number), closed.end):
                count(tallies, entries)
        changes["totals"] = totals(tallies.closed(), power_cut=commit.power_cut)
        if "counts" in status:
            changes["counts"] = _counts(status, changes["totals"])
    return changes


def _counts(status: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, int]:
    """The rows that came to an end after run.json was written are in the totals of ``now``.

    A row that ended for the second time only then may be counted twice, as answered and failed.
    """
    counts, before = status["counts"], status["totals"]
    most = max(counts["rows"], counts["answered"] + counts["failed"])
    answered = min(counts["answered"] + now["answered"] - before["answered"], most)
    failed = min(counts["failed"] + now["failed"] - before["failed"], most - answered)
    return {
        "rows": counts["rows"],
        "answered": answered,
        "failed": failed,
        "left": max(0, counts["rows"] - answered - failed),
        "possibly_billed": now["possibly_billed"],
    }
