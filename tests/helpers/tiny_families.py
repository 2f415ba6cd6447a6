"""Small random checkpoints of the families that step 1 supports, saved as ordinary Hugging Face folders."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

TEXTS = [
    "USER: \nWhat is in the picture?\n(A) a dog (B) two cats ASSISTANT: The answer is (A) a dog.",
    "Which colour has the car?\n(A) red (B) green (C) blue (D) white ASSISTANT: The answer is (C) blue.",
]
_SIZES: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
    "max_position_embeddings": 2048, "initializer_range": 0.4, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
_TOWER: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "patch_size": 8,
    "initializer_range": 0.4,
}  # fmt: skip


def template(image: str, start: str = "") -> str:
    """A chat template that writes `image` for an image."""
    return (
        start + "{% for message in messages %}{{ message['role'] }}: {% for part in message['content'] %}"
        "{{ '" + image + "' if part['type'] == 'image' else part['text'] }}{% endfor %}"
        "{{ '</s>\n' if message['role'] == 'assistant' else '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )


def tokenizer(image: str, *more: str, bos: bool = False, **names: str) -> Any:
    """A byte-level tokenizer of 320 tokens, `image` and others among them; `names` as its attributes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<pad>", "<s>", "</s>", image, *more],
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    core.train_from_iterator(TEXTS, trainer)
    if bos:
        core.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens=names,
    )


def llava_next(folder: Path) -> None:
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaNextConfig,
        LlavaNextForConditionalGeneration,
        LlavaNextImageProcessorPil,
        LlavaNextProcessor,
    )

    words = tokenizer("<image>", bos=True, image_token="<image>")
    config = LlavaNextConfig(
        vision_config=CLIPVisionConfig(**_TOWER, image_size=32),
        text_config=LlamaConfig(**_SIZES, vocab_size=len(words)),
        image_token_id=3,
        image_grid_pinpoints=[[32, 64], [64, 32], [64, 64]],
        vision_feature_layer=-1,
    )
    LlavaNextForConditionalGeneration(config).save_pretrained(folder)
    side = {"height": 32, "width": 32}
    images = LlavaNextImageProcessorPil(
        size={"shortest_edge": 32}, crop_size=side, image_grid_pinpoints=config.image_grid_pinpoints
    )
    LlavaNextProcessor(
        images, words, patch_size=8, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=template("<image>\n"),
    ).save_pretrained(folder)  # fmt: skip


def _qwen_words() -> Any:
    return tokenizer("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")


_QWEN_IDS = {"image_token_id": 3, "video_token_id": 4, "vision_start_token_id": 5, "vision_end_token_id": 6}
_QWEN_TEMPLATE = template("<|vision_start|><|image_pad|><|vision_end|>")
_QWEN_VISION: dict[str, Any] = {
    "depth": 1,
    "num_heads": 2,
    "patch_size": 4,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}


def qwen2_5_vl(folder: Path) -> None:
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessorPil,
    )

    words = _qwen_words()
    config = Qwen2_5_VLConfig(
        vision_config=dict(
            **_QWEN_VISION, hidden_size=32, intermediate_size=32, out_hidden_size=32, window_size=32,
            fullatt_block_indexes=[0], initializer_range=0.4,
        ),
        text_config=dict(
            **_SIZES, vocab_size=len(words),
            rope_parameters={"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0},
        ),
        **_QWEN_IDS,
    )  # fmt: skip
    Qwen2_5_VLForConditionalGeneration(config).save_pretrained(folder)
    images = Qwen2VLImageProcessorPil(
        patch_size=4, merge_size=2, temporal_patch_size=2,
        size={"shortest_edge": 16 * 16, "longest_edge": 64 * 64},
    )  # fmt: skip
    _save_without_videos(folder, Qwen2_5_VLProcessor, "Qwen2VLVideoProcessor", images, words, _QWEN_TEMPLATE)


def qwen3_vl(folder: Path) -> None:
    from transformers import (
        Qwen2VLImageProcessorPil,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
    )

    words = _qwen_words()
    config = Qwen3VLConfig(
        vision_config=dict(
            **_QWEN_VISION, hidden_size=32, intermediate_size=32, out_hidden_size=32,
            num_position_embeddings=64, deepstack_visual_indexes=[0], initializer_range=0.4,
        ),
        text_config=dict(
            **_SIZES, head_dim=16, vocab_size=len(words),
            rope_parameters={
                "rope_type": "default", "mrope_section": [2, 3, 3], "mrope_interleaved": True,
                "rope_theta": 10000.0,
            },
        ),
        **_QWEN_IDS,
    )  # fmt: skip
    Qwen3VLForConditionalGeneration(config).save_pretrained(folder)
    images = Qwen2VLImageProcessorPil(
        patch_size=4, merge_size=2, temporal_patch_size=2,
        size={"shortest_edge": 16 * 16, "longest_edge": 64 * 64},
    )  # fmt: skip
    _save_without_videos(folder, Qwen3VLProcessor, "Qwen3VLVideoProcessor", images, words, _QWEN_TEMPLATE)


def qwen3_5(folder: Path) -> None:
    """Layers of two kinds: full attention, and linear attention, whose cache is not a list of keys."""
    import torch
    from transformers import (
        Qwen2VLImageProcessorPil,
        Qwen3_5Config,
        Qwen3_5ForConditionalGeneration,
        Qwen3VLProcessor,
    )

    words = _qwen_words()
    config = Qwen3_5Config(
        vision_config=dict(
            **_QWEN_VISION, hidden_size=32, intermediate_size=32, out_hidden_size=32,
            num_position_embeddings=64, initializer_range=0.4,
        ),
        text_config=dict(
            **_SIZES, head_dim=16, vocab_size=len(words), layer_types=["linear_attention", "full_attention"],
            linear_num_value_heads=2, linear_num_key_heads=2, linear_key_head_dim=16, linear_value_head_dim=16,
            rope_parameters={
                "rope_type": "default", "mrope_section": [2, 1, 1], "mrope_interleaved": True,
                "rope_theta": 10000.0, "partial_rotary_factor": 0.5,
            },
        ),
        **_QWEN_IDS,
    )  # fmt: skip
    model = Qwen3_5ForConditionalGeneration(config)
    for weight in model.parameters():
        if weight.dim() > 1:  # initialised so small that every text would be continued in the same way
            torch.nn.init.normal_(weight, std=0.2)
    model.save_pretrained(folder)
    images = Qwen2VLImageProcessorPil(
        patch_size=4, merge_size=2, temporal_patch_size=2,
        size={"shortest_edge": 16 * 16, "longest_edge": 64 * 64},
    )  # fmt: skip
    _save_without_videos(folder, Qwen3VLProcessor, "Qwen3VLVideoProcessor", images, words, _QWEN_TEMPLATE)


def mllama(folder: Path) -> None:
    """Cross-attention layers read the image through a mask of tokens and tiles."""
    import torch
    from transformers import (
        MllamaConfig,
        MllamaForConditionalGeneration,
        MllamaImageProcessorPil,
        MllamaProcessor,
    )

    words = tokenizer("<|image|>", "<|python_tag|>", bos=True)
    config = MllamaConfig(
        vision_config={
            "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_global_layers": 1,
            "attention_heads": 2, "patch_size": 8, "image_size": 32, "vision_output_dim": 64,
            "intermediate_layers_indices": [0], "max_num_tiles": 4,
        },
        text_config=dict(
            **{**_SIZES, "num_hidden_layers": 3}, cross_attention_layers=[1], vocab_size=len(words)
        ),
        image_token_index=3,
    )  # fmt: skip
    model = MllamaForConditionalGeneration(config)
    for name, weight in model.named_parameters():
        if "gate" in name and weight.numel() == 1:  # initialised as zeros, which would hide the image
            torch.nn.init.constant_(weight, 1.0)
    model.save_pretrained(folder)
    images = MllamaImageProcessorPil(size={"height": 32, "width": 32}, max_image_tiles=4)
    MllamaProcessor(images, words, chat_template=template("<|image|>", "<s>")).save_pretrained(folder)


def _save_without_videos(
    folder: Path, processor: type, videos: str, images: Any, words: Any, chat_template: str
) -> None:
    """As on the hub: the processor names a video processor, which needs torchvision."""
    import json

    images.save_pretrained(folder)
    words.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(chat_template)
    (folder / "video_preprocessor_config.json").write_text(json.dumps({"video_processor_type": videos}))
    kept = json.loads((folder / "preprocessor_config.json").read_text())
    kept["processor_class"] = processor.__name__
    (folder / "preprocessor_config.json").write_text(json.dumps(kept))


def idefics3(folder: Path) -> None:
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessorPil,
        Idefics3Processor,
    )

    words, images, text, vision = _idefics_parts(Idefics3ImageProcessorPil)
    config = Idefics3Config(
        vision_config=vision, text_config=text, image_token_id=3, scale_factor=2, pad_token_id=0
    )
    Idefics3ForConditionalGeneration(config).save_pretrained(folder)
    Idefics3Processor(images, words, image_seq_len=4, chat_template=template("<image>")).save_pretrained(
        folder
    )


def smolvlm(folder: Path) -> None:
    from transformers import (
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        SmolVLMImageProcessorPil,
        SmolVLMProcessor,
    )

    words, images, text, vision = _idefics_parts(SmolVLMImageProcessorPil)
    config = SmolVLMConfig(
        vision_config=vision, text_config=text, image_token_id=3, scale_factor=2, pad_token_id=0
    )
    SmolVLMForConditionalGeneration(config).save_pretrained(folder)
    _save_without_videos(
        folder, SmolVLMProcessor, "SmolVLMVideoProcessor", images, words, template("<image>")
    )
    import json

    (folder / "processor_config.json").write_text(
        json.dumps({"processor_class": "SmolVLMProcessor", "image_seq_len": 4})
    )


def _idefics_parts(images: Any) -> tuple[Any, Any, Any, Any]:
    from transformers import LlamaConfig

    places = [f"<row_{row}_col_{column}>" for row in range(1, 3) for column in range(1, 3)]
    words = tokenizer(
        "<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *places,
        fake_image_token="<fake_token_around_image>", global_image_token="<global-img>",
        end_of_utterance_token="<end_of_utterance>",
    )  # fmt: skip
    return (
        words,
        images(size={"longest_edge": 64}, max_image_size={"longest_edge": 32}, do_image_splitting=True),
        LlamaConfig(**_SIZES, vocab_size=len(words)),
        {**_TOWER, "image_size": 32},
    )


def internvl(folder: Path) -> None:
    """As InternVL3's `-hf` checkpoints: tiles of the image, and a thumbnail, between `<img>` and `</img>`."""
    import json

    from transformers import (
        GotOcr2ImageProcessorPil,
        InternVLConfig,
        InternVLForConditionalGeneration,
        InternVLProcessor,
        Qwen2Config,
    )

    words = tokenizer(
        "<IMG_CONTEXT>", "<img>", "</img>", "<video>", context_image_token="<IMG_CONTEXT>",
        start_image_token="<img>", end_image_token="</img>", video_token="<video>",
    )  # fmt: skip
    config = InternVLConfig(
        vision_config={**_TOWER, "image_size": 32},
        text_config=Qwen2Config(**_SIZES, vocab_size=len(words)).to_dict(),
        image_token_id=3,
        image_seq_length=4,
        tie_word_embeddings=False,
    )
    InternVLForConditionalGeneration(config).save_pretrained(folder)
    images = GotOcr2ImageProcessorPil(
        size={"height": 32, "width": 32}, crop_to_patches=True, min_patches=1, max_patches=4
    )
    _save_without_videos(
        folder, InternVLProcessor, "InternVLVideoProcessor", images, words, template("<IMG_CONTEXT>\n")
    )
    (folder / "processor_config.json").write_text(
        json.dumps({"processor_class": "InternVLProcessor", "image_seq_length": 4})
    )


def instructblip(folder: Path) -> None:
    from transformers import (
        BlipImageProcessorPil,
        InstructBlipConfig,
        InstructBlipForConditionalGeneration,
        InstructBlipProcessor,
        LlamaConfig,
    )

    words = tokenizer("<image>", bos=True)
    config = InstructBlipConfig(
        text_config=LlamaConfig(**_SIZES, vocab_size=len(words)).to_dict(), **_blip_parts(words)
    )
    InstructBlipForConditionalGeneration(config).save_pretrained(folder)
    images = BlipImageProcessorPil(size={"height": 32, "width": 32})
    InstructBlipProcessor(images, words, tokenizer("<image>"), num_query_tokens=4).save_pretrained(folder)


def instructblip_t5(folder: Path) -> None:
    from transformers import (
        BlipImageProcessorPil,
        InstructBlipConfig,
        InstructBlipForConditionalGeneration,
        InstructBlipProcessor,
    )

    words, images = _t5_words(), BlipImageProcessorPil(size={"height": 32, "width": 32})
    InstructBlipProcessor(images, words, tokenizer("<image>"), num_query_tokens=4).save_pretrained(folder)
    config = InstructBlipConfig(text_config=_t5(words), **_blip_parts(words))
    model = InstructBlipForConditionalGeneration(config)
    model.language_model.lm_head.weight.data *= 0.05  # large weights elsewhere, but scores of the usual size
    model.save_pretrained(folder)


def blip2_t5(folder: Path) -> None:
    words = _t5_words()
    model = _blip2(folder, words, _t5(words))
    model.language_model.lm_head.weight.data *= 0.05
    model.save_pretrained(folder)


def blip2_opt(folder: Path) -> None:
    from transformers import OPTConfig

    words = tokenizer("<image>", bos=True)
    text = OPTConfig(
        vocab_size=len(words), hidden_size=32, word_embed_proj_dim=32, ffn_dim=48, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=2048, init_std=0.4, dropout=0.0, pad_token_id=0,
        bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    _blip2(folder, words, text.to_dict()).save_pretrained(folder)


def _blip2(folder: Path, words: Any, text: dict[str, Any]) -> Any:
    """The model, once its processor is in `folder`."""
    from transformers import (
        Blip2Config,
        Blip2ForConditionalGeneration,
        Blip2Processor,
        BlipImageProcessorPil,
    )

    images = BlipImageProcessorPil(size={"height": 32, "width": 32})
    Blip2Processor(images, words, num_query_tokens=4).save_pretrained(folder)
    return Blip2ForConditionalGeneration(Blip2Config(text_config=text, **_blip_parts(words)))


def _blip_parts(words: Any) -> dict[str, Any]:
    qformer = {
        "vocab_size": 320, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "encoder_hidden_size": 32, "initializer_range": 0.4,
    }  # fmt: skip
    return {
        "vision_config": {**_TOWER, "image_size": 32},
        "qformer_config": qformer,
        "num_query_tokens": 4,
        "image_token_index": words.convert_tokens_to_ids("<image>"),
    }


def _t5_words() -> Any:
    """A tokenizer of word pieces as T5's: a start is marked by `▁`, an end of text follows by itself.

    The pieces are given, not learnt: the trainer of such tokenizers takes others from run to run.
    """
    import string

    from transformers import T5Tokenizer

    words = sorted({word for text in TEXTS for word in text.split()})
    pieces = [*(f"▁{word}" for word in words), *(word[1:] for word in words if len(word) > 3)]
    letters = ["▁", *string.printable.strip()]
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocab += [(piece, -2.0 - 0.01 * n) for n, piece in enumerate(dict.fromkeys(pieces))]
    vocab += [(letter, -6.0) for letter in letters if letter not in dict(vocab)]
    return T5Tokenizer(vocab=vocab, extra_ids=2, extra_special_tokens=["<image>"])


def _t5(words: Any) -> dict[str, Any]:
    """As Flan-T5: a gated feed-forward part, an output layer of its own."""
    from transformers import T5Config

    return T5Config(
        vocab_size=len(words), d_model=32, d_kv=16, d_ff=48, num_layers=2, num_heads=2, pad_token_id=0,
        eos_token_id=1, decoder_start_token_id=0, feed_forward_proj="gated-gelu", tie_word_embeddings=False,
        initializer_factor=2.0,  # with more, rounding is visible in the fourth decimal
    ).to_dict()  # fmt: skip


def florence2(folder: Path) -> None:
    """An encoder-decoder on BART: every prompt begins with the image, an answer with `<s>`."""
    from transformers import (
        BartConfig,
        CLIPImageProcessorPil,
        Florence2Config,
        Florence2ForConditionalGeneration,
        Florence2Processor,
    )

    words = tokenizer("<image>", bos=True, image_token="<image>")
    text = BartConfig(
        vocab_size=len(words), d_model=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=2048,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_bos_token_id=1,
        init_std=0.4, dropout=0.0,
    )  # fmt: skip
    vision = {
        "depths": [1, 1], "patch_size": [7, 3], "patch_stride": [4, 2], "patch_padding": [3, 1],
        "patch_prenorm": [False, True], "embed_dim": [16, 32], "num_heads": [2, 2], "num_groups": [2, 2],
        "window_size": 4, "projection_dim": 32, "initializer_range": 0.4, "drop_path_rate": 0.0,
    }  # fmt: skip
    config = Florence2Config(text_config=text.to_dict(), vision_config=vision, image_token_id=3)
    Florence2ForConditionalGeneration(config).save_pretrained(folder)
    side = {"height": 32, "width": 32}
    images = CLIPImageProcessorPil(size=side, crop_size=side)
    images.image_seq_length = 17  # a grid of 4 x 4, and their mean
    Florence2Processor(images, words).save_pretrained(folder)


def minicpmv4_6(folder: Path) -> None:
    """Patches of all slices of all images in one row; a language model with linear attention, as Qwen3.5's."""
    import torch
    from transformers import (
        MiniCPMV4_6Config,
        MiniCPMV4_6ForConditionalGeneration,
        MiniCPMV4_6ImageProcessorPil,
        MiniCPMV4_6Processor,
        Qwen3_5TextConfig,
    )

    marks = {
        "image_token": "<|image_pad|>", "video_token": "<|video_pad|>", "image_start_token": "<image>",
        "image_end_token": "</image>", "slice_start_token": "<slice>", "slice_end_token": "</slice>",
        "image_id_start_token": "<image_id>", "image_id_end_token": "</image_id>",
    }  # fmt: skip
    words = tokenizer(*marks.values(), **marks)
    text = Qwen3_5TextConfig(
        **_SIZES, head_dim=16, vocab_size=len(words), layer_types=["linear_attention", "full_attention"],
        linear_num_value_heads=2, linear_num_key_heads=2, linear_key_head_dim=16, linear_value_head_dim=16,
    )  # fmt: skip
    config = MiniCPMV4_6Config(
        vision_config={
            "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
            "patch_size": 4, "image_size": 32,
        },
        text_config=text.to_dict(), image_token_id=3, video_token_id=4, insert_layer_id=0,
    )  # fmt: skip
    model = MiniCPMV4_6ForConditionalGeneration(config)
    for weight in model.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.2)
    model.save_pretrained(folder)
    images = MiniCPMV4_6ImageProcessorPil(patch_size=4, scale_resolution=32, max_slice_nums=4)
    _save_without_videos(
        folder, MiniCPMV4_6Processor, "MiniCPMV4_6VideoProcessor", images, words, template("<|image_pad|>")
    )


def paligemma(folder: Path) -> None:
    from transformers import (
        GemmaConfig,
        PaliGemmaConfig,
        PaliGemmaForConditionalGeneration,
        PaliGemmaProcessor,
        SiglipImageProcessorPil,
    )

    words = tokenizer("<image>")
    images = SiglipImageProcessorPil(size={"height": 32, "width": 32})
    images.image_seq_length = 16
    processor = PaliGemmaProcessor(images, words)
    config = PaliGemmaConfig(
        vision_config=dict(**_TOWER, image_size=32, model_type="siglip_vision_model", vision_use_head=False),
        text_config=GemmaConfig(**_SIZES, head_dim=16, vocab_size=len(processor.tokenizer)).to_dict(),
        image_token_id=3,
        projection_dim=32,
    )
    PaliGemmaForConditionalGeneration(config).save_pretrained(folder)
    processor.save_pretrained(folder)


def gemma3(folder: Path) -> None:
    import torch
    from transformers import (
        Gemma3Config,
        Gemma3ForConditionalGeneration,
        Gemma3ImageProcessorPil,
        Gemma3Processor,
        Gemma3TextConfig,
        SiglipVisionConfig,
    )

    words = tokenizer(
        "<image_soft_token>", "<start_of_image>", "<end_of_image>", image_token="<image_soft_token>",
        boi_token="<start_of_image>", eoi_token="<end_of_image>",
    )  # fmt: skip
    config = Gemma3Config(
        vision_config=SiglipVisionConfig(**_TOWER, image_size=32, vision_use_head=False),
        text_config=Gemma3TextConfig(
            **_SIZES, head_dim=16, vocab_size=len(words), sliding_window=24,
            layer_types=["sliding_attention", "full_attention"], tie_word_embeddings=False,
        ),
        mm_tokens_per_image=4, image_token_index=3, boi_token_index=4, eoi_token_index=5,
        tie_word_embeddings=False,
    )  # fmt: skip
    model = Gemma3ForConditionalGeneration(config)
    torch.nn.init.normal_(
        model.model.multi_modal_projector.mm_input_projection_weight
    )  # initialised as zeros
    model.save_pretrained(folder)
    Gemma3Processor(
        Gemma3ImageProcessorPil(size={"height": 32, "width": 32}), words, image_seq_length=4,
        chat_template=template("<start_of_image>", "<s>"),
    ).save_pretrained(folder)  # fmt: skip


FAMILIES: dict[str, Callable[[Path], None]] = {
    made.__name__: made
    for made in (
        llava_next,
        qwen2_5_vl,
        qwen3_vl,
        qwen3_5,
        mllama,
        idefics3,
        smolvlm,
        internvl,
        instructblip,
        instructblip_t5,
        blip2_opt,
        blip2_t5,
        florence2,
        minicpmv4_6,
        paligemma,
        gemma3,
    )
}


# What of an image is reused by all questions about it, as the table in docs/experiments.md says.
IMAGE_REUSE = {
    **dict.fromkeys(
        ("llava_next", "qwen2_5_vl", "qwen3_vl", "idefics3", "smolvlm", "internvl", "gemma3"),
        "keys and values",
    ),
    **dict.fromkeys(
        (
            "qwen3_5",
            "mllama",
            "instructblip",
            "instructblip_t5",
            "blip2_opt",
            "blip2_t5",
            "florence2",
            "minicpmv4_6",
            "paligemma",
        ),
        "features",
    ),
}


def save_family(name: str, folder: Path, seed: int = 0) -> Path:
    """Write the family's tiny checkpoint to `folder`."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    FAMILIES[name](folder)
    return folder
