"""Whether an answer is what the job wants, where that is more than any answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vbatch.endpoint.structured import AnswerSchema, MismatchError
from vbatch.engine.tries import Unfit
from vbatch.errors import PermanentError, Remedy

if TYPE_CHECKING:
    from vbatch.job import Job
    from vbatch.records import Completion

CUT = frozenset({"length", "max_tokens", "max_output_tokens"})
"""Finish reasons of answers that ended at their token cap: asked again they end there again."""
_FILTERED = "content_filter"
_BODY_BYTES = 64 * 1024


_WHOLE = frozenset({None, "stop", "eos", "end_turn", "completed", "tool_calls", "stop_sequence"})


def is_whole(completion: Completion) -> bool:
    """Whether an answer ended by itself and is no refusal."""
    return completion.refusal is None and completion.finish_reason in _WHOLE


class UnfitError(PermanentError):
    """The answer does not follow the job's schema. ``unfit`` is what to say of it."""

    def __init__(self, completion: Completion, complaint: str) -> None:
        self.unfit = Unfit(completion.text or "", complaint)
        cut = completion.finish_reason in CUT
        super().__init__(
            "schema_mismatch",
            f"the answer breaks request.response_schema: {complaint}{_advice(completion, cut=cut)}",
            remedy=None if cut else Remedy.ASK_AGAIN,
            body=self.unfit.text.encode(errors="replace")[:_BODY_BYTES].decode(errors="ignore"),
            usage=completion.usage,
        )


class Answers:
    """Checks the answers of one job."""

    def __init__(self, job: Job) -> None:
        schema = job.request.response_schema
        self._schema = None if schema is None else AnswerSchema(schema)

    def checked(self, completion: Completion) -> Completion:
        """``completion``, with what was parsed of it.

        A refusal, a tool call and what the gateway's moderation left of an answer stay as they are.

        Raises UnfitError.
        """
        if self._schema is None or completion.refusal is not None:
            return completion
        if not completion.text and completion.tool_calls is not None:
            return completion
        try:
            return replace(completion, parsed=self._schema.read(completion.text))
        except MismatchError as error:
            if completion.finish_reason == _FILTERED:
                return completion
            raise UnfitError(completion, str(error)) from None


def _advice(completion: Completion, *, cut: bool) -> str:
    if not cut:
        return ""
    return (
        f" (it was cut at its token cap, finish_reason {completion.finish_reason}: raise "
        "request.max_tokens)"
    )
