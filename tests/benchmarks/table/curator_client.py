"""Sends prompts with curator's client (bespokelabs-curator), for teacher_flow.py; run by the Python that has it.

`python curator_client.py PROMPTS.json BASE_URL REQUESTS_PER_MINUTE`; ends with a line of JSON: processor seconds, replies.
Tokens are counted by words, since tiktoken would download its vocabulary; that takes curator less time, not more.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ |= {"TELEMETRY_ENABLED": "false", "OPENAI_API_KEY": "none", "CURATOR_DISABLE_CACHE": "true"}
os.environ |= {"HF_DATASETS_OFFLINE": "1", "CURATOR_DISABLE_RICH_DISPLAY": "1"}

import tiktoken


class Words:
    """In place of a vocabulary."""

    def encode(self, text: str, **_: object) -> list[str]:
        return text.split()


tiktoken.get_encoding = lambda name: Words()
tiktoken.encoding_for_model = lambda name: Words()

from bespokelabs import curator  # noqa: E402  # reads what is set above


def main() -> None:
    prompts, url, per_minute = json.loads(Path(sys.argv[1]).read_text()), sys.argv[2], int(sys.argv[3])
    with tempfile.TemporaryDirectory() as cache:
        os.environ["CURATOR_CACHE_DIR"] = cache
        model = curator.LLM(
            model_name="gpt-4o-mini",
            backend="openai",
            backend_params={
                "base_url": url,
                "max_requests_per_minute": per_minute,
                "max_tokens_per_minute": 10**9,
            },
        )
        began = time.process_time()
        found = model(prompts)
        replies = len(getattr(found, "dataset", found))
    print(json.dumps({"processor": time.process_time() - began, "replies": replies}))


if __name__ == "__main__":
    main()
