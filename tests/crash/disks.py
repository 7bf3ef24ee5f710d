"""Small disks to fill: tmpfs, which needs root."""

from __future__ import annotations

import subprocess

import pytest


class SmallDisks:
    """Mounts small disks, and makes room on them."""

    def __init__(self, folder) -> None:
        self._folder = folder
        self._mounted: list = []

    def mount(self, **options):
        """A new disk, with ``size`` in KiB and what else tmpfs takes."""
        path = self._folder / f"disk-{len(self._mounted)}"
        path.mkdir()
        done = _mount(["-t", "tmpfs", "-o", _words(options), "tmpfs", str(path)])
        if done.returncode:
            pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
        self._mounted.append(path)
        return path

    def remount(self, path, *words: str, **options) -> None:
        options = ",".join(filter(None, ["remount", *words, _words(options)]))
        assert _mount(["-o", options, str(path)]).returncode == 0

    def close(self) -> None:
        for path in self._mounted:
            subprocess.run(["umount", "-l", path], check=True)


def _words(options: dict) -> str:
    sized = {name: f"{value}k" if name == "size" else value for name, value in options.items()}
    return ",".join(f"{name}={value}" for name, value in sized.items())


def _mount(words):
    return subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
