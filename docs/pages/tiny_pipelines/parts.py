"""What the tiny pipelines share: tokenizers over single characters, text and image encoders, VAEs, schedulers."""

from __future__ import annotations

import string
from typing import Any

import diffusers
import transformers

TEXT = 32  # width of every text encoder
CHARACTERS = string.ascii_lowercase + string.digits + string.punctuation


def t5_tokenizer() -> Any:
    """One token per character, with the end token of T5; long enough for every pipeline's `max_length`."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -1.0), *((c, -1.0) for c in CHARACTERS)]
    return transformers.T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=512)


def t5(**config: Any) -> Any:
    """A T5 encoder of one layer. `width` of the text is TEXT."""
    shape = {"vocab_size": 128, "d_model": TEXT, "d_kv": 8, "d_ff": 64, "num_layers": 1, "num_heads": 4}
    return transformers.T5EncoderModel(transformers.T5Config(**shape | config))


def umt5() -> Any:
    shape = {"vocab_size": 128, "d_model": TEXT, "d_kv": 8, "d_ff": 64, "num_layers": 1, "num_heads": 4}
    return transformers.UMT5EncoderModel(transformers.UMT5Config(**shape))


def _bytes(end: str = "") -> dict[str, int]:
    """The 256 characters that stand for bytes in a byte-level vocabulary, and their places."""
    from tokenizers.pre_tokenizers import ByteLevel

    return {c + end: i for i, c in enumerate(sorted(ByteLevel.alphabet()))}


def clip_tokenizer() -> Any:
    vocabulary = _bytes()
    for word in (*_bytes("</w>"), "<|startoftext|>", "<|endoftext|>"):
        vocabulary[word] = len(vocabulary)
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def clip_text(projection: int = 0, width: int = TEXT) -> Any:
    """The text half of CLIP; with a `projection` width, the one that gives `text_embeds`."""
    config = transformers.CLIPTextConfig(
        vocab_size=514,
        hidden_size=width,
        intermediate_size=37,
        num_attention_heads=4,
        num_hidden_layers=2,
        bos_token_id=512,
        eos_token_id=513,
        pad_token_id=513,
        projection_dim=projection or width,
    )
    return (transformers.CLIPTextModelWithProjection if projection else transformers.CLIPTextModel)(config)


def clip_vision(projection: bool = False, side: int = 32, patch: int = 16) -> Any:
    """The image half of CLIP, of width TEXT."""
    config = transformers.CLIPVisionConfig(
        hidden_size=TEXT,
        intermediate_size=37,
        num_attention_heads=4,
        num_hidden_layers=2,
        image_size=side,
        patch_size=patch,
        projection_dim=TEXT,
    )
    return (transformers.CLIPVisionModelWithProjection if projection else transformers.CLIPVisionModel)(config)


def clip_image_processor(side: int = 32) -> Any:
    square = {"height": side, "width": side}
    return transformers.CLIPImageProcessor(size=square, crop_size=square)


SIGLIP = {
    "hidden_size": TEXT,
    "intermediate_size": 37,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 16,
}


def siglip() -> dict[str, Any]:
    """An image encoder of width TEXT and what prepares its images."""
    size = {"height": 32, "width": 32}
    return {
        "image_encoder": transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**SIGLIP)),
        "feature_extractor": transformers.SiglipImageProcessor(size=size),
    }


def wan_vae(**config: Any) -> Any:
    """Wan's VAE: 8 x 8 px and 4 frames per token, as in the released ones."""
    shape = {"base_dim": 4, "z_dim": 16, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1}
    return diffusers.AutoencoderKLWan(**shape | config)


def flow(**config: Any) -> Any:
    return diffusers.FlowMatchEulerDiscreteScheduler(**config)


CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.content is string %}{{ m.content }}"
    "{% else %}{% for part in m.content %}{{ part.text if part.type == 'text' else '<|image_pad|>' }}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = (
    *("<pad>", "<bos>", "<eos>", "<unk>", "<image>", "<|im_start|>", "<|im_end|>", "<|image_pad|>", "<|video_pad|>"),
    *("<|vision_start|>", "<|vision_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
)
VOCABULARY = 1024


def chat_tokenizer(*templates: str, **options: Any) -> Any:
    """A byte-level tokenizer of a language model that has learnt the words of a pipeline's own prompt template.

    A pipeline cuts the template off by a fixed number of tokens; one token per character would cut the prompt too.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokens = Tokenizer(models.BPE())
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    tokens.train_from_iterator(templates, trainer)
    names = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "chat_template": CHAT}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokens, model_max_length=4096, **names | options)


DECODER: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": TEXT,
    "intermediate_size": 37,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 8,
    "num_hidden_layers": 3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def llama() -> Any:
    return transformers.LlamaModel(transformers.LlamaConfig(**DECODER))


QWEN: dict[str, Any] = DECODER | {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 1, 2]}}
QWEN_VISION = {"depth": 1, "embed_dim": 16, "hidden_size": TEXT, "num_heads": 2, "patch_size": 14, "intermediate_size": 16}


def sd_vae(**config: Any) -> Any:
    """The image VAE of Stable Diffusion: 8 x 8 px."""
    depth = 4
    shape = {
        "block_out_channels": (8,) * depth,
        "down_block_types": ("DownEncoderBlock2D",) * depth,
        "up_block_types": ("UpDecoderBlock2D",) * depth,
        "norm_num_groups": 2,
    }
    return diffusers.AutoencoderKL(**shape | config)
