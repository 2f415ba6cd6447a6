"""Step 2: the image encoder, CLIP, SigLIP or DINOv2; by its vectors the images like a bad case's image are found."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from dataengine_lib.core.machine.threads import threads_for, works_at_once
from dataengine_lib.core.model_files.model_folder import check_model_files, check_model_folder, loading_fault
from dataengine_lib.core.text import one_line
from dataengine_lib.core.torch_loading import Dtype, quiet_in_logs
from dataengine_lib.embeddings.openai_clip import load_openai_clip
from dataengine_lib.embeddings.pixels import Preparation, preparation_of
from dataengine_lib.errors import DataEngineError

# settings of a transformers image processor that decide the pixel values
_PREPROCESSING_KEYS = (
    "do_resize", "size", "resample", "do_center_crop", "crop_size", "do_rescale", "rescale_factor",
    "do_normalize", "image_mean", "image_std",
)  # fmt: skip
_MODEL_FAMILIES = "CLIP, SigLIP or DINOv2"  # for messages


class Encoder:
    """Turns images into vectors: `encode(images)` gives `(n, d)` float32 of unit length.

    `prepare(image)` gives one image's pixels `(3, h, w)`, uint8 or float32, and may be called from several threads.
    So may `encode_prepared`, inside of `threads_for(parameters)`.
    Vectors may be compared when `weights_sha256` and `preprocessing` are equal; `name` and `dtype` (what the model
    computes in) are for information only.
    """

    def __init__(
        self,
        name: str,
        *,
        vision: Callable[[torch.Tensor], torch.Tensor],
        prepare: Callable[[Image.Image], np.ndarray],
        fast: Preparation | None,
        weights: dict[str, torch.Tensor],
        preprocessing: dict[str, Any],
        device: str,
        dtype: str,
    ) -> None:
        """`vision` maps pixel values `(n, 3, h, w)` to features `(n, d)`; `weights` are those that take part.

        `prepare` is the model's own preprocessing to float32 `(3, h, w)`; `fast` replaces it where both agree.
        """
        self.name = name
        self.device = device
        self.dtype = dtype
        self.parameters = sum(tensor.numel() for tensor in weights.values())
        self.weights_sha256 = _weights_sha256(weights)
        self.preprocessing = preprocessing
        if fast is not None and not fast.agrees(prepare):
            fast = None
        self.prepare = fast.prepare if fast is not None else prepare
        self._finish = fast.finish if fast is not None else torch.Tensor.float
        self._vision = vision

    @property
    def batches_at_once(self) -> int:
        """How many batches are worth being embedded at the same time: several by a small model on a processor."""
        return works_at_once(self.parameters) if torch.device(self.device).type == "cpu" else 1

    def encode(self, images: Sequence[Image.Image]) -> np.ndarray:
        """`(n, d)` float32 vectors of unit length, in the images' order."""
        return self.encode_prepared([self.prepare(image) for image in images])

    def encode_prepared(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        """As `encode`, for pixels that come from `prepare`."""
        batch = torch.from_numpy(np.stack(pixels)).to(self.device)
        dtype = getattr(torch, self.dtype)
        # autocast with float32 weights: operations that lose too much in half precision (layer norm) stay float32
        autocast = torch.autocast(torch.device(self.device).type, dtype, enabled=dtype != torch.float32)
        with torch.inference_mode(), autocast, threads_for(self.parameters):
            features = self._vision(self._finish(batch))
        vectors: np.ndarray = features.float().cpu().numpy()
        # 1e-12 as in torch.nn.functional.normalize: a vector of zeros stays one
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def load_encoder(name: str, device: str = "auto", dtype: Dtype = "auto") -> Encoder:
    """Load `clip:MODEL` or `clip:FILE` (OpenAI's `clip` package), or a transformers model by name or folder.

    transformers models may be CLIP, SigLIP, or have a class token or a pooled output, like DINOv2. With `auto` the
    device is a GPU if there is one, and the dtype float32 on a CPU, float16 on a GPU. Raises DataEngineError with the
    remedy when the model or its package is missing.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype == "auto":
        dtype = "float32" if torch.device(device).type == "cpu" else "float16"
    load = _load_clip if name.startswith("clip:") else _load_transformers
    return load(name, device, dtype)


def _load_clip(name: str, device: str, dtype: str) -> Encoder:
    model, preprocess = load_openai_clip(name)
    model = model.to(device).eval()
    size = int(model.visual.input_resolution)

    def prepare(image: Image.Image) -> np.ndarray:
        pixels: np.ndarray = preprocess(image.convert("RGB")).numpy()
        return pixels

    # the last of the package's torchvision transforms is Normalize(mean, std)
    normalize = getattr(preprocess, "transforms", [None])[-1]
    mean, std = (tuple(getattr(normalize, key, ())) for key in ("mean", "std"))
    # as clip/clip.py builds its transforms: resize the shorter edge (bicubic), crop the centre, normalise
    fast = Preparation(size, (size, size), Image.Resampling.BICUBIC, 1 / 255, mean, std, half_even=True)
    return Encoder(
        name,
        vision=model.encode_image,
        prepare=prepare,
        fast=fast if mean and std else None,
        weights={key: value for key, value in model.state_dict().items() if key.startswith("visual.")},
        preprocessing={"size": size},
        device=device,
        dtype=dtype,
    )


def _load_transformers(name: str, device: str, dtype: str) -> Encoder:
    from transformers import AutoImageProcessor, AutoModel

    check_model_folder(name, "encoder")
    check_model_files(name, "encoder")
    try:
        # always the PIL processor, also where torchvision is installed: their resizing differs, and so would vectors
        with quiet_in_logs():
            # False, not left out: without it transformers asks on the terminal whether to run the repository's code
            processor = AutoImageProcessor.from_pretrained(name, backend="pil", trust_remote_code=False)
            loaded: Any = AutoModel.from_pretrained(name, trust_remote_code=False, output_loading_info=True)
    except Exception as error:  # for a damaged or foreign file, each library raises errors of its own
        if fault := loading_fault(name, error, "encoder"):
            raise DataEngineError(f"{name}: {fault}") from error
        line = one_line(str(error))[:200]
        raise DataEngineError(
            f"{name}: encoder cannot be loaded ({line}); give a {_MODEL_FAMILIES} name or folder, or clip:ViT-B/32"
        ) from error
    model, loading_info = loaded
    model = model.float().to(device).eval()
    vision, takes_part = _vision_of(name, model)
    # transformers fills missing weights with random numbers, and only logs it
    if missing := sorted(key for key in loading_info["missing_keys"] if takes_part(key)):
        raise DataEngineError(
            f"{name}: {len(missing)} weights of the encoder are missing, {missing[0]} among them; copy or download the "
            "model again, all of its files from one place"
        )

    def prepare(image: Image.Image) -> np.ndarray:
        pixels = processor(images=image.convert("RGB"), return_tensors="np")["pixel_values"][0]
        return np.asarray(pixels, dtype=np.float32)

    settings = {
        key: _json_value(value)
        for key, value in processor.to_dict().items()
        if key in _PREPROCESSING_KEYS and value is not None
    }
    return Encoder(
        name,
        vision=vision,
        prepare=prepare,
        fast=preparation_of(settings),
        weights={key: value for key, value in model.state_dict().items() if takes_part(key)},
        preprocessing={key: settings[key] for key in _PREPROCESSING_KEYS if key in settings},
        device=device,
        dtype=dtype,
    )


def _vision_of(name: str, model: Any) -> tuple[Callable[[torch.Tensor], torch.Tensor], Callable[[str], bool]]:
    """The function from pixel values to one vector for each image, and which weights take part in it (by name).

    CLIP and SigLIP: the image features that are compared with texts. Others: the class token of the last layer, as
    DINOv2 uses for retrieval (arXiv 2304.07193), or the pooled output of models without a class token.
    """
    if hasattr(model, "get_image_features") and hasattr(model, "vision_model"):

        def features(pixels: torch.Tensor) -> torch.Tensor:
            found = model.get_image_features(pixel_values=pixels)
            # transformers 4 gives the tensor, 5 an output whose pooled part is that tensor
            return found if isinstance(found, torch.Tensor) else found.pooler_output

        # vision_model.… of both, and CLIP's visual_projection
        return features, lambda key: key.startswith(("vision_", "visual_"))
    if hasattr(model, "get_image_features") and hasattr(model, "language_model"):
        raise DataEngineError(
            f"{name}: {type(model).__name__} is a vision-language model, which student takes; give "
            f"{_MODEL_FAMILIES} as encoder"
        )
    if hasattr(model, "get_image_features") or getattr(model, "main_input_name", "") != "pixel_values":
        raise DataEngineError(
            f"{name}: {type(model).__name__} is no {_MODEL_FAMILIES}; give one of those as encoder"
        )
    if any(key.endswith("cls_token") for key, _ in model.named_parameters()):
        # the pooling layer is left out: checkpoints may lack it, and then its weights would be random
        return lambda pixels: model(pixel_values=pixels).last_hidden_state[:, 0], (
            lambda key: not key.startswith("pooler.")
        )

    def pooled(pixels: torch.Tensor) -> torch.Tensor:
        found = getattr(model(pixel_values=pixels), "pooler_output", None)
        if found is None:
            raise DataEngineError(
                f"{name}: {type(model).__name__} has neither class token nor pooled output; "
                f"give {_MODEL_FAMILIES} as encoder"
            )
        return found.flatten(1)

    return pooled, lambda key: True


def _json_value(value: Any) -> Any:
    """A setting as it comes back from JSON: sizes are given as a mapping class, means as tuples."""
    if hasattr(value, "keys"):
        return {key: value[key] for key in value if value[key] is not None}
    return list(value) if isinstance(value, tuple) else value


def _weights_sha256(weights: dict[str, torch.Tensor]) -> str:
    """SHA-256 over names and float32 values in the order of the names, so that file format and dtype do not count."""
    digest = hashlib.sha256()
    for key in sorted(weights):
        # integer tensors are position indices, which only some versions of transformers store
        if weights[key].is_floating_point():
            digest.update(
                key.encode() + b"\0" + weights[key].detach().float().cpu().contiguous().numpy().tobytes()
            )
    return digest.hexdigest()
