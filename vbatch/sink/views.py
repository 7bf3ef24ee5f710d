"""Views: usage.parquet, run.json and README.md. Made of the commit record, never read back."""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003 - dataclasses resolve their annotations
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from vbatch.records import LateRow, Stop  # noqa: TC001
from vbatch.sink.codec import clean, clean_text
from vbatch.sink.layout import FORMAT_VERSION
from vbatch.sink.parts import put_table
from vbatch.sink.schemas import MOMENT, USAGE, labelled_usage
from vbatch.sink.storage import Storage, put
from vbatch.state import Counts, sum_of

if TYPE_CHECKING:
    from vbatch.sink.commits import Commit
    from vbatch.sink.holder import Holder
    from vbatch.sink.layout import Layout
    from vbatch.state import Tallies, Tally

_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What run.json says that only the caller knows.

    ``waiting`` says what a running run waits for, ``stalled`` which rows on their way nothing has
    been heard of while nothing at all was answered; ``suspects`` are ids answered on a connection
    that had brought answers nobody asked for.
    """

    name: str | None = None
    counts: Counts = field(default_factory=Counts)
    stop: Stop | None = None
    exit_code: int | None = None
    waiting: str | None = None
    stalled: Sequence[LateRow] = ()
    suspects: Sequence[str] = ()


def put_run_json(  # noqa: PLR0913 - one thing each that stands in it
    storage: Storage,
    layout: Layout,
    standing: Standing,
    *,
    state: str,
    holder: Holder,
    invocation: str,
    job_digest: str | None,
    tallies: Tallies,
    power_cut: bool,
    now: float,
) -> None:
    """Write how the run stands; ``state`` is running, finished or stopped."""
    body = {
        "format_version": FORMAT_VERSION,
        "name": standing.name,
        "state": state,
        "invocation": invocation,
        "pid": holder.pid,
        "host": holder.host,
        "started_at": iso(holder.started_at),
        "updated_at": iso(now),
        "exit_code": standing.exit_code,
        "stop": _stop(standing.stop),
        "waiting": standing.waiting,
        "stalled": [asdict(row) for row in standing.stalled],
        "counts": asdict(standing.counts),
        "totals": totals(tallies, power_cut=power_cut),
        "digests": {"job": job_digest},
        "suspect": list(standing.suspects),
    }
    put(storage, layout.run_json, orjson.dumps(clean(body), option=orjson.OPT_INDENT_2) + b"\n")


def put_usage(storage: Storage, layout: Layout, tallies: Tallies) -> None:
    """Write usage.parquet: a row per invocation, model and endpoint, oldest first."""
    pairs = sorted(tallies.by_key.items(), key=lambda pair: pair[1].started_at)
    columns = [_usage_column(field, pairs) for field in USAGE]
    table = pa.table(columns, schema=labelled_usage())
    put_table(storage, layout.root / "usage.parquet", table)


def put_readme(storage: Storage, layout: Layout, commit: Commit, standing: Standing) -> None:
    """Write README.md, whose front matter makes the folder a Hugging Face dataset."""
    tables = {
        "results": commit.parts["results"],
        "failures": commit.parts["failed"],
        "superseded": commit.parts["superseded"],
    }
    names = [name for name, parts in tables.items() if parts]
    times = [tally.finished_at for tally in commit.tallies.by_key.values()]
    as_of = f"commit {commit.n} of {iso(max(times, default=0.0))}"
    text = _readme(names, standing, as_of)
    put(storage, layout.root / "README.md", clean_text(text).encode())


def iso(at: float) -> str:
    """Seconds since the epoch as people and tools write it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _stop(stop: Stop | None) -> dict[str, Any] | None:
    if stop is None:
        return None
    return {"code": stop.code, "message": stop.message, "advice": stop.advice}


def totals(tallies: Tallies, *, power_cut: bool) -> dict[str, Any]:
    """Sums over the whole run. ``at_least``: some answers came without usage, or are lost."""
    total = sum_of(tallies.by_key.values())
    sums = {field.name: getattr(total, field.name) for field in USAGE if field.type == pa.int64()}
    costs = {"cost": total.cost, "wasted_cost": total.wasted_cost}
    sums |= {name: None if usd is None else float(usd) for name, usd in costs.items()}
    return {**sums, "at_least": power_cut or total.unreported > 0}


def _usage_column(field: pa.Field, pairs: list[tuple[tuple[str, str, str], Tally]]) -> pa.Array:
    keys = ("invocation", "model", "endpoint")
    if field.name in keys:
        place = keys.index(field.name)
        return pa.array([key[place] for key, _ in pairs], field.type)
    values = [getattr(tally, field.name) for _, tally in pairs]
    if field.type == MOMENT:
        return pa.array([round(v * 1000) for v in values], MOMENT)
    if field.name == "cost":
        return pa.array([None if v is None else float(v) for v in values], field.type)
    return pa.array([min(v, _LARGEST) for v in values], field.type)


def _readme(names: list[str], standing: Standing, as_of: str) -> str:
    counts = standing.counts
    title = standing.name or "A vbatch run"
    return f"""\
{_front_matter(names, as_of)}# {title}

Answers of a vision model to a manifest of images, written by vbatch.

- {counts.answered:,} rows answered: `results/`
- {counts.failed:,} rows failed: `failures/`, itself a manifest that vbatch can be given
- {counts.left:,} rows of {counts.rows:,} still to do
- `superseded/` holds answers that later ones replaced, `usage.parquet` what it all came to

```python
import os, pandas, duckdb, datasets

pandas.read_parquet("results")
duckdb.sql("from 'results/*.parquet'")
datasets.load_dataset(os.getcwd(), "results")  # a table without rows is left out
```

If the run was killed, an id can stand in two parts until the next `vbatch run`; the part with the
higher number holds.
"""


def _front_matter(names: list[str], as_of: str) -> str:
    """``as_of`` changes with the tables: the datasets library tells its caches apart by it."""
    if not names:
        return ""
    lines = ["---", "configs:"]
    for name in names:
        lines.append(f"- config_name: {name}")
        if name == names[0]:
            lines.append("  default: true")
        lines.append(f"  data_files: {name}/*.parquet")
        lines.append(f'  description: "{name}, {as_of}"')
    return "\n".join([*lines, "---", "", ""])
