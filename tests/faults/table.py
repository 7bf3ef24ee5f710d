"""Every fault an endpoint is known for, with what it costs and becomes.

The suite plays each of them, and ``tests.faults.page`` makes docs/faults.md of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults import answers, network, statuses, throttling

if TYPE_CHECKING:
    from tests.faults.expected import Fault


@dataclass(frozen=True)
class Family:
    """Faults that mean the same to a person; ``advice`` says what, and what to do."""

    title: str
    advice: str
    faults: tuple[Fault, ...]


FAMILIES = (
    Family(
        "The endpoint is not reached",
        "Nothing was sent, so nothing was paid, and no row uses up an attempt. Look at "
        "`endpoint.base_url`, the network and the proxy. A certificate is never taken on trust.",
        network.UNREACHED,
    ),
    Family(
        "The connection breaks after the request has left",
        "Whether the endpoint did the work, and billed it, cannot be known. Such a request is "
        "counted as possibly billed and sent again at most `retry.max_ambiguous` times. If all "
        "break after the same time, ask for shorter answers, or for more time at the gateway.",
        network.BROKEN,
    ),
    Family(
        "What comes back is no HTTP",
        "Something between here and the endpoint garbles answers, or the address is another "
        "service's.",
        network.GARBLED,
    ),
    Family(
        "What comes back is too much",
        "Reading stops at 16 MiB, compressed or not. Something is wrong with the model or the "
        "gateway; `vbatch retry` asks such rows again.",
        network.OVERSIZED,
    ),
    Family(
        "Answers that nobody asked for",
        "What arrives on a connection between two requests is never taken for an answer. From then "
        "on each request has a connection of its own, and rows answered over the connection are "
        "listed under `suspect` in run.json: look at those. An answer that arrives while another "
        "is awaited cannot be told apart: `endpoint.keep_alive = false` leaves no room for those.",
        network.STRAYS,
    ),
    Family(
        "Redirects and the proxy's login",
        "A redirect is never followed: it would carry images and key to an address you have not "
        "chosen. If it is the right one, set `endpoint.base_url` to it.",
        network.REDIRECTS + network.PROXY,
    ),
    Family(
        "A key that cannot be sent",
        "Found before the first request. Set the variable that `endpoint.api_key_env` names.",
        network.KEYS,
    ),
    Family(
        "Status 200, and no answer in it",
        "Usually a login page, a firewall or a wrong address. It is asked again, as the model may "
        "have answered behind it.",
        answers.UNREADABLE,
    ),
    Family(
        "Status 200, and the answer in another shape",
        "Read like any other answer.",
        answers.SHAPES,
    ),
    Family(
        "Status 200, and an error in it",
        "The error counts as if its code were the status.",
        answers.INSIDE,
    ),
    Family(
        "Status 200, and nothing said",
        "The tokens were paid for and stand in the row and under `wasted_tokens`. Often the token "
        "cap is too small for a model that thinks first: raise `request.max_tokens`, then "
        "`vbatch retry --only empty_answer`.",
        answers.EMPTY,
    ),
    Family(
        "Answers that ended in an unusual way",
        "Paid for, so kept; `finish_reason` and `refusal` say how they ended. "
        "`vbatch retry --finish-reason length -s request.max_tokens=…` asks cut ones again.",
        answers.ENDINGS,
    ),
    Family(
        "Usage that is missing or odd",
        "The answer is kept. What is not known is null, and totals are printed with ≥.",
        answers.USAGES,
    ),
    Family("Odd values", "Brought to the column's type; no answer is lost.", answers.ODDITIES),
    Family(
        "The request is refused",
        "The endpoint does not like this row. `message` and `response_body` in failures say why. "
        "If the first 20 rows are all refused alike, the job is to blame, and the run stops.",
        statuses.REFUSALS,
    ),
    Family(
        "Not found",
        "Before anything is answered that means a wrong address, afterwards a matter of this row.",
        statuses.WRONG_ADDRESS,
    ),
    Family("Money", "Top up, or raise the limit at the gateway, and run again.", statuses.MONEY),
    Family(
        "The key",
        "The key is wrong, expired or not allowed to do this.",
        statuses.KEYS,
    ),
    Family("The model", "`vbatch models` lists what is there.", statuses.MODELS),
    Family(
        "Moderation",
        "The gateway does not want this picture or prompt. Other rows go on.",
        statuses.MODERATION,
    ),
    Family(
        "The endpoint cannot fetch a picture's URL",
        'With `images.send = "auto"` the picture is fetched here and sent inline once, if it can '
        "be. The table shows what becomes of it where that is not so.",
        statuses.UNFETCHED,
    ),
    Family(
        "Too large, or too many",
        "The pictures are made smaller and sent once more; later ones of that size are made "
        "smaller at once. To choose the size yourself set `images.max_side` or `images.max_bytes`.",
        statuses.OVERSIZED,
    ),
    Family(
        "The token cap's name",
        "Some models take `max_completion_tokens` instead of `max_tokens`. The name is switched "
        "once, for the whole run.",
        statuses.FIELDS,
    ),
    Family(
        "Statuses after which the work may have been done",
        "A gateway gave up waiting for a model that may still have answered.",
        statuses.MAYBE,
    ),
    Family(
        "Turned away before any work",
        "Asked again after a while, up to `retry.max_attempts`. Ten faults in a row over different "
        "rows mean that the endpoint is down: then all rows wait without using up attempts, and "
        "one request at a time looks whether it is back, for at most `retry.max_outage`.",
        statuses.REFUSED,
    ),
    Family(
        "Too many requests",
        "The whole endpoint is left alone for as long as it asks, and no row uses up an attempt. "
        "Up to 15 minutes are waited for; for longer the run stops, to be taken up later.",
        throttling.THROTTLED,
    ),
)

TABLE = tuple(fault for family in FAMILIES for fault in family.faults)
