"""A driver and every process it starts, to their end: ``tree.py SECONDS COMMAND…``.

What they leave behind becomes this process's own child, so that its time is counted with theirs
and nothing of it stays. They are told to speak to nobody but the endpoint; what speaks over HTTP
all the same finds a proxy that is not there.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

ADOPT = 36  # PR_SET_CHILD_SUBREAPER, Linux's
NOWHERE = "http://127.0.0.1:9"
GRACE_S = 10.0
QUIET = {
    "HTTP_PROXY": NOWHERE,
    "HTTPS_PROXY": NOWHERE,
    "NO_PROXY": "127.0.0.1,localhost",
    "http_proxy": NOWHERE,
    "https_proxy": NOWHERE,
    "no_proxy": "127.0.0.1,localhost",
    "CURATOR_DISABLE_CACHE": "1",
    "CURATOR_DISABLE_RICH_DISPLAY": "1",
    "DAFT_PROGRESS_BAR": "0",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENAI_API_KEY": "none",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on every system: stay on the loopback address
    "RAY_USAGE_STATS_ENABLED": "0",
    "TELEMETRY_ENABLED": "false",
}


def main(seconds: float, command: list[str]) -> int:
    """Run ``command`` and end what is left; its exit code, 124 where the time was not enough."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(ADOPT, 1, 0, 0, 0)
    home = str(Path.cwd())
    process = subprocess.Popen(command, env={**os.environ, **QUIET, "HOME": home})
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        print(f"not done within {seconds:.0f} s", file=sys.stderr)  # noqa: T201 - read by __main__
        return 124
    finally:
        for word in (signal.SIGTERM, signal.SIGKILL):
            end_children(word)


def end_children(word: signal.Signals) -> None:
    """Tell all children, and those that become ours as they end, and wait for them a while."""
    until = time.monotonic() + GRACE_S
    while (left := children()) and time.monotonic() < until:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, word)
        time.sleep(0.1)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def children() -> list[int]:
    """Processes whose parent this is."""
    tasks = Path("/proc/self/task").glob("*/children")
    return [int(pid) for task in tasks for pid in task.read_text().split()]


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
