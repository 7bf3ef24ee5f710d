"""Phrases by which endpoints are known to say what is wrong. Pure.

Gathered from the public error references of the gateways and servers that profiles name. They are
looked for in an error's code, type and message (lower case), and only where the status leaves
several readings open.
"""

from __future__ import annotations

import re

_Known = re.Pattern[str]


def _any_of(*phrases: str) -> _Known:
    return re.compile("|".join(phrases))


BAD_KEY = _any_of(
    r"\b(invalid|incorrect|missing|expired|no|wrong)[ _]api[ _-]?key",
    r"api[ _-]?key (is )?(not valid|not found|invalid|incorrect|missing|expired|revoked)",
    r"\bapi_key_invalid\b",
    r"\binvalid_authentication\b",
    r"\bauthentication_error\b",
)
MONEY = _any_of(
    r"credit balance",
    r"usage limits",
    r"insufficient[ _](quota|credit|balance|fund)",
    r"spend(ing)?[ _]limit",
    r"billing[ _](hard[ _])?limit",
    r"billing_not_active",
    r"out of credit",
    r"budget[ _](has been )?(exceeded|exhausted|spent)",
    r"exceeded (?!.{0,40}token budget).{0,40}budget",
)
MONEY_OR_PACE = _any_of(r"exceeded your current quota")
"""Said of an empty account, and by some gateways of requests a minute: then they name a wait."""

MODERATED = _any_of(
    r"moderation",
    r"content[ _-]?(policy|filter)",
    r"content management policy",
    r"responsibleai",
    r"safety (system|policy|filter|reason)",
    r"\bflagged\b",
    r"\b(sexual|violent|harmful) content",
    r"violat\w+ .{0,40}(polic|guideline)",
)

_MODEL_NAME = (
    r"(?:model(?: id| name)?[: ]+(?!is |does |was |has |not )[`'\"“]?[\w./:@-]+[`'\"”]?"
    r"|models/[\w./:@-]+)"
)
_GONE = (
    r"(?:was |is |does |has been )*(?:not (?:been )?(?:found|exist|available|supported)|unknown|"
    r"invalid|not a valid|deprecated|doesn't exist|decommissioned|retired)"
)
NO_MODEL = _any_of(
    r"\bmodel_(not_found|not_available|not_supported|decommissioned)\b",
    r"\b(unknown|invalid|no such|unsupported)[ _]model\b",
    rf"\b{_MODEL_NAME},? {_GONE}",
    r"not a valid model",
    r"\bdeploymentnotfound\b",
    r"no endpoints found",
    r"\bmodel not found\b",
    r"\bmodel: \S+\nnot_found_error\b",
)
BLIND = _any_of(
    r"image inputs? (is|are) not supported",
    r"is not a multimodal model",
    r"image_url is only supported by certain models",
    r"(does not|doesn't|do not|cannot) (support|take|accept) (image|vision)s?+( inputs?+)?+\b"
    r"(?!/| (of|in|with|via|by|from|at|as|larger|bigger|over|above|exceeding|data|detail|mime|"
    r"types?|formats?|urls?|files?|sizes?)\b)",
)
"""Said of a model that sees no images at all, by some servers with a 500. What goes on (of that
size, in GIF format, via URL) is about one image, and stops no run."""
BAD_IMAGE = _any_of(
    r"failed to (load|decode|process) (the )?(image|bitmap)",
    r"cannot identify image file",
    r"\binvalid image (input|data|format)",
)
"""Said with a 500 by servers that fall over an image: it is not better the second time."""

UNFETCHED = _any_of(
    r"invalid_image_url",
    r"(could not|couldn't|cannot|can't|unable to|failed to|failure to|error while|error) "
    r"(be )?(fetch|download|retriev)",
    r"(could not|couldn't|cannot|can't|unable to|failed to) (access|open|load|read) .{0,40}\burl",
    r"timeout while (fetch|download)",
    r"(image|file)[ _]?url .{0,80}(not (be )?(accessible|reachable|fetched|downloaded|retrieved))",
)
TOO_MANY_IMAGES = _any_of(
    r"too[ _]many[ _]images",
    r"at most [0-9]+ image",
    r"(number of images|image count|images per (request|prompt|message)).{0,60}"
    r"(exceed|limit|maximum|at most|more than|allowed)",
    r"(exceed|more than|maximum|at most|only|up to|limit of).{0,40}"
    r"(number of images|[0-9]+ images|images per)",
)
TOO_LARGE = _any_of(
    r"image[s_ ].{0,80}(too[ _](large|big)|exceed|larger than|over the limit)",
    r"image.{0,60}maximum (allowed )?(size|resolution|dimension)",
    r"(resolution|dimensions?|pixels|image size|file size|image bytes).{0,80}"
    r"(too|exceed|larger|greater|maximum|limit|must be (less|at most|below)|at most)",
    r"(request|payload|body|content|file)([ _](entity|size|body))?( is)?[ _]too[ _]large",
    r"exceed.{0,60}(image size|resolution|dimension|pixel|payload|request size|bytes?\b)",
    r"(too high|too large|excess\w*).{0,20}resolution",
    r"\b(payload|request|image)_too_large\b",
)
TOO_LONG = _any_of(
    r"context_length_exceeded",
    r"(maximum|max) context length",
    r"prompt is too long",
    r"context (window|length|size).{0,40}exceed",
    r"exceed.{0,40}context (window|length|size)",
)
REFUSED_FIELD = _any_of(
    r"unsupported[ _]parameter",
    r"unknown[ _]parameter",
    r"is not supported",
    r"extra_forbidden",
    r"extra inputs are not permitted",
    r"unrecognized (request argument|field|parameter)",
    r"unknown (field|argument)",
    r"use 'max_(completion_)?tokens' instead",
)
TOKEN_FIELDS = _any_of(r"\bmax_(completion_)?tokens\b")

_LIMIT_AND_NEED = re.compile(r"limit:? ([0-9][0-9,]*)\b.{0,40}?requested:? ([0-9][0-9,]*)\b")


def never_fits(words: str) -> bool:
    """Whether one request is larger than the whole limit: "Limit 30000, Requested 31538"."""
    found = _LIMIT_AND_NEED.search(words)
    if found is None:
        return False
    limit, need = (int(number.replace(",", "")[:18]) for number in found.groups())
    return need > limit
