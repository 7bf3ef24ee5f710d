"""From a file, a command line and an environment to a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from vbatch.errors import JobError, sounds_secret
from vbatch.job import fitting, spoken
from vbatch.job.environment import Environment
from vbatch.job.layers import Tree, layered, stacked, without
from vbatch.job.paths import anchored, default_name
from vbatch.job.resolved import Job
from vbatch.job.tables import Endpoint, JobFile, JobTables, is_folder_name
from vbatch.profile import Profile, is_profile_path, load_profile, toml
from vbatch.profile.problems import Place, Problems, checked, shown
from vbatch.profile.rules import is_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from vbatch.job.spoken import Setting
    from vbatch.records import JsonValue

_COMMAND_LINE = "command line"
_MIN_KEY_CHARS = 4
_KEY = ("endpoint", "api_key_env")
_PROFILE = ("endpoint", "profile")
_OUTPUT = ("output",)
_SCHEMA = ("request", "response_schema")
_STAND_INS: dict[str, Any] = {"manifest": ["-"], "endpoint": {"profile": "-"}}
"""For required keys that are missing or wrong, so that the rest can be looked at."""


def load_job(  # noqa: PLR0913 - so many things make a job
    path: Path | None,
    *,
    overrides: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    env: Mapping[str, str],
    cwd: Path,
    kept_profile: Profile | None = None,
    kept_schema: Mapping[str, JsonValue] | None = None,
    text: str | None = None,
    output: Path | None = None,
    need_key: bool = False,
) -> Job:
    """Return the job that a file, ``-s`` settings and flags amount to.

    ``flags`` may hold manifest, output, profile, model and prompt; None is not set. ``text`` is the
    file's text as a run kept it: ``path`` is then not read, and only says where the file lay.
    ``output`` is where that run lies, whatever file and settings say. ``kept_profile`` stands for
    the built-in profile of its name, ``kept_schema`` for the file that ``request.response_schema``
    names. Without ``need_key``, a key that is missing or cannot be sent
    is left for ``Job.require_key`` to refuse.

    Raises JobError, with everything that is wrong.
    """
    try:
        written = _written(path, text, spoken.of_flags(flags or {}, cwd), cwd)
        reading = _Reading(written, env, overrides, output, kept_schema)
        return reading.job(kept_profile, need_key=need_key)
    except RecursionError:
        raise JobError(f"{path or _COMMAND_LINE}: nested too deeply") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """A job before anything is filled in. ``flags`` are those that the file does not hold."""

    path: Path | None
    text: str
    tree: dict[str, Any]
    base: Path
    cwd: Path
    flags: tuple[Setting, ...]


def _written(
    path: Path | None, text: str | None, flags: tuple[Setting, ...], cwd: Path
) -> _Written:
    """Without a file, the flags are the file; kept text holds them already."""
    where = str(path or _COMMAND_LINE)
    if text is None:
        text = toml.read(cwd / path, where, what="job file") if path else spoken.as_file(flags)
        flags = flags if path else ()
    tree = toml.parse(text, where)
    base = cwd / path.parent if path else cwd
    return _Written(path=path, text=text, tree=tree, base=base, cwd=cwd, flags=flags)


class _Reading:
    """One reading of one job: notes what is wrong on the way, and says it at the end."""

    def __init__(
        self,
        written: _Written,
        env: Mapping[str, str],
        overrides: Sequence[str],
        output: Path | None,
        schema: Mapping[str, JsonValue] | None,
    ) -> None:
        self.written = written
        self.schema = schema
        self.output = output
        self.env = env
        self.problems = Problems(self._where)
        self.environment = Environment(env, self.problems)
        self.settings = (*self._overrides(overrides), *written.flags)

    def _overrides(self, overrides: Sequence[str]) -> list[Setting]:
        settings = []
        for number, text in enumerate(overrides):
            try:
                settings.append(spoken.override(text, self.written.cwd))
            except JobError as error:
                self.problems.add_all(("-s", str(number)), error)
        return settings

    def _where(self, place: Place) -> str:
        """What the key at ``place`` was read from: whatever said it, or a part of it, last."""
        for setting in reversed(self.settings):
            for said in setting.places():
                if said[: len(place)] == place or place[: len(said)] == said:
                    return setting.where
        return str(self.written.path or _COMMAND_LINE)

    def job(self, kept_profile: Profile | None, *, need_key: bool) -> Job:
        """Return the job, or raise JobError."""
        file = self._filled(self.written.tree, self.written.base)
        said = [self._filled(setting.tree(), self.written.cwd) for setting in self.settings]
        profile = self._profile(stacked(file, *said), kept_profile)
        tree = self._with_schema(layered(profile, file, said))
        asked = self._asked(fitting.without_unbuilt(tree, self.problems))
        api_key, key_problem = fitting.key(asked.endpoint.api_key_env, self.env)
        if need_key and key_problem is not None:
            self.problems.add(_KEY, key_problem)
        name = self._name(asked)
        output = str(self.output or asked.output or self.written.base / "runs" / name)
        from_outside = self.environment.secrets_beside(output, str(self.written.path or ""))
        secrets = tuple({*from_outside, *_secrets(asked.endpoint, api_key)})
        self._check(asked, profile, secrets)
        assert profile is not None  # noqa: S101 - that there is none was a problem
        return Job(
            **{table: getattr(asked, table) for table in JobTables.model_fields},
            name=name,
            manifest=asked.manifest,
            output=output,
            endpoint=_without_path(asked.endpoint, profile.request.path),
            profile=profile,
            base=self.written.base,
            path=self.written.path and self.written.cwd / self.written.path,
            source_text=self.written.text,
            overrides=tuple(setting.text for setting in self.settings),
            api_key=api_key,
            key_problem=key_problem and f"{self._where(_KEY)}: {'.'.join(_KEY)}: {key_problem}",
            secrets=secrets,
        )

    def _filled(self, tree: dict[str, Any], folder: Path) -> dict[str, Any]:
        """``tree`` with values for references and absolute paths; a known output is not read."""
        if self.output is not None:
            tree = without(tree, _OUTPUT)
        return anchored(self.environment.fill(tree), folder)

    def _with_schema(self, tree: dict[str, Any]) -> dict[str, Any]:
        """``tree`` with the schema as a run keeps it in the place of its file's name."""
        if self.schema is None:
            return tree
        return stacked(without(tree, _SCHEMA), {_SCHEMA[0]: {_SCHEMA[1]: self.schema}})

    def _profile(self, tree: Tree, kept: Profile | None) -> Profile | None:
        endpoint = tree.get("endpoint")
        name = endpoint.get("profile") if isinstance(endpoint, dict) else None
        if not is_text(name) or _PROFILE in self.problems:
            return None  # noted already, or about to be
        if kept is not None and kept.name == name:
            return kept
        try:
            return load_profile(str(name), self.written.base)
        except JobError as error:
            if is_profile_path(str(name)):
                self.problems.add_all(_PROFILE, error)
            else:
                self.problems.add(_PROFILE, error.message)
        return None

    def _asked(self, tree: dict[str, Any]) -> JobFile:
        """The tree as tables; what is wrong in it is noted and left out."""
        asked = checked(JobFile, stacked({"endpoint": {}}, tree), self.problems)
        if asked is not None:
            return asked
        for place in self.problems:
            tree = without(tree, place)
        return JobFile.model_validate(stacked(_STAND_INS, tree))

    def _name(self, asked: JobFile) -> str:
        name = asked.name or default_name(self.written.path, asked.manifest)
        if not is_folder_name(name):
            self.problems.add(("name",), f"required, as no folder can be called {shown(name)}")
        return name

    def _check(self, asked: JobFile, profile: Profile | None, secrets: Sequence[str]) -> None:
        fitting.check_local(asked, self.problems)
        if profile is not None:
            fitting.check(asked, profile, self.problems)
        self.problems.raise_if_any(secrets)


def _secrets(endpoint: Endpoint, api_key: str | None) -> Iterator[str]:
    """What is secret by its nature, wherever it came from."""
    if api_key is not None and len(api_key) >= _MIN_KEY_CHARS:
        yield api_key
    for name, value in endpoint.headers.items():
        if sounds_secret(name):
            yield from (
                word for word in (value, *value.split()[-1:]) if len(word) >= _MIN_KEY_CHARS
            )
    if endpoint.proxy is not None and (password := urlsplit(endpoint.proxy).password):
        yield password


def _without_path(endpoint: Endpoint, path: str) -> Endpoint:
    """``base_url`` without the path that each request adds to it, where people copied it along."""
    if endpoint.base_url is None or not endpoint.base_url.endswith(path):
        return endpoint
    return endpoint.model_copy(update={"base_url": endpoint.base_url.removesuffix(path)})
