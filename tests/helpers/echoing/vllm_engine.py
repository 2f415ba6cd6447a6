"""A stand-in of vLLM's offline engine: the signatures and checks of vLLM 0.22.1 for what the student calls.

Source: https://docs.vllm.ai/en/v0.22.1/api/vllm/ (entrypoints.llm, sampling_params, outputs, logprobs, lora.request).
Whatever the interface does not have is a TypeError, as there.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from math import log
from types import ModuleType
from typing import Any

import msgspec
from PIL import Image

# the whole text of a question and its image (None: without one) -> the probability of each first token, or a text
Answers = Callable[[str, Image.Image | None], dict[str, float] | str]


class SamplingParams(msgspec.Struct):
    """Of the fields of 0.22.1 those of plain sampling."""

    n: int = 1
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = 16
    logprobs: int | None = None
    prompt_logprobs: int | None = None

    def __post_init__(self) -> None:
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, got {self.max_tokens}.")
        if self.temperature < 0:
            raise ValueError(f"temperature must be non-negative, got {self.temperature}.")


@dataclass
class Logprob:
    logprob: float
    rank: int | None = None
    decoded_token: str | None = None


@dataclass
class CompletionOutput:
    index: int
    text: str
    token_ids: Sequence[int]
    cumulative_logprob: float | None
    logprobs: list[dict[int, Logprob]] | None
    finish_reason: str | None = None


@dataclass
class RequestOutput:
    request_id: str
    outputs: list[CompletionOutput]


class LoRARequest(msgspec.Struct):
    lora_name: str
    lora_int_id: int
    lora_path: str = ""
    base_model_name: str | None = None

    def __post_init__(self) -> None:
        if self.lora_int_id < 1:
            raise ValueError(f"id must be > 0, got {self.lora_int_id}")


@dataclass
class Engine:
    """What was asked of the stand-in: arguments of each `LLM`, and (text, image, sampling, adapter) of each request."""

    made: list[dict[str, Any]] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)  # conversations of each call of `chat`
    asked: list[tuple[str, Image.Image | None, SamplingParams, LoRARequest | None]] = field(
        default_factory=list
    )


def _part(part: dict[str, Any]) -> str | Image.Image:
    """The text or image of a part of a message; the kinds that a text and a PIL image have."""
    kind = part["type"]
    assert set(part) == {"type", kind} and kind in ("text", "image_pil"), part
    assert isinstance(part[kind], str if kind == "text" else Image.Image)
    return part[kind]  # type: ignore[no-any-return]


@contextmanager
def vllm_engine(
    answers: Answers, most_characters: int = 10_000, fault: Exception | None = None
) -> Iterator[Engine]:
    """`import vllm` gives the stand-in within the block.

    A longer prompt than `most_characters` is refused as too long; where a `fault` is given, `chat` raises it.
    """
    engine = Engine()

    class LLM:
        def __init__(
            self, model: str, *, dtype: str = "auto", tensor_parallel_size: int = 1, seed: int = 0,
            trust_remote_code: bool = False, gpu_memory_utilization: float = 0.92, **engine_args: Any,
        ) -> None:  # fmt: skip
            known = {"enable_prefix_caching", "limit_mm_per_prompt", "enable_lora", "max_lora_rank"}
            if unknown := set(engine_args) - known:  # as EngineArgs(**kwargs) does
                raise TypeError(f"EngineArgs.__init__() got an unexpected keyword argument {min(unknown)!r}")
            if dtype not in ("auto", "half", "float16", "bfloat16", "float", "float32"):
                raise ValueError(f"Unknown dtype: {dtype!r}")
            if engine_args.get("max_lora_rank", 16) not in (1, 8, 16, 32, 64, 128, 256, 320, 512):
                raise ValueError("max_lora_rank: Input should be 1, 8, 16, 32, 64, 128, 256, 320 or 512")
            if model == "no/such-model":
                raise OSError("no/such-model is not a local folder\nand is not a valid model identifier")
            self.lora = engine_args.get("enable_lora", False)
            engine.made.append(
                {
                    "model": model, "dtype": dtype, "tensor_parallel_size": tensor_parallel_size, "seed": seed,
                    "trust_remote_code": trust_remote_code, **engine_args,
                }
            )  # fmt: skip

        def chat(
            self,
            messages: Sequence[list[dict[str, Any]]],
            sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
            use_tqdm: bool = True,
            lora_request: LoRARequest | None = None,
            chat_template: str | None = None,
            chat_template_content_format: str = "auto",
            add_generation_prompt: bool = True,
            continue_final_message: bool = False,
            tools: list[dict[str, Any]] | None = None,
            chat_template_kwargs: dict[str, Any] | None = None,
            tokenization_kwargs: dict[str, Any] | None = None,
            mm_processor_kwargs: dict[str, Any] | None = None,
        ) -> list[RequestOutput]:
            assert isinstance(sampling_params, SamplingParams) and add_generation_prompt
            if lora_request is not None and not self.lora:
                raise ValueError(f"Got lora_request {lora_request} but LoRA is not enabled!")
            if fault is not None:
                raise fault
            requests = []
            for (message,) in messages:
                assert set(message) == {"role", "content"} and message["role"] == "user"
                parts = [_part(part) for part in message["content"]]
                images = [part for part in parts if isinstance(part, Image.Image)]
                assert len(images) <= 1
                text = "".join(part for part in parts if isinstance(part, str))
                if len(text) > most_characters:
                    raise ValueError(
                        f"The decoder prompt (length {len(text)}) is longer than the maximum model length of "
                        f"{most_characters}."
                    )
                requests.append((text, images[0] if images else None, sampling_params, lora_request))
            engine.calls.append(len(requests))
            engine.asked += requests
            return [
                RequestOutput(str(number), [_completion(answers(text, image), params)])
                for number, (text, image, params, _) in enumerate(requests)
            ]

    vllm, lora, request = ModuleType("vllm"), ModuleType("vllm.lora"), ModuleType("vllm.lora.request")
    vllm.LLM, vllm.SamplingParams, request.LoRARequest = LLM, SamplingParams, LoRARequest  # type: ignore[attr-defined]
    vllm.__spec__ = ModuleSpec("vllm", None)  # by which the package is found to be installed
    modules = {"vllm": vllm, "vllm.lora": lora, "vllm.lora.request": request}
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        yield engine
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def _completion(answer: dict[str, float] | str, params: SamplingParams) -> CompletionOutput:
    if isinstance(answer, str):
        words = answer.split(" ")
        kept = words[: params.max_tokens]  # a token a word
        end = "stop" if len(kept) == len(words) else "length"
        return CompletionOutput(0, " ".join(kept), range(len(kept)), None, None, end)
    assert params.max_tokens == 1
    likeliest = max(answer, key=lambda token: answer[token])
    listed = None
    if params.logprobs is not None:
        assert params.logprobs <= 20, "Requested sample logprobs greater than max allowed: 20"
        order = sorted(answer, key=lambda token: -answer[token])[: params.logprobs]
        # by the tokens' ids, in no order that says which is the likeliest
        ids = {sum(token.encode()): (rank, token) for rank, token in enumerate(order, 1)}
        listed = [{n: Logprob(log(answer[token]), rank, token) for n, (rank, token) in sorted(ids.items())}]
    return CompletionOutput(0, likeliest, (0,), log(answer[likeliest]), listed, "length")
