"""What a careless change could break, as text to be replaced, and the tests that would notice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sabotage:
    """In ``path``, ``old`` (which stands there once) becomes ``new``."""

    name: str
    path: str
    old: str
    new: str
    caught_by: tuple[str, ...]

    def applied(self, text: str) -> str:
        """``text`` with the sabotage in it; raises ValueError where it does not fit any more."""
        if text.count(self.old) != 1:
            raise ValueError(
                f"{self.name}: {self.path} holds the text {text.count(self.old)} times"
            )
        return text.replace(self.old, self.new)


SABOTAGES = (
    Sabotage(
        "no sync",
        "vbatch/sink/journal.py",
        "                self._storage.sync(now.fd)\n        except StorageFull as error:",
        "                pass\n        except StorageFull as error:",
        ("tests/crash/test_power_cuts.py",),
    ),
    Sabotage(
        "a folder is not synced after a rename",
        "vbatch/sink/storage.py",
        "    storage.rename(aside, path)\n    storage.sync_folder(path.parent)",
        "    storage.rename(aside, path)",
        ("tests/crash/test_power_cuts.py",),
    ),
    Sabotage(
        "no checksum",
        "vbatch/sink/segments.py",
        'return line.endswith(b"\\n") and line.startswith(b"%08x " % crc)',
        'return line.endswith(b"\\n") and (crc >= 0)',
        ("tests/sink/test_journal.py", "tests/crash/test_power_cuts.py"),
    ),
    Sabotage(
        "damage before the tail is skipped in silence",
        "vbatch/sink/recovery.py",
        "    if damage.ended if same_boot else damage.synced > damage.offset:",
        "    if False:",
        ("tests/sink/test_journal.py", "tests/sink/test_run_folder.py", "tests/crash"),
    ),
    Sabotage(
        "an answer is told before it is in the journal",
        "vbatch/engine/worker.py",
        "        await self.record(Completed(result=result, model=asking.body.model))",
        "        asyncio.get_running_loop().create_task(\n"
        "            self.record(Completed(result=result, model=asking.body.model))\n"
        "        )",
        ("tests/engine/test_worker.py",),
    ),
    Sabotage(
        "a request leaves before its intent is in the journal",
        "vbatch/engine/worker.py",
        "        await self.record(asked(asking, self.origin, self.clock.time()))\n",
        "",
        ("tests/engine/test_worker.py",),
    ),
    Sabotage(
        "a part is renamed before its rows are counted",
        "vbatch/sink/parts.py",
        "            _count(aside, table.num_rows)\n",
        "",
        ("tests/sink/test_parts.py", "tests/crash"),
    ),
    Sabotage(
        "the segment goes before the commit stands",
        "vbatch/sink/books.py",
        "        put_commit(self._storage, self._layout, commit)\n        self.commit = commit\n"
        '        self._enter("results", n, folded.results)',
        "        self._storage.remove(self._layout.segment(n))\n"
        "        put_commit(self._storage, self._layout, commit)\n        self.commit = commit\n"
        '        self._enter("results", n, folded.results)',
        ("tests/crash/test_steps.py",),
    ),
    Sabotage(
        "the lock is not taken",
        "vbatch/sink/taking.py",
        "return lock_descriptor(fd, blocking=False)",
        "return True",
        ("tests/sink/test_lock.py",),
    ),
    Sabotage(
        "two machines may follow the same holder",
        "vbatch/sink/taking.py",
        "return os.fstat(self._fd).st_nlink > 1",
        "return True",
        ("tests/sink/test_lock_races.py",),
    ),
    Sabotage(
        "a run that was taken is written to",
        "vbatch/sink/lock.py",
        "if self.stale or not same:",
        "if self.stale:",
        ("tests/sink/test_heartbeat.py",),
    ),
    Sabotage(
        "the silent are never dead",
        "vbatch/sink/holder.py",
        "DEAD_AFTER_S = 120.0",
        "DEAD_AFTER_S = 1e12",
        ("tests/sink/test_lock_elsewhere.py",),
    ),
    Sabotage(
        "every fault is tried again",
        "vbatch/engine/tries.py",
        "        return False\n\n    def mend",
        "        return True\n\n    def mend",
        ("tests/engine/test_tries.py", "tests/faults"),
    ),
    Sabotage(
        "a dead key does not stop the run",
        "vbatch/engine/breakers.py",
        "        if isinstance(error, FatalError):",
        "        if False:",
        ("tests/engine/test_breakers.py",),
    ),
    Sabotage(
        "a budget does not wait for what is on its way",
        "vbatch/engine/budgets.py",
        "                if not self._on_their_way:",
        "                if True:",
        ("tests/engine/test_budgets.py",),
    ),
    Sabotage(
        "a short write is taken for a whole one",
        "vbatch/sink/storage.py",
        "        left, at = left[done:], at + done",
        "        break",
        ("tests/sink/test_storage.py", "tests/crash"),
    ),
    Sabotage(
        "a failed sync is tried again",
        "vbatch/sink/journal.py",
        "                self._storage.sync(now.fd)\n"
        "        except StorageFull as error:\n"
        "            self._broken = error\n"
        "            raise",
        "                self._storage.sync(now.fd)\n"
        "        except StorageFull:\n"
        "            raise",
        ("tests/sink/test_journal.py", "tests/crash"),
    ),
    Sabotage(
        "requests go on after the disk failed",
        "vbatch/sink/recorder.py",
        "        if self.trouble is not None and (self._dead or entry[0] == codec.ASKED):",
        "        if self.trouble is not None and self._dead:",
        ("tests/sink/test_recorder.py",),
    ),
    Sabotage(
        "what a kill left open is forgotten",
        "vbatch/state.py",
        "        for event in list(tallies.abandoned_asks()):\n            tallies.fold(event)",
        "        pass",
        ("tests/sink", "tests/crash"),
    ),
    Sabotage(
        "a failure displaces an answer",
        "vbatch/sink/replay.py",
        "if place > 0 and not answered and (unchanged or self._stood_before(entry)):",
        "if False:",
        ("tests/sink/test_books.py",),
    ),
    Sabotage(
        "ambiguous faults are asked again without end",
        "vbatch/engine/tries.py",
        "return self.ambiguous <= retry.max_ambiguous and self.counted < retry.max_attempts",
        "return True",
        ("tests/engine/test_tries.py",),
    ),
    Sabotage(
        "a redirect is taken for an answer",
        "vbatch/endpoint/replies.py",
        "    if not 200 <= reply.status < 300:",
        "    if not 200 <= reply.status < 400:",
        ("tests/endpoint/test_client.py", "tests/endpoint/test_replies.py"),
    ),
    Sabotage(
        "an unasked answer is taken",
        "vbatch/endpoint/connection.py",
        "        if self.idle and data:\n            self._found_stray()",
        "        if False:\n            self._found_stray()",
        ("tests/endpoint/test_strays.py", "tests/endpoint/test_connection.py"),
    ),
    Sabotage(
        "an answer that came before its request left is taken",
        "vbatch/endpoint/exchange.py",
        "            if handler.is_quiet():",
        "            if True:",
        ("tests/endpoint/test_connection.py",),
    ),
    Sabotage(
        "a connection that strayed is used again",
        "vbatch/endpoint/connection.py",
        "        self._force_close = True\n",
        "",
        ("tests/endpoint/test_strays.py", "tests/endpoint/test_connection.py"),
    ),
    Sabotage(
        "an answer of any size is read",
        "vbatch/endpoint/client.py",
        "    while size <= cap and not content.at_eof():",
        "    while not content.at_eof():",
        ("tests/endpoint/test_client.py",),
    ),
    Sabotage(
        "overdue attempts are not ended",
        "vbatch/endpoint/deadlines.py",
        "                attempt.expire()",
        "                pass",
        ("tests/endpoint/test_deadlines.py",),
    ),
    Sabotage(
        "files outside the root are read",
        "vbatch/source/disk.py",
        "        if not self._is_inside(_real_path(fd, path, status)):\n"
        "            raise self._outside(ref)\n",
        "",
        ("tests/source/test_disk.py",),
    ),
    Sabotage(
        "private addresses are fetched",
        "vbatch/source/addresses.py",
        "    return not any(ip in network for network in _REFUSED)",
        "    return True",
        ("tests/source/test_addresses.py",),
    ),
    Sabotage(
        "an outage costs rows their attempts",
        "vbatch/endpoint/limits.py",
        "        return not (self._outage.down or self._pause.is_long(now))",
        "        return True",
        ("tests/endpoint/test_limits_trouble.py",),
    ),
    Sabotage(
        "a 429 costs the row an attempt",
        "vbatch/engine/tries.py",
        '_NOT_THE_ROWS_FAULT = frozenset({"rate_limited", "too_many_open_files"})',
        '_NOT_THE_ROWS_FAULT = frozenset({"too_many_open_files"})',
        ("tests/engine/test_tries.py",),
    ),
    Sabotage(
        "every failure is asked again for ever",
        "vbatch/records.py",
        "    if code not in RETRYABLE_CODES:\n        return False\n",
        "",
        ("tests/test_records.py",),
    ),
    Sabotage(
        "a row that cost too often is asked every night",
        "vbatch/records.py",
        "    return possibly_billed <= 2 * (max_ambiguous + 1) and server_errors < 5",
        "    return True",
        ("tests/test_records.py",),
    ),
    Sabotage(
        "a stop throws away answers on their way",
        "vbatch/engine/local.py",
        "            self._worker.stop(stop)",
        "            self._worker.stop(stop)\n            self.cancel()",
        ("tests/engine/test_local.py",),
    ),
    Sabotage(
        "wasted tokens are not counted",
        "vbatch/state.py",
        "        self.wasted_tokens += spent[2] or 0\n",
        "",
        ("tests/test_state.py",),
    ),
)
