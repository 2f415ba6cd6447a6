"""Sentences in the space of an encoder's images: the playground's CLIP, and encoders without a text part."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from project import PROJECT_ROOT

from dataengine_lib.embeddings.encoder import load_encoder
from dataengine_lib.embeddings.text_encoder import load_text_encoder
from dataengine_lib.errors import DataEngineError

DEMO = PROJECT_ROOT / "data_demo"
CLIP = str(DEMO / "models/tiny-clip")


def test_captions_find_their_pictures() -> None:
    """The mean rank of a caption's own picture, by cosine, is far below that of chance."""
    (file,) = (DEMO / "annotations").glob("captions_*.json")
    content = json.loads(file.read_text())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    captions: dict[int, str] = {}
    for row in content["annotations"]:
        captions.setdefault(row["image_id"], row["caption"])
    chosen = sorted(captions)[:40]
    found = {path.name: path for path in (DEMO / "images").rglob("*") if path.is_file()}
    images = []
    for number in chosen:
        with Image.open(found[Path(names[number]).name]) as image:
            images.append(image.convert("RGB"))
    pictures = load_encoder(CLIP, "cpu").encode(images)
    texts = load_text_encoder(CLIP).encode([captions[number] for number in chosen])
    assert texts.shape == pictures.shape and np.allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)
    cosines = texts @ pictures.T
    ranks = (cosines > np.diag(cosines)[:, None]).sum(axis=1)
    assert ranks.mean() < len(chosen) / 4, ranks


def test_long_texts_are_cut_and_the_same_text_has_the_same_vector() -> None:
    encoder = load_text_encoder(CLIP)
    long = "a dog " * 500
    both = encoder.encode([long, "a dog"])
    assert np.allclose(both[1], encoder.encode(["a dog"])[0], atol=1e-5), "padding does not count"


def test_a_missing_encoder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataEngineError):
        load_text_encoder(str(tmp_path / "nowhere"))
