"""Step 2: sentences as vectors in the space of an encoder's images, where it is a CLIP or SigLIP."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from dataengine_lib.core.machine.threads import parameter_count, threads_for
from dataengine_lib.core.model_files.model_folder import check_model_files, check_model_folder, loading_fault
from dataengine_lib.core.text import one_line
from dataengine_lib.core.torch_loading import quiet_in_logs
from dataengine_lib.embeddings.openai_clip import load_openai_clip
from dataengine_lib.errors import DataEngineError

_NEEDS = "sentences need a CLIP or SigLIP as encoder"


class TextEncoder:
    """`encode(texts)` gives `(n, d)` float32 of unit length, comparable with the vectors that the encoder gives images."""

    def __init__(self, features: Callable[[Sequence[str]], torch.Tensor], parameters: int) -> None:
        """`features` maps texts to vectors `(n, d)`; `parameters` are those of its model."""
        self._features, self._parameters = features, parameters

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """A vector for each text; what is longer than the model reads is cut."""
        with torch.inference_mode(), threads_for(self._parameters):
            vectors: np.ndarray = self._features(list(texts)).float().cpu().numpy()
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def load_text_encoder(name: str) -> TextEncoder:
    """The text part of `clip:MODEL`, or of a transformers CLIP or SigLIP by name or folder, in float32 on the CPU.

    Raises DataEngineError when the model cannot be loaded, or has no text part.
    """
    return _load_openai(name) if name.startswith("clip:") else _load_transformers(name)


def _load_openai(name: str) -> TextEncoder:
    model, _ = load_openai_clip(name)
    model = model.eval()
    import clip  # type: ignore[import-not-found]  # load_openai_clip has checked that it is OpenAI's

    return TextEncoder(
        lambda texts: model.encode_text(clip.tokenize(texts, truncate=True)), parameter_count(model)
    )


def _load_transformers(name: str) -> TextEncoder:
    from transformers import AutoModel, AutoTokenizer

    check_model_folder(name, "encoder")
    check_model_files(name, "encoder")
    try:
        with quiet_in_logs():
            # False, not left out: without it transformers asks on the terminal whether to run the repository's code
            loaded: Any = AutoModel.from_pretrained(name, trust_remote_code=False, output_loading_info=True)
            model, loading_info = loaded
            if not hasattr(model, "get_text_features"):
                raise DataEngineError(
                    f"{name}: {type(model).__name__} has no text part; {_NEEDS}, and images alone can be compared"
                )
            tokenizer: Any = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except DataEngineError:
        raise
    except Exception as error:  # for a damaged or foreign file, each library raises errors of its own
        fault = loading_fault(name, error, "encoder") or one_line(str(error))[:200]
        raise DataEngineError(f"{name}: no sentence can be encoded ({fault}); {_NEEDS}") from error
    # transformers fills missing weights with random numbers, and only logs it
    if missing := sorted(key for key in loading_info["missing_keys"] if key.startswith("text_")):
        raise DataEngineError(
            f"{name}: {len(missing)} weights of the text part are missing, {missing[0]} among them; {_NEEDS}"
        )
    model = model.float().eval()
    longest = int(model.config.text_config.max_position_embeddings)
    # SigLIP was trained on texts that are filled up to its full length, and without a mask
    is_siglip = "siglip" in str(model.config.model_type)

    def features(texts: Sequence[str]) -> torch.Tensor:
        rows = [_ended(tokenizer, text, longest) for text in texts]
        fill = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
        width = longest if is_siglip else max(map(len, rows))
        ids = torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        found = model.get_text_features(
            **{"input_ids": ids} | ({} if is_siglip else {"attention_mask": mask})
        )
        # transformers 4 gives the tensor, 5 an output whose pooled part is that tensor
        return found if isinstance(found, torch.Tensor) else found.pooler_output

    return TextEncoder(features, parameter_count(model))


def _ended(tokenizer: Any, text: str, longest: int) -> list[int]:
    """The token ids of a text, at most `longest`; the last one is the end mark, at which CLIP reads the vector."""
    ids: list[int] = tokenizer(text)["input_ids"]
    end = tokenizer.eos_token_id
    if end is None:
        return ids[:longest]
    body = ids[:-1] if ids and ids[-1] == end else ids
    return [*body[: longest - 1], end]
