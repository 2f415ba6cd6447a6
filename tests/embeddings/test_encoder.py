"""Tests of the image encoder: unit vectors, an identity made of weights and preprocessing, clear errors."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_models import save_tiny_clip

from dataengine_lib.core.torch_loading import Dtype
from dataengine_lib.embeddings.encoder import load_encoder
from dataengine_lib.embeddings.lazy_encoder import LazyEncoder
from dataengine_lib.errors import DataEngineError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_clip(tmp_path_factory.mktemp("clip"))


def pictures(count: int) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)) for _ in range(count)]


def test_vectors_are_float32_and_of_unit_length(folder: Path) -> None:
    vectors = load_encoder(str(folder)).encode(pictures(5))
    assert vectors.shape == (5, 16)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    assert not np.allclose(vectors[0], vectors[1])


def test_vectors_are_the_models_image_features(folder: Path) -> None:
    import torch
    from transformers import AutoImageProcessor, CLIPModel

    encoder = load_encoder(str(folder))
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    pixels = processor(images=pictures(2), return_tensors="np")["pixel_values"]
    model = CLIPModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        pooled = model.vision_model(pixel_values=torch.from_numpy(pixels)).pooler_output
        expected = torch.nn.functional.normalize(model.visual_projection(pooled), dim=1).numpy()
    assert encoder.encode(pictures(2)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK", "I;16"])
def test_every_colour_mode_is_read(folder: Path, mode: str) -> None:
    image = Image.new(mode, (20, 30))
    assert load_encoder(str(folder)).encode([image]).shape == (1, 16)


def test_identity_is_weights_and_preprocessing_not_the_name(folder: Path, tmp_path: Path) -> None:
    one, same = load_encoder(str(folder)), load_encoder(str(save_tiny_clip(tmp_path / "same")))
    other, larger = (
        load_encoder(str(save_tiny_clip(tmp_path / n, s, z))) for n, s, z in (("o", 1, 32), ("l", 0, 40))
    )
    assert (one.weights_sha256, one.preprocessing) == (same.weights_sha256, same.preprocessing)
    assert one.weights_sha256 != other.weights_sha256
    assert one.preprocessing != larger.preprocessing


def save_vision_model(folder: Path, kind: str, *, pooler: bool = True) -> Path:
    """A random vision-only model with DINOv2's preprocessing."""
    import torch
    from transformers import (
        ConvNextConfig,
        ConvNextModel,
        Dinov2Config,
        Dinov2Model,
        SiglipVisionConfig,
        SiglipVisionModel,
        ViTConfig,
        ViTModel,
    )

    torch.manual_seed(0)
    layers = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes = {**layers, "image_size": 32, "patch_size": 8}
    model = {
        "dinov2": lambda: Dinov2Model(Dinov2Config(**sizes)),
        "siglip": lambda: SiglipVisionModel(SiglipVisionConfig(**sizes)),
        "convnext": lambda: ConvNextModel(ConvNextConfig(hidden_sizes=[8, 8, 8, 32], depths=[1, 1, 1, 1])),
        "vit": lambda: ViTModel(ViTConfig(**sizes), add_pooling_layer=pooler),
    }[kind]()
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(
        """{"image_processor_type": "BitImageProcessor", "do_resize": true, "size": {"shortest_edge": 36}, "resample": 3,
        "do_center_crop": true, "crop_size": {"height": 32, "width": 32}, "do_rescale": true, "do_normalize": true,
        "rescale_factor": 0.00392156862745098, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}"""
    )
    return folder


def test_siglip_works_too(tmp_path: Path) -> None:
    from transformers import SiglipConfig, SiglipModel

    layers = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**layers, "vocab_size": 50, "max_position_embeddings": 8}
    config = SiglipConfig(text_config=text, vision_config={**layers, "image_size": 32, "patch_size": 8})
    SiglipModel(config).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(
        '{"image_processor_type": "SiglipImageProcessor", "size": {"height": 32, "width": 32}}'
    )
    vectors = load_encoder(str(tmp_path)).encode(pictures(3))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)


@pytest.mark.parametrize("kind", ["dinov2", "siglip", "convnext", "vit"])
def test_vision_only_models_work_too(tmp_path: Path, kind: str) -> None:
    import torch
    from transformers import AutoModel

    encoder = load_encoder(str(save_vision_model(tmp_path, kind)), "cpu")
    pixels = encoder._finish(torch.from_numpy(np.stack([encoder.prepare(image) for image in pictures(3)])))
    with torch.inference_mode():
        found = AutoModel.from_pretrained(tmp_path).eval()(pixel_values=pixels)
    expected = (
        found.pooler_output if kind in ("siglip", "convnext") else found.last_hidden_state[:, 0]
    ).numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert encoder.encode(pictures(3)) == pytest.approx(expected, abs=1e-5)
    if kind == "dinov2":
        assert found.pooler_output.numpy() == pytest.approx(found.last_hidden_state[:, 0].numpy())


def test_a_pooling_layer_that_the_checkpoint_lacks_changes_nothing(tmp_path: Path) -> None:
    folder = str(save_vision_model(tmp_path, "vit", pooler=False))
    one, other = load_encoder(folder, "cpu"), load_encoder(folder, "cpu")  # each with its random layer
    assert one.weights_sha256 == other.weights_sha256
    assert np.array_equal(one.encode(pictures(2)), other.encode(pictures(2)))


def test_a_text_model_is_refused(folder: Path, tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    BertModel(
        BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, vocab_size=50)
    ).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_bytes((folder / "preprocessor_config.json").read_bytes())
    with pytest.raises(DataEngineError, match="BertModel is no CLIP, SigLIP or DINOv2"):
        load_encoder(str(tmp_path))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_near_and_comparable(folder: Path, dtype: Dtype) -> None:
    full, half = load_encoder(str(folder), "cpu"), load_encoder(str(folder), "cpu", dtype)
    assert (full.dtype, half.dtype) == ("float32", dtype)
    assert (half.weights_sha256, half.preprocessing) == (full.weights_sha256, full.preprocessing)
    vectors = half.encode(pictures(9))
    assert vectors.dtype == np.float32
    cosines = (full.encode(pictures(9)) * vectors).sum(axis=1)
    assert 0.999 < cosines.min() < 1 - 1e-8


def test_fast_preparation_is_used_where_it_gives_the_same_values(folder: Path, tmp_path: Path) -> None:
    """Otherwise the processor's own preprocessing is used: here for a crop that adds a border."""
    assert load_encoder(str(folder)).prepare(pictures(1)[0]).dtype == np.uint8
    copy = save_tiny_clip(tmp_path / "border")
    file = copy / "preprocessor_config.json"
    file.write_text(file.read_text().replace('"shortest_edge": 32', '"shortest_edge": 20'))
    encoder = load_encoder(str(copy))
    pixels = encoder.prepare(pictures(1)[0])
    assert (pixels.dtype, pixels.shape) == (np.float32, (3, 32, 32))
    assert encoder.encode(pictures(2)).shape == (2, 16)


def test_clip_without_its_package_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "clip", None)
    with pytest.raises(DataEngineError, match=r"clip:ViT-B/32.*pip install"):
        load_encoder("clip:ViT-B/32")


def test_another_package_called_clip_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "clip", types.ModuleType("clip"))
    with pytest.raises(DataEngineError, match="not OpenAI's"):
        load_encoder("clip:ViT-B/32")


def test_openai_clip_is_used_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.visual = torch.nn.Linear(12, 4).half()
            self.visual.input_resolution = 2  # type: ignore[assignment]

        def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.visual(pixels.flatten(1))

    def load(name: str, device: str, jit: bool) -> tuple:
        assert (name, jit) == ("ViT-B/32", False)
        return Model(), lambda image: torch.from_numpy(
            np.asarray(image.resize((2, 2)), dtype=np.float32)
        ).permute(2, 0, 1)

    fake = types.ModuleType("clip")
    fake.load, fake.available_models = load, lambda: ["ViT-B/32"]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "clip", fake)
    vectors = load_encoder("clip:ViT-B/32", "cpu").encode(pictures(3))
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)


def test_a_folder_without_an_encoder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(DataEngineError, match=r"no config\.json"):
        load_encoder(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DataEngineError, match="has no model_type"):
        load_encoder(str(tmp_path))


def test_the_identity_of_an_encoder_is_known_without_loading_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    copy = save_tiny_clip(tmp_path / "copy")
    first, known = LazyEncoder(str(copy), "cpu"), load_encoder(str(folder), "cpu")
    assert (first.weights_sha256, first.preprocessing) == (known.weights_sha256, known.preprocessing)
    assert "loaded" in vars(first)
    second = LazyEncoder(str(copy), "cpu")
    assert (second.weights_sha256, second.preprocessing) == (known.weights_sha256, known.preprocessing)
    assert "loaded" not in vars(second)
    assert second.encode_prepared([second.prepare(pictures(1)[0])]) == pytest.approx(
        known.encode(pictures(1))
    )
    (entry,) = (tmp_path / "cache/mllm-dataengine/encoders").iterdir()
    entry.write_text("{")  # damaged: the encoder is loaded instead
    assert LazyEncoder(str(copy), "cpu").weights_sha256 == known.weights_sha256
    assert LazyEncoder(str(save_tiny_clip(copy, seed=1)), "cpu").weights_sha256 != known.weights_sha256
    settings = copy / "preprocessor_config.json"
    settings.write_text(settings.read_text().replace("0.48", "0.5"))
    assert LazyEncoder(str(copy), "cpu").preprocessing != known.preprocessing


def test_a_missing_encoder_is_reported_on_first_use(tmp_path: Path) -> None:
    with pytest.raises(
        DataEngineError, match=r"none: no such folder; encoder must be a CLIP, SigLIP or DINOv2 model"
    ):
        _ = LazyEncoder(str(tmp_path / "none"), "cpu").weights_sha256


def test_loading_is_quiet_in_a_log(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_encoder(str(folder), "cpu")
    assert "Loading weights" not in capfd.readouterr().err
