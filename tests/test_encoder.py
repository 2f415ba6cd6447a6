"""Tests of the image encoder: unit vectors, an identity made of weights and preprocessing, clear errors."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_clip import save_tiny_clip

from dataengine_lib.errors import DataEngineError
from dataengine_lib.models.encoder import load_encoder


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
    from transformers import CLIPModel

    encoder = load_encoder(str(folder))
    pixels = np.stack([encoder.prepare(image) for image in pictures(2)])
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


def test_what_is_no_encoder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(DataEngineError, match=r"no config\.json"):
        load_encoder(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DataEngineError, match="encoder cannot be loaded"):
        load_encoder(str(tmp_path))
