"""Further dialects: the gateways and servers that users bring, from their public references.

Their words are kept as short as a client needs to recognise them by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vbatch.server.dialect import CORE, OPENAI, USUAL, Dialect, Model, Saying

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vbatch.server.dialect import Kind

_BLIND = Model(id="stand-in/text-only", vision=False)
_STREAMING = USUAL | {"stream_options"}
_TAKEN_BY_MISTRAL = (USUAL - {"seed", "user"}) | {"random_seed", "safe_prompt", "prompt_mode"}
_FIVE_MB = 5_000_000
_TWENTY_MB = 20_000_000
_TWENTY_MIB = 20 << 20

_UNKNOWN_MODEL = "The model `{model}` does not exist or you do not have access to it."
_OF_MICROSOFT: Mapping[Kind, Saying] = {
    "key": Saying(401, "Access denied due to invalid subscription key or wrong endpoint.", "401"),
    "model": Saying(404, "The API deployment does not exist.", "DeploymentNotFound"),
    "blind": Saying(400, "Invalid content type. image_url is only supported by certain models."),
    "bytes": Saying(400, "Image size exceeds the maximum of 20 MB.", "BadRequest"),
}
_OF_VLLM: Mapping[Kind, Saying] = {
    "key": Saying(401, "Unauthorized", type="UnauthorizedError"),
    "model": Saying(404, "The model `{model}` does not exist.", type="NotFoundError"),
    "blind": Saying(400, "{model} is not a multimodal model", type="BadRequestError"),
    "images": Saying(
        400, "At most {limit} image(s) may be provided in one prompt.", type="BadRequestError"
    ),
}

FURTHER = (
    Dialect(
        name="azure",
        prefix="/openai/v1",
        version="never",
        models=(Model(id="gpt-4o"), Model(id="o4-mini", reasoning=True), _BLIND),
        fields=OPENAI,
        key_header="api-key",
        key_prefix="",
        says=_OF_MICROSOFT,
        error_form="brief",
        wait="milliseconds",
        extras={"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]},
        text_first=False,
        max_image_bytes=_TWENTY_MIB * 4 // 3,
    ),
    Dialect(
        name="azure-deployment",
        prefix="/openai/deployments/gpt-4o",
        version="must",
        models=(Model(id="gpt-4o"),),
        any_model=True,
        fields=OPENAI,
        key_header="api-key",
        key_prefix="",
        says=_OF_MICROSOFT,
        error_form="brief",
        wait="milliseconds",
        text_first=False,
        max_image_bytes=_TWENTY_MIB * 4 // 3,
    ),
    Dialect(
        name="openrouter",
        prefix="/api/v1",
        models=(Model(id="openai/gpt-4o"), Model(id="google/gemini-2.5-flash"), _BLIND),
        fields=OPENAI | {"provider", "models", "transforms", "reasoning", "usage"},
        cost="cost",
        error_form="routed",
        says={
            "key": Saying(401, "No auth credentials found"),
            "model": Saying(400, "{model} is not a valid model ID"),
            "blind": Saying(404, "No endpoints found that support image input"),
        },
        limit_headers="none",
        vision_mark="architecture",
        extras={"provider": "Stand-in"},
        text_first=False,
    ),
    Dialect(
        name="anthropic",
        models=(Model(id="claude-sonnet-4-5"), Model(id="claude-haiku-4-5"), _BLIND),
        fields=OPENAI,
        list_key_header="x-api-key",
        error_form="typed",
        says={
            "key": Saying(401, "invalid x-api-key"),
            "model": Saying(404, "model: {model}", type="not_found_error"),
            "images": Saying(400, "Too many images: {count}, at most {limit}"),
            "format": Saying(
                400, "image.source.base64: The image was declared {said}, but is {found}"
            ),
            "bytes": Saying(
                400, "image.source.base64: image exceeds 5 MB maximum: {size} bytes > {limit} bytes"
            ),
            "request": Saying(413, "Request exceeds the maximum size", type="request_too_large"),
        },
        limit_headers="dated",
        vision_mark="supported",
        text_first=False,
        max_images=100,
        max_side=8_000,
        max_image_bytes=_FIVE_MB,
        max_request_bytes=32_000_000,
        reckons="encoded",
    ),
    Dialect(
        name="gemini",
        prefix="/v1beta/openai",
        models=(Model(id="gemini-2.5-flash"), Model(id="gemini-2.5-pro"), _BLIND),
        fields=_STREAMING | {"max_completion_tokens", "reasoning_effort", "extra_body"},
        error_form="list",
        says={
            "key": Saying(
                400, "API key not valid. Please pass a valid API key.", "API_KEY_INVALID"
            ),
            "model": Saying(404, "models/{model} is not found for API version v1main"),
            "url": Saying(400, "Invalid value at image_url: only base64 data is taken"),
            "format": Saying(400, "Unsupported MIME type: {found}"),
            "field": Saying(400, 'Invalid JSON payload received. Unknown name "{field}"'),
        },
        wait="body",
        limit_headers="none",
        id_prefix="models/",
        text_first=False,
        urls=False,
        formats=frozenset({"JPEG", "PNG", "WEBP"}),
        max_request_bytes=_TWENTY_MB,
        reckons="encoded",
    ),
    Dialect(
        name="mistral",
        models=(Model(id="mistral-small-latest"), Model(id="pixtral-large-latest"), _BLIND),
        fields=_TAKEN_BY_MISTRAL,
        error_form="flat",
        says={
            "key": Saying(401, "Unauthorized"),
            "model": Saying(400, "Invalid model: {model}", "1500", "invalid_model"),
            "images": Saying(400, "Too many images in request, at most {limit}", "3051"),
            "field": Saying(422, "Extra inputs are not permitted"),
            "bytes": Saying(400, "Image too large: {size} bytes", "3050"),
        },
        limit_headers="mistral",
        vision_mark="vision",
        text_first=False,
        animated_gif=False,
        max_images=8,
        max_image_bytes=10_000_000,
    ),
    Dialect(
        name="groq",
        prefix="/openai/v1",
        models=(Model(id="meta-llama/llama-4-scout-17b-16e-instruct"), _BLIND),
        fields=OPENAI,
        says={
            "key": Saying(401, "Invalid API Key", "invalid_api_key"),
            "model": Saying(404, _UNKNOWN_MODEL, "model_not_found"),
            "images": Saying(
                400, "Too many images provided. This model supports up to {limit} images"
            ),
            "request": Saying(413, "Request Entity Too Large", "request_too_large"),
        },
        extras={"x_groq": {"id": "req_1"}},
        text_first=False,
        max_images=3,
        max_request_bytes=4_000_000,
        reckons="encoded",
    ),
    Dialect(
        name="together",
        models=(Model(id="Qwen/Qwen2.5-VL-72B-Instruct"), _BLIND),
        fields=_STREAMING | {"repetition_penalty", "top_k", "min_p", "safety_model"},
        detail="none",
        stop_word="eos",
        says={
            "key": Saying(401, "Invalid API key provided.", "invalid_api_key"),
            "model": Saying(404, "Unable to access model {model}.", "model_not_available"),
        },
        limit_headers="together",
        window_s=1.0,
        list_form="bare",
        text_first=False,
    ),
    Dialect(
        name="fireworks",
        prefix="/inference/v1",
        models=(Model(id="accounts/fireworks/models/qwen2p5-vl-32b-instruct"), _BLIND),
        fields=OPENAI | {"top_k", "prompt_truncate_len", "context_length_exceeded_behavior"},
        says={
            "key": Saying(401, "The API key you provided is invalid.", "UNAUTHORIZED"),
            "model": Saying(404, "Model not found, inaccessible, and/or not deployed", "NOT_FOUND"),
            "images": Saying(400, "The number of images exceeds the limit of {limit}"),
        },
        limit_headers="fireworks",
        vision_mark="flag",
        text_first=False,
        formats=frozenset({"JPEG", "PNG", "GIF"}),
        max_images=30,
        max_request_bytes=10_000_000,
        reckons="encoded",
    ),
    Dialect(
        name="deepinfra",
        prefix="/v1/openai",
        models=(Model(id="Qwen/Qwen2.5-VL-32B-Instruct"), _BLIND),
        fields=_STREAMING | {"max_completion_tokens", "top_k", "min_p", "repetition_penalty"},
        cost="estimated_cost",
        error_form="detail",
        says={
            "key": Saying(401, "User is not authenticated. Invalid API key."),
            "model": Saying(404, "Model is not available: model {model} not found"),
        },
        limit_headers="none",
        text_first=False,
        formats=frozenset({"JPEG", "PNG", "WEBP"}),
        max_image_bytes=_TWENTY_MB * 4 // 3,
    ),
    Dialect(
        name="xai",
        models=(Model(id="grok-4"), _BLIND),
        fields=OPENAI | {"search_parameters", "deferred"},
        cost="cost_in_usd_ticks",
        error_form="pair",
        says={
            "key": Saying(
                400,
                "Incorrect API key provided. You can obtain an API key from the console.",
                "Client specified an invalid argument",
            ),
            "model": Saying(
                404,
                "The model {model} does not exist or your team does not have access to it.",
                "Some requested entity was not found",
            ),
            "blind": Saying(
                400,
                "Image inputs are not supported by this model.",
                "Client specified an invalid argument",
            ),
        },
        limit_headers="none",
        models_path="/language-models",
        list_form="models",
        vision_mark="input_modalities",
        text_first=False,
        formats=frozenset({"JPEG", "PNG"}),
        max_image_bytes=_TWENTY_MIB * 4 // 3,
    ),
    Dialect(
        name="vllm",
        models=(Model(id="Qwen/Qwen2.5-VL-7B-Instruct"), _BLIND),
        fields=OPENAI,
        lenient=True,
        error_form="number",
        says=_OF_VLLM,
        limit_headers="none",
        text_first=False,
        plain_http=True,
        max_images=4,
    ),
    Dialect(
        name="sglang",
        models=(Model(id="Qwen/Qwen2.5-VL-7B-Instruct"),),
        any_model=True,
        fields=OPENAI,
        lenient=True,
        error_form="flat",
        says={"key": Saying(401, "Unauthorized")},
        limit_headers="none",
        text_first=False,
        plain_http=True,
    ),
    Dialect(
        name="ollama",
        models=(Model(id="llava:latest"), Model(id="qwen2.5vl:7b"), _BLIND),
        fields=CORE
        | {"stream_options", "seed", "stop", "top_p", "response_format", "tools", "user"},
        lenient=True,
        says={
            "model": Saying(404, "model '{model}' not found", type="not_found_error"),
            "blind": Saying(400, "this model does not support image input"),
            "url": Saying(400, "invalid image input"),
            "format": Saying(500, "Failed to load image or audio file", type="api_error"),
        },
        limit_headers="none",
        text_first=False,
        urls=False,
        formats=frozenset({"JPEG", "PNG", "WEBP"}),
    ),
    Dialect(
        name="llamacpp",
        models=(Model(id="gemma-3-4b-it"), _BLIND),
        any_model=True,
        fields=OPENAI,
        lenient=True,
        error_form="number",
        says={
            "key": Saying(401, "Invalid API Key"),
            "blind": Saying(500, "image input is not supported by this server"),
            "format": Saying(500, "Failed to load image or audio file"),
        },
        limit_headers="none",
        list_form="both",
        vision_mark="multimodal",
        text_first=False,
        formats=frozenset({"JPEG", "PNG", "GIF"}),
    ),
    Dialect(
        name="litellm",
        models=(
            Model(id="gpt-4o"),
            Model(id="claude-sonnet"),
            Model(id="o4", reasoning=True),
            _BLIND,
        ),
        fields=OPENAI,
        cost="header",
        error_form="text",
        says={
            "key": Saying(401, "Authentication Error, Invalid proxy server token passed."),
            "model": Saying(400, "Invalid model name passed in model={model}. Call `/v1/models`"),
        },
        wait="provider",
        text_first=False,
    ),
)
