"""The same readers under a coverage-guided fuzzer: ``python -m tests.corpora.guided replies``.

Needs ``pip install atheris``. Whatever follows the reader's name goes to libFuzzer, such as
``-max_total_time=600``. What it finds is left in the working folder as ``crash-...``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["vbatch"]):
    from tests.corpora import answers, lines, pictures, strangers, tables
    from tests.corpora.cases import Case
    from tests.corpora.rows import read_all
    from tests.corpora.test_answers import judge as judge_answer
    from tests.corpora.test_images import judge as judge_picture
    from vbatch.endpoint.reply import Reply

FOLDER = Path(tempfile.mkdtemp())


def jsonl(data):
    """Read as a manifest."""
    path = FOLDER / "m.jsonl"
    path.write_bytes(data)
    read_all(path)


def parquet(data):
    """Read as a table."""
    path = FOLDER / "m.parquet"
    path.write_bytes(data)
    read_all(path)


def images(data):
    """Prepare as a picture."""
    judge_picture(Case("guided", data))


def replies(data):
    """Read as a reply, its status made of the first byte."""
    status = answers.STATUSES[data[0] % len(answers.STATUSES)] if data else 200
    judge_answer(answers.Heard("guided", Reply(status=status, body=data[1:])))


def seeds(reader):
    """Bytes to begin with."""
    if reader == "replies":
        return [b"\0" + heard.reply.body for heard in answers.statuses()][:21]
    if reader == "images":
        return [*pictures.good().values(), *(case.data for case in strangers.polyglots())]
    if reader == "parquet":
        return [tables.plain()]
    return [case.data for case in list(lines.odd_values())[::20]]


def main():
    """Fuzz the reader that is named."""
    reader, *options = sys.argv[1:]
    corpus = FOLDER / "seeds"
    corpus.mkdir()
    for number, data in enumerate(seeds(reader)):
        (corpus / str(number)).write_bytes(data)
    atheris.Setup([sys.argv[0], *options, str(corpus)], globals()[reader])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
