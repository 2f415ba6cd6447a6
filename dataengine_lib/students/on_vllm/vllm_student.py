"""Step 1, `student: vllm:NAME`: vLLM's offline engine in this process answers in chats, as behind vLLM's server.

Source: the public interface of vLLM 0.22.1 (`LLM`, `SamplingParams`, `RequestOutput`, `LoRARequest`),
https://docs.vllm.ai/en/v0.22.1/api/vllm/entrypoints/llm/. The calls are tested against a stand-in of it; no run on a GPU
was made.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from dataengine_lib.chat.reply import AskFailed
from dataengine_lib.core.model_files.model_folder import (
    check_adapter_folder,
    check_model_folder,
    lora_rank,
)
from dataengine_lib.core.reasoning import after_reasoning
from dataengine_lib.core.text import one_line
from dataengine_lib.core.torch_loading import Dtype
from dataengine_lib.errors import DataEngineError
from dataengine_lib.students.interface import InputRefused, RankedText
from dataengine_lib.students.on_server.first_token_requests import (
    BY_LETTER,
    IN_WORDS,
    ranked_prompt,
    read_first_token,
)
from dataengine_lib.students.on_server.first_tokens import FirstToken
from dataengine_lib.students.on_server.rank_counts import RankCounts, rank_counts

_NEEDS_VLLM = (
    "needs vLLM, which is not installed; run: pip install vllm (in an environment of its own, since it brings its "
    "torch), or serve the model elsewhere and give api:MODEL"
)
_TOP = 20  # log-probabilities of a place; vLLM lists at most max_logprobs, which is 20
# What vLLM writes of one question that it cannot take; other faults are of the engine, and of every question.
# Sources: vllm/v1/engine/input_processor.py ("The decoder prompt (length 9) is longer than the maximum model length of 8",
# "… plus the number of requested output tokens … is longer than the maximum model length", "… prompt contains a(n) image
# item …, which exceeds the pre-allocated encoder cache size"), vllm/renderers ("This model's maximum context length is 8
# tokens. However, …"), vllm/multimodal/processing ("Failed to apply LlavaProcessor on data=…") and
# vllm/entrypoints/chat_utils ("Found more '<image>' placeholders in input prompt than actual multimodal data items.").
_REFUSAL = re.compile(
    r"longer than the maximum\s+model length|maximum context length|pre-allocated encoder cache size|^Failed to apply "
    r"|placeholders in input prompt than actual"
)
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM's max_lora_rank may be


class VllmStudent:
    """Asks a model of vLLM about pictures, all questions of a call at once.

    vLLM batches them itself, and keeps the keys and values of equal beginnings and the features of equal images.
    `adapter` is a folder with a LoRA; `gpus` are used together; `max_output_tokens` has to suffice for models that reason
    before they answer. `ranked` counts the requests that this object ranked. Raises DataEngineError where vLLM is not
    installed, or cannot load the model.
    """

    def __init__(
        self,
        name: str,
        adapter: Path | str | None = None,
        *,
        dtype: Dtype = "auto",
        gpus: int = 1,
        max_output_tokens: int = 2000,
    ) -> None:
        self.name, self.max_output_tokens = name, max_output_tokens
        check_model_folder(name, "student")
        more: dict[str, Any] = {}
        if adapter is not None:
            check_adapter_folder(str(adapter))
            more = {"enable_lora": True, "max_lora_rank": _max_rank(str(adapter))}
        try:
            import vllm
            from vllm.lora.request import LoRARequest
        except ImportError as error:
            missing = isinstance(error, ModuleNotFoundError) and error.name == "vllm"
            fault = (
                _NEEDS_VLLM
                if missing
                else f"vLLM cannot be imported ({one_line(str(error))[:200]}); install it anew"
            )
            raise DataEngineError(f"student vllm:{name}: {fault}") from error
        self._sampling_params = vllm.SamplingParams
        self._adapter = None if adapter is None else LoRARequest(Path(adapter).name, 1, str(adapter))
        try:
            self._engine = vllm.LLM(
                model=name,
                dtype=dtype,
                tensor_parallel_size=gpus,
                seed=0,
                trust_remote_code=False,
                enable_prefix_caching=True,
                limit_mm_per_prompt={"image": 1},
                **more,
            )
        except Exception as error:  # of vLLM, of its workers' processes, of transformers and torch
            raise DataEngineError(
                f"student vllm:{name}: vLLM cannot load it ({one_line(str(error))[:300] or type(error).__name__}); give a "
                "model that vLLM supports, or leave vllm: out to load it with transformers"
            ) from error
        self._ranked: list[FirstToken] = []

    @property
    def ranked(self) -> RankCounts:
        """Counts of all requests that were ranked since it was made."""
        return rank_counts(self._ranked)

    def rank(
        self,
        images: Sequence[Image.Image | None],
        prompts: Sequence[str],
        choices: Sequence[Sequence[str]],
        scored: RankedText = "letter",
    ) -> list[list[float] | AskFailed]:
        """The log-probability of each option of `prompts[i]` as the answer's first token, or why there is none.

        As of a student on a server: one token is asked for, options are known by their letters, or with `scored` of `words`
        by the one word that each is. AskFailed is `declined` where the tokens that are listed cannot tell which option is
        the most probable one. Raises InputRefused when vLLM refuses one of the questions, DataEngineError when it fails.
        """
        asked = [ranked_prompt(*one, scored) for one in zip(prompts, choices, strict=True)]
        written = self._chat(images, [text for text, _ in asked], max_tokens=1, logprobs=_TOP)
        scores = []
        for output, (_, names) in zip(written, asked, strict=True):
            # of the first token: {token's id: its logprob and text}; a text is None where no token is written as text
            listed = output.logprobs[0].values() if output.logprobs else []
            top = sorted(((one.decoded_token or "", one.logprob) for one in listed), key=lambda one: -one[1])
            found, row = read_first_token(top, names)
            self._ranked.append(found)
            scores.append(row)
        return scores

    def generate(
        self,
        images: Sequence[Image.Image | None],
        prompts: Sequence[str],
        *,
        choices: Sequence[Sequence[str]] | None = None,
        max_new_tokens: int = 8,
    ) -> list[str | AskFailed]:
        """What the student answers to `prompts[i]` about `images[i]` (None: no image is sent), or why it gave no answer.

        The prompt asks for short answers, and `max_new_tokens` is not used: it would cut off models that reason. Raises
        InputRefused when vLLM refuses one of the questions, DataEngineError when it fails.
        """
        ending = IN_WORDS if choices is None else BY_LETTER
        texts = [f"{prompt}\n{ending}" for prompt in prompts]
        written = self._chat(images, texts, max_tokens=self.max_output_tokens)
        return [self._answer(output) for output in written]

    def _chat(self, images: Sequence[Image.Image | None], texts: Sequence[str], **sampling: int) -> list[Any]:
        """What vLLM writes for each question, greedily, as its `CompletionOutput`."""
        if not texts:
            return []
        conversations = [_conversation(*one) for one in zip(images, texts, strict=True)]
        params = self._sampling_params(temperature=0.0, seed=0, **sampling)
        try:
            found = self._engine.chat(conversations, params, use_tqdm=False, lora_request=self._adapter)
        except Exception as error:  # of vLLM, of its workers' processes, of transformers and torch
            fault = one_line(str(error))[:200] or type(error).__name__
            if _REFUSAL.search(str(error)):
                raise InputRefused(fault) from error
            raise DataEngineError(
                f"student vllm:{self.name}: vLLM cannot answer ({fault}); its answers so far are kept, run again, or leave "
                "vllm: out to load it with transformers"
            ) from error
        return [request.outputs[0] for request in found]

    def _answer(self, output: Any) -> str | AskFailed:
        text, unfinished = after_reasoning(output.text)
        if unfinished or output.finish_reason == "length":
            return AskFailed(
                f"cut off at max_output_tokens={self.max_output_tokens}; raise it", teacher_at_fault=False
            )
        return text


def _conversation(image: Image.Image | None, text: str) -> list[dict[str, Any]]:
    """One user message; the image comes first, so that questions about one image share their beginning."""
    shown = [] if image is None else [{"type": "image_pil", "image_pil": image}]
    return [{"role": "user", "content": [*shown, {"type": "text", "text": text}]}]


def _max_rank(adapter: str) -> int:
    """The smallest value of vLLM's max_lora_rank that an adapter fits into; 64 for a hub name, whose files are not here."""
    rank = lora_rank(adapter) if Path(adapter).is_dir() else 64
    if rank is None:
        raise DataEngineError(
            f"{adapter}: no LoRA, and vLLM takes no other adapter; merge it into a model's folder, or leave vllm: out"
        )
    found = next((one for one in _RANKS if one >= rank), None)
    if found is None:
        raise DataEngineError(
            f"{adapter}: a LoRA of rank {rank}, where vLLM takes up to {_RANKS[-1]}; merge it into a model's folder"
        )
    return found
