"""Builds and saves the playground's models: a tiny CLIP and a tiny LLaVA as ordinary Hugging Face folders."""

from collections.abc import Iterable
from pathlib import Path

from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    CLIPProcessor,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

TOWER_PIXELS, PATCH = 112, 14  # side of an image and of a patch: 8 x 8 patches
_PAD, _BOS, _EOS, IMAGE_TOKEN = "<pad>", "<s>", "</s>", "<image>"
# "USER: <image>\nWhat is it? ASSISTANT:", and behind an answer "</s>", as LLaVA 1.5 writes them
_CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}USER: {% else %} ASSISTANT: {% endif %}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{% if message['role'] == 'assistant' %}{{ '</s>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %} ASSISTANT:{% endif %}"
)


def build_tokenizer(texts: Iterable[str], vocabulary: int = 1200) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer learnt from `texts`; bytes are in its vocabulary, so it can encode any text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[_PAD, _BOS, _EOS, IMAGE_TOKEN],
        show_progress=False,
        # all 256 bytes, whether they occur in the texts or not
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=_PAD,
        bos_token=_BOS,
        eos_token=_EOS,
        model_max_length=2048,
        extra_special_tokens={"image_token": IMAGE_TOKEN},
        # so that in a batch of unequal lengths the last token is the one to continue
        padding_side="left",
    )


def image_processor() -> CLIPImageProcessorPil:
    """Resizes to the tower's size and normalises with CLIP's mean and standard deviation; needs no torchvision."""
    # resized to a square and not cropped, so that nothing at the borders is lost
    side = {"height": TOWER_PIXELS, "width": TOWER_PIXELS}
    return CLIPImageProcessorPil(size=side, crop_size=side, do_center_crop=False)


def build_clip(tokenizer: PreTrainedTokenizerFast) -> CLIPModel:
    """A CLIP of 2.5 million parameters with random weights."""
    vision = {
        "hidden_size": 160,
        "intermediate_size": 640,
        "num_hidden_layers": 5,
        "num_attention_heads": 5,
        "image_size": TOWER_PIXELS,
        "patch_size": PATCH,
    }
    text = {
        "hidden_size": 128,
        "intermediate_size": 512,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": 96,
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    return CLIPModel(CLIPConfig(vision_config=vision, text_config=text, projection_dim=128))


def build_llava(tokenizer: PreTrainedTokenizerFast, clip: CLIPModel) -> LlavaForConditionalGeneration:
    """A LLaVA of 4.5 million parameters; its vision tower starts with the CLIP's weights."""
    text = LlamaConfig(
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=6,
        num_attention_heads=3,
        num_key_value_heads=3,
        vocab_size=len(tokenizer),
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    config = LlavaConfig(  # type: ignore[call-arg]
        vision_config=clip.config.vision_config,
        text_config=text,
        # one token per patch
        image_seq_length=(TOWER_PIXELS // PATCH) ** 2,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
        projector_hidden_act="relu",  # set_projector sets it by hand, which needs exact zeros
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",  # patches without the class token
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlavaForConditionalGeneration(config)
    model.model.vision_tower.load_state_dict(clip.vision_model.state_dict(), strict=True)
    return model


def save_clip(model: CLIPModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the CLIP with its processor as a Hugging Face folder, weights in half precision."""
    model.half().save_pretrained(folder)
    CLIPProcessor(image_processor(), tokenizer).save_pretrained(folder)


def save_llava(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, folder: Path
) -> None:
    """Write the LLaVA with its processor and chat template as a Hugging Face folder, weights in half precision."""
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.half().save_pretrained(folder)
    processor = LlavaProcessor(
        image_processor(),
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        chat_template=_CHAT_TEMPLATE,
        num_additional_image_tokens=1,  # the class token
    )
    processor.save_pretrained(folder)
