"""A LLaVA and a CLIP of a few thousand random weights each, as ordinary Hugging Face folders."""

from pathlib import Path

TEMPLATE = (
    "{% for message in messages %}{{ 'USER: ' if message['role'] == 'user' else ' ASSISTANT: ' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{{ '<image>\n' if part['type'] == 'image' else part['text'] }}"
    "{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ '</s>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %} ASSISTANT:{% endif %}"
)
TEXTS = [
    "USER: \nWhat is in the picture?\n(A) a dog (B) two cats ASSISTANT: The answer is (A) a dog.",
    "Which colour has the car?\n(A) red (B) green (C) blue (D) white ASSISTANT: The answer is (C) blue.",
]


def save_tiny_llava(
    folder: Path, *, seed: int = 0, chat_template: str | None = TEMPLATE, bos: bool = False
) -> Path:
    """Write model, tokenizer and processor to `folder`; with `bos`, texts start with `<s>`."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>", "<image>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=320, special_tokens=special, show_progress=False, initial_alphabet=alphabet
        ),
    )
    if bos:
        core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens={"image_token": "<image>"},
    )
    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
    )
    text = LlamaConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        vocab_size=len(tokenizer),
        max_position_embeddings=512,
        initializer_range=0.4,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_seq_length=16,
        image_token_id=3,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        pad_token_id=0,
    )
    model = LlavaForConditionalGeneration(config)
    model.save_pretrained(folder)
    side = {"height": 32, "width": 32}
    images = CLIPImageProcessorPil(size=side, crop_size=side, do_center_crop=False)
    LlavaProcessor(
        images,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=chat_template,
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
    return folder


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
