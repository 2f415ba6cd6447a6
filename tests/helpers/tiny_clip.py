"""A CLIP of a few thousand random weights, saved as an ordinary Hugging Face folder, for the tests of step 2."""

from pathlib import Path


def save_tiny_clip(folder: Path, seed: int = 0, size: int = 32) -> Path:
    """Write model and image processor to `folder`; other seed, other weights."""
    import torch
    from transformers import CLIPConfig, CLIPModel

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    layers = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**layers, "vocab_size": 50, "max_position_embeddings": 8, "bos_token_id": 0, "eos_token_id": 1}
    config = CLIPConfig(
        text_config=text, vision_config={**layers, "image_size": size, "patch_size": 8}, projection_dim=16
    )
    CLIPModel(config).save_pretrained(folder)
    settings = f"""{{"image_processor_type": "CLIPImageProcessor", "do_resize": true, "size": {{"shortest_edge": {size}}},
      "do_center_crop": true, "crop_size": {{"height": {size}, "width": {size}}}, "do_rescale": true,
      "do_normalize": true,
      "image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28], "resample": 3}}"""
    (folder / "preprocessor_config.json").write_text(settings)
    return folder
