"""Data stays data: nothing that vbatch reads is ever run."""

from __future__ import annotations

import ast
import json
import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vbatch
from tests.conftest import ROOT

PACKAGE = sorted((ROOT / "vbatch").rglob("*.py"))
MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "joblib", "code", "yaml", "imp", "pty"}
"""Whose very import would be a way from data to code."""
CALLS = {"eval", "exec", "compile", "__import__", "execfile", "input"}
ATTRIBUTES = {
    "system",
    "popen",
    "spawnl",
    "spawnv",
    "execv",
    "execve",
    "literal_eval",
    "exec_module",
    "unsafe_load",
    "read_pickle",
    "compile_expression",
    "allow_pickle",
}
OURS = {"vbatch/cli/verbs.py": {"importlib.import_module"}}
"""Imports by name: the names are those of our own verbs, never data."""


def dotted(node) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def dangers(source: str) -> list[str]:
    """Every way from data to code that ``source`` takes."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found += [alias.name for alias in names if alias.name.split(".")[0] in MODULES]
            case ast.ImportFrom(module=str(module)):
                found += [module] if module.split(".")[0] in MODULES else []
            case ast.Call(func=ast.Name(id=name)) if name in CALLS:
                found.append(name)
            case ast.Call(func=ast.Attribute(attr="import_module") as func):
                found.append(dotted(func))
            case ast.Call(func=ast.Attribute(attr=name) as func) if name in ATTRIBUTES:
                found.append(dotted(func))
            case ast.keyword(arg="shell", value=ast.Constant(value=False)):
                pass
            case ast.keyword(arg="shell" | "allow_pickle" as name):
                found.append(name)
    return found


def test_no_module_turns_data_into_code():
    found = {str(path.relative_to(ROOT)): set(dangers(path.read_text())) for path in PACKAGE}

    assert {path: ways for path, ways in found.items() if ways} == OURS


@pytest.mark.parametrize(
    "source",
    [
        "eval('1')",
        "import pickle",
        "from yaml import safe_load",
        "import os; os.system('x')",
        "subprocess.run('x', shell=True)",
        "subprocess.run('x', shell=flag)",
        "numpy.load(path, allow_pickle=True)",
        "__import__(name)",
        "import importlib; importlib.import_module(name)",
        "environment.compile_expression(text)",
    ],
)
def test_the_search_finds_what_it_is_for(source):
    assert dangers(source)


class Bomb:
    """Leaves a trace wherever it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return (Path.touch, (self.trace,))


def test_a_pickle_in_a_parquet_file_is_never_opened(endpoint, workshop):
    """As a Python-defined extension type, as pandas metadata, and as a cell's bytes."""
    server = endpoint(dialect="openai")
    trace = workshop.folder / "trace"
    poison = pickle.dumps(Bomb(trace))
    extension = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": poison,
    }
    pandas = {"index_columns": [], "columns": [{"name": "cell", "pandas_type": "object"}]}
    schema = pa.schema(
        [
            pa.field("id", pa.string()),
            pa.field("image", pa.string()),
            pa.field("prompt", pa.string()),
            pa.field("cell", pa.binary(), metadata=extension),
            pa.field("note", pa.string(), metadata={**extension, b"PANDAS:pickle": poison}),
        ],
        metadata={b"pandas": json.dumps(pandas).encode(), b"pickle": poison, **extension},
    )
    columns = [["a"], [workshop.picture("one.jpg")], ["?"], [poison], ["note"]]
    table = pa.table([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema)
    pq.write_table(table, workshop.folder / "manifest.parquet")
    job = workshop.job(server.base_url)
    job.write_text(job.read_text().replace("manifest.jsonl", "manifest.parquet"))

    summary = vbatch.run(job)

    assert summary.answered == 1
    assert vbatch.open_run(workshop.folder / "run").results().num_rows == 1
    assert not trace.exists()
    pickle.loads(poison)
    assert trace.exists()  # so it would have been left


def test_a_job_file_is_data_and_reads_only_what_it_names(endpoint, workshop, monkeypatch):
    """``${NAME}`` of any variable is by design; nothing else in a job file is looked up."""
    monkeypatch.chdir(workshop.folder)
    workshop.rows(1)
    (workshop.folder / "secret.txt").write_text("canary-in-a-file")
    words = ["$(cat secret.txt)", "`cat secret.txt`", "@secret.txt", "file:secret.txt", "!include"]
    server = endpoint(dialect="openai")
    workshop.manifest([{"id": "a", "image": "one.jpg"}])
    prompt = " ".join(words).replace("$", "$$")

    summary = vbatch.run(workshop.job(server.base_url, request={"prompt": prompt}))

    assert summary.answered == 1
    assert [entry.prompt for entry in server.entries] == [" ".join(words)]
