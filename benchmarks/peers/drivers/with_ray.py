"""Ray Data: its HTTP processor, with the rows in batches of 64.

An actor asks the rows of a batch one after the other; another one takes a core, of which the
stages around it need one too.
"""

import os
import tempfile

import ray
from given import AT_ONCE, KEY, RETRIES, base_url, bodies, check, rows
from ray.data.llm import HttpRequestProcessorConfig, build_processor

IDS = [row % len(bodies) for row in range(rows)]


def main() -> list[str]:
    """Ask every row."""
    known = ray.put(bodies)
    processor = build_processor(
        HttpRequestProcessorConfig(
            url=f"{base_url}/chat/completions",
            headers={"Authorization": f"Bearer {KEY}"},
            batch_size=AT_ONCE,
            concurrency=max(1, (os.cpu_count() or 1) - 1),
            max_retries=RETRIES,
        ),
        preprocess=lambda row: {"payload": ray.get(known)[row["item"]]},
        postprocess=lambda row: {
            "answer": row["http_response"]["choices"][0]["message"]["content"]
        },
    )
    return [row["answer"] for row in processor(ray.data.from_items(IDS)).take_all()]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as place:
        ray.init(_node_ip_address="127.0.0.1", include_dashboard=False, _temp_dir=place)
        answers = main()
        ray.shutdown()
    check(answers)
