"""What the codes mean that stand in the failures table and in the closing line."""

from __future__ import annotations

FAILURES = {
    "connection": "the network or the gateway lost the request; nothing to do but run again",
    "timeout": "no whole answer in time; raise `retry.timeout`, or ask for shorter answers",
    "server_error": "the endpoint failed; run again, and ask the gateway if it stays",
    "bad_response": "what came back was no answer; see `response_body`",
    "rate_limited": "the endpoint had no room, and asked not to be asked again",
    "image_not_found": "the file or URL is not there",
    "image_unreadable": "the file is empty, cut short or damaged, or the URL brought no picture",
    "image_unreachable": "the endpoint could not fetch the URL, and neither could we",
    "bad_row": "the manifest's row cannot be read, or has no prompt; see `file` and `line`",
    "image_forbidden": "outside `images.root`, a special file, or at a private address",
    "image_too_large": "more pixels than can be decoded in safety",
    "image_unsupported": "no JPEG, PNG, GIF or WebP",
    "content_filtered": "the gateway's moderation refused the picture or the prompt",
    "empty_answer": "an answer without text or tool call; its tokens are wasted",
    "schema_mismatch": "the answer does not follow `request.response_schema`, also asked again; "
    "it stands in `response_body`",
    "invalid_request": "the endpoint refused the request; see `message`",
    "request_too_large": "does not fit, even with smaller pictures",
    "response_too_large": "the answer was larger than 16 MiB",
    "too_many_images": "more pictures in one row than the endpoint takes",
}
STOPS = {
    "authentication": "the key is wrong or not allowed",
    "quota": "no credit, or a spending limit is reached",
    "model_not_found": "no such model at this endpoint",
    "redirect": "the endpoint lives elsewhere now",
    "certificate": "the endpoint's certificate is not trusted",
    "invalid_request": "the first 20 rows were all refused alike",
    "wrong_url": "nothing usable at that address",
    "connection": "the endpoint cannot be reached, and nothing was answered",
    "rate_limited": "the endpoint asked for a longer wait than a run takes",
    "outage": "no answer for `retry.max_outage`",
}
EXITS = {
    0: "every row of this invocation is answered",
    2: "the job or the address is wrong; what the job got wrong is said before anything is sent",
    3: "finished, some rows failed: they stand in the failures table",
    4: "stopped, a person is needed; rows not answered stay to do",
    5: "stopped, try later; rows not answered stay to do",
}
