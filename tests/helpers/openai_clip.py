"""A small random CLIP in both formats, for the tests of step 2: OpenAI's checkpoint and a transformers folder.

`python openai_clip.py FOLDER`, with OpenAI's package on the path, embeds the images of FOLDER/images through both.
"""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

WIDTH, LAYERS, SIZE, PATCH, EMBED = 64, 3, 64, 16, 32
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def random_clip(seed: int = 0) -> Any:
    """A `clip.model.CLIP` of random weights; `clip` must be importable."""
    import torch
    from clip.model import CLIP

    torch.manual_seed(seed)
    return CLIP(EMBED, SIZE, LAYERS, WIDTH, PATCH, 8, 50, WIDTH, 1, 1).eval()


def save_as_transformers(model: Any, folder: Path) -> Path:
    """The same weights as a Hugging Face folder, with the preprocessing of OpenAI's package."""
    from transformers import CLIPConfig, CLIPModel

    shape = {
        "hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "num_attention_heads": 1,
        "hidden_act": "quick_gelu",
    }
    text = {
        "vocab_size": 50,
        "max_position_embeddings": 8,
        "num_hidden_layers": 1,
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    vision = {"image_size": SIZE, "patch_size": PATCH, "num_hidden_layers": LAYERS}
    config = CLIPConfig(text_config=shape | text, vision_config=shape | vision, projection_dim=EMBED)
    theirs = CLIPModel(config)
    theirs.load_state_dict(_renamed(model.state_dict(), theirs.state_dict().keys()))
    theirs.save_pretrained(folder)
    settings = {
        "image_processor_type": "CLIPImageProcessor", "do_resize": True, "size": {"shortest_edge": SIZE}, "resample": 3,
        "do_center_crop": True, "crop_size": {"height": SIZE, "width": SIZE}, "do_rescale": True,
        "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": MEAN, "image_std": STD,
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


def _renamed(ours: dict[str, Any], names: Any) -> dict[str, Any]:
    """OpenAI's names and shapes to transformers': one matrix for query, key and value becomes three."""
    parts = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}
    found = {
        "logit_scale": ours["logit_scale"],
        "text_projection.weight": ours["text_projection"].T,
        "visual_projection.weight": ours["visual.proj"].T,
        "text_model.embeddings.token_embedding.weight": ours["token_embedding.weight"],
        "text_model.embeddings.position_embedding.weight": ours["positional_embedding"],
        "vision_model.embeddings.class_embedding": ours["visual.class_embedding"],
        "vision_model.embeddings.patch_embedding.weight": ours["visual.conv1.weight"],
        "vision_model.embeddings.position_embedding.weight": ours["visual.positional_embedding"],
    }
    for theirs, mine in (
        ("text_model.final_layer_norm", "ln_final"),
        ("vision_model.pre_layrnorm", "visual.ln_pre"),
        ("vision_model.post_layernorm", "visual.ln_post"),
    ):
        found |= {f"{theirs}.{kind}": ours[f"{mine}.{kind}"] for kind in ("weight", "bias")}
    for theirs, mine, layers in (
        ("text_model", "transformer", 1),
        ("vision_model", "visual.transformer", LAYERS),
    ):
        for n in range(layers):
            there, here = f"{theirs}.encoder.layers.{n}", f"{mine}.resblocks.{n}"
            for kind in ("weight", "bias"):
                for one, part in zip("qkv", ours[f"{here}.attn.in_proj_{kind}"].chunk(3), strict=True):
                    found[f"{there}.self_attn.{one}_proj.{kind}"] = part
                found[f"{there}.self_attn.out_proj.{kind}"] = ours[f"{here}.attn.out_proj.{kind}"]
                found |= {
                    f"{there}.{name}.{kind}": ours[f"{here}.{old}.{kind}"] for old, name in parts.items()
                }
    return {name: value.contiguous() for name, value in found.items() if name in names}


def main(folder: Path) -> None:
    """Write stores of the same weights to `folder`: `state`, `script`, `transformers`, and `bfloat16` of the first.

    `messages.json` holds the errors for two encoders that cannot be loaded.
    """
    import torch

    from dataengine_lib.embeddings.encoder import load_encoder
    from dataengine_lib.embeddings.openai_clip import _import_clip
    from dataengine_lib.steps.embed import EmbedConfig, embed

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torchvision without its operators must not disturb
        _import_clip("clip:test")
    model = random_clip()
    torch.save(model.state_dict(), folder / "state.pt")
    inputs = {
        "encode_image": torch.zeros(1, 3, SIZE, SIZE),
        "encode_text": torch.zeros(1, 8, dtype=torch.long),
    }
    torch.jit.save(torch.jit.trace_module(model, inputs), folder / "script.pt")  # as OpenAI publishes
    save_as_transformers(model, folder / "hf")
    torch.save({"visual.proj": torch.zeros(2, 2)}, folder / "other.pt")
    stores = {
        "state": (f"clip:{folder}/state.pt", "float32"),
        "script": (f"clip:{folder}/script.pt", "float32"),
        "transformers": (f"{folder}/hf", "float32"),
        "bfloat16": (f"clip:{folder}/state.pt", "bfloat16"),
    }
    for name, (encoder, dtype) in stores.items():
        values = {
            "image_root": folder / "images",
            "encoder": encoder,
            "output": folder / name,
            "dtype": dtype,
        }
        embed(EmbedConfig(**values, device="cpu"))
    messages = {}
    for name in (f"{folder}/other.pt", "ViT-Z/99"):
        try:
            load_encoder(f"clip:{name}", "cpu")
        except Exception as error:
            messages[Path(name).name] = f"{type(error).__name__}: {error}"
    (folder / "messages.json").write_text(json.dumps(messages))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
