"""An invocation through the one door that the product uses, recorder and threads and all."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from tests.crash.nights import IN_FLIGHT, ROLLING, is_answered
from tests.sink import rows
from vbatch.errors import StorageFull
from vbatch.sink.run_folder import RunFolder
from vbatch.sink.views import Standing


class Restless(rows.Still):
    """A clock on which a short wait is over at once, and a long one never is."""

    async def sleep(self, seconds: float) -> None:
        if seconds > 1:
            await asyncio.Event().wait()
        await asyncio.sleep(0)


class Evening:
    """Asks what is not answered, a few rows at a time; every row is answered if the disk allows.

    ``troubles`` are the storage errors that came up; any other error is a bug and goes through.
    """

    def __init__(self, root, storage, told, name: str) -> None:
        self.root = root
        self.storage = storage
        self.told = told
        self.name = name
        self.troubles: list[StorageFull] = []

    def run(self, wishes: dict[str, str]) -> None:
        asyncio.run(self._run(wishes))

    async def _run(self, wishes) -> None:
        try:
            async with self._folder() as folder:
                history = folder.history()
                await folder.start()
                to_do = [
                    (row_id, digest)
                    for row_id, digest in wishes.items()
                    if not is_answered(history, rows.completed(row_id, digest=digest).result)
                ]
                for start in range(0, len(to_do), IN_FLIGHT):
                    some = to_do[start : start + IN_FLIGHT]
                    await asyncio.gather(*(self._answer(folder, *row) for row in some))
                    await folder.snapshot(Standing())
        except StorageFull as error:
            self.troubles.append(error)

    @asynccontextmanager
    async def _folder(self):
        folder = RunFolder.open(
            self.root,
            clock=Restless(),
            invocation=self.name,
            storage=self.storage,
            rolling=ROLLING,
        )
        try:
            folder.keep(rows.kept())
            yield folder
            await folder.finish(Standing())
        finally:
            folder.close()

    async def _answer(self, folder, row_id, digest) -> None:
        try:
            await folder.record(rows.asked(row_id, digest=digest, invocation=self.name))
        except StorageFull as error:
            self.troubles.append(error)
            return
        response = f"{self.name}/{row_id}"
        answer = rows.completed(
            row_id,
            digest=digest,
            invocation=self.name,
            text=f"{row_id} {digest}",
            response_id=response,
        )
        self.told.doubtful.add(response)
        try:
            await folder.record(answer)
        except StorageFull as error:
            self.troubles.append(error)
        else:
            self.told.doubtful.remove(response)
            self.told.answers.add(response)
