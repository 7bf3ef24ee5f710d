"""Images on disk: only regular files under the roots are ever read, whatever a reference says."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from typing import TYPE_CHECKING

from vbatch.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""A FIFO without writer, or a modem without carrier, would hold up a plain open for ever."""
_OPEN_FILES = "/proc/self/fd"
_NO_PICTURES = ("/proc/", "/sys/", "/dev/")
"""Not read from where the root is ``/``; a root within (``/dev/shm``) is the user's own choice."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(?://)?")
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})


class OutOfFilesError(Exception):
    """No file descriptor is free just now: not the image's fault, and worth another try."""


class OpenFile:
    """A regular file inside the roots; ``identity`` is the same while it is the same, unchanged."""

    __slots__ = ("fd", "identity", "size")

    def __init__(self, fd: int, status: os.stat_result) -> None:
        self.fd = fd
        self.size = status.st_size
        self.identity = (
            *(status.st_dev, status.st_ino, status.st_size),
            *(status.st_mtime_ns, status.st_ctime_ns),
        )

    def read(self) -> bytes:
        """All of it, as long as it was when it was opened."""
        return _read(self.fd, self.size)


class Disk:
    """Opens references relative to ``roots``, of at most ``cap_bytes`` each.

    A relative reference is looked for under each root in turn; an absolute one must lie in a root.
    """

    def __init__(self, roots: Sequence[Path], *, cap_bytes: int) -> None:
        self._cap_bytes = cap_bytes
        self._roots = tuple(dict.fromkeys(os.path.abspath(root) for root in roots))  # noqa: PTH100
        real = (os.path.realpath(root) for root in roots)
        self._inside = tuple(
            dict.fromkeys(os.path.join(root, "") for root in (*self._roots, *real))  # noqa: PTH118
        )
        self._never = tuple(
            system
            for system in _NO_PICTURES
            if not any(root.startswith(system) for root in self._inside)
        )

    @contextlib.contextmanager
    def open(self, ref: str) -> Iterator[OpenFile]:
        """The file, not yet read.

        Raises ImageError: ``image_not_found``, ``image_forbidden`` (outside the roots, or no
        regular file), ``image_too_large``, ``image_unsupported`` (an object store),
        ``image_unreadable``; and OutOfFilesError.
        """
        file = self._opened(ref)
        try:
            yield file
        except OSError as error:
            raise _refusal(error, ref) from error
        finally:
            os.close(file.fd)

    def read(self, ref: str) -> bytes:
        """The file's bytes; raises as ``open``."""
        with self.open(ref) as file:
            return file.read()

    def size(self, ref: str) -> int:
        """The file's size in bytes as far as a glance tells, else 0."""
        status = self._glance(ref)
        return 0 if status is None else min(status.st_size, self._cap_bytes)

    def changed_at(self, ref: str) -> float:
        """When the file last changed or was put there (seconds since the epoch), else 0."""
        status = self._glance(ref)
        return 0.0 if status is None else max(status.st_mtime, status.st_ctime)

    def _glance(self, ref: str) -> os.stat_result | None:
        try:
            for path in self._candidates(ref):
                with contextlib.suppress(OSError, ValueError):
                    return os.stat(path)  # noqa: PTH116 - per row
        except ImageError:
            return None
        return None

    def _candidates(self, ref: str) -> Iterator[str]:
        """Where ``ref`` may be. Raises ImageError before anything outside is even looked at."""
        scheme = _SCHEME.match(ref)
        if scheme:
            _refuse_scheme(scheme[1].lower(), ref)
        if "\0" in ref:
            raise ImageError("image_not_found", f"no file can have the name {ref!r}")
        inside = False
        for root in self._roots:
            path = os.path.normpath(os.path.join(root, ref))  # noqa: PTH118
            if self._is_inside(path):
                inside = True
                yield path
        if not inside:
            raise self._outside(ref)

    def _opened(self, ref: str) -> OpenFile:
        for path in self._candidates(ref):
            try:
                return self._opened_inside(path, ref)
            except (OSError, ValueError) as error:
                if not _is_absence(error):
                    raise _refusal(error, ref) from error
        raise ImageError(
            "image_not_found", f"there is no file {ref!r} under {' or '.join(self._roots)}"
        )

    def _opened_inside(self, path: str, ref: str) -> OpenFile:
        """``path``, if what was opened is a regular file that really lies inside."""
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - before a device is even opened
            raise _not_a_file(ref)
        fd = os.open(path, _FLAGS)
        try:
            return self._checked(fd, path, ref)
        except BaseException:
            os.close(fd)
            raise

    def _checked(self, fd: int, path: str, ref: str) -> OpenFile:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise _not_a_file(ref)
        if not self._is_inside(_real_path(fd, path, status)):
            raise self._outside(ref)
        if status.st_size > self._cap_bytes:
            raise ImageError(
                "image_too_large",
                f"{ref!r} has {status.st_size} bytes; at most {self._cap_bytes} are read",
            )
        return OpenFile(fd, status)

    def _is_inside(self, path: str) -> bool:
        return path.startswith(self._inside) and not path.startswith(self._never)

    def _outside(self, ref: str) -> ImageError:
        return ImageError(
            "image_forbidden",
            f"{ref!r} lies outside {' and '.join(self._roots)}; set [images] root to a folder that "
            "holds it",
        )


def _real_path(fd: int, path: str, status: os.stat_result) -> str:
    """Where the open file is, links resolved, asked of the descriptor: nothing can be swapped."""
    try:
        return os.readlink(f"{_OPEN_FILES}/{fd}")  # noqa: PTH115
    except OSError:
        real = os.path.realpath(path)
        return real if os.path.samestat(os.lstat(real), status) else ""


def _read(fd: int, size: int) -> bytes:
    data = os.read(fd, size)
    while len(data) < size and (more := os.read(fd, size - len(data))):
        data += more
    return data


def _is_absence(error: OSError | ValueError) -> bool:
    """Whether there is no such file; a lone surrogate can stand in no name."""
    return isinstance(error, ValueError) or error.errno in _ABSENT


def _refusal(error: Exception, ref: str) -> Exception:
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return OutOfFilesError(str(error))
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return ImageError("image_unreadable", f"{ref!r} cannot be read: {reason}")


def _not_a_file(ref: str) -> ImageError:
    return ImageError("image_forbidden", f"{ref!r} is no regular file")


def _refuse_scheme(scheme: str, ref: str) -> None:
    if scheme == "file":
        raise ImageError("image_forbidden", f"{ref!r}: file URLs are never read; give a path")
    if ref.startswith("://", len(scheme)):
        raise ImageError(
            "image_unsupported",
            f"{ref!r}: images in object stores are not supported by this version; give a path or "
            "an https:// URL",
        )
