"""A pipeline of diffusers as a generator, on one of random weights that is made here."""

import numpy as np
import pytest

from sora_eval.errors import GeneratorError
from sora_eval.generators import Request, open_generator

diffusers = pytest.importorskip("diffusers")
transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny LTX-Video: 8 px a latent site, 2 frames a latent frame."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers

    torch.manual_seed(0)
    words = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((w, -1.0) for w in ("▁a", "▁red", "▁circle", "▁falls"))]
    tokens = Tokenizer(models.Unigram(words, unk_id=2))
    tokens.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer = transformers.T5TokenizerFast(tokenizer_object=tokens, extra_ids=0, model_max_length=128)
    text = transformers.T5EncoderModel(
        transformers.T5Config(vocab_size=8, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    )
    vae = diffusers.AutoencoderKLLTXVideo(
        latent_channels=4,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
        spatio_temporal_scaling=(True, True, False, False),
        decoder_spatio_temporal_scaling=(True, True, False, False),
        decoder_inject_noise=(False, False, False, False, False),
        upsample_residual=(False, False, False, False),
        upsample_factor=(1, 1, 1, 1),
        patch_size=1,
        patch_size_t=1,
        encoder_causal=True,
        decoder_causal=False,
    )
    transformer = diffusers.LTXVideoTransformer3DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        cross_attention_dim=16,
        num_layers=1,
        caption_channels=16,
    )
    pipeline = diffusers.LTXPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        transformer=transformer,
    )
    path = tmp_path_factory.mktemp("ltx")
    pipeline.save_pretrained(path)
    return path


def request(seed):
    return Request("a red circle falls", 32, 32, 9, 8.0, seed, 2)


def test_a_pipeline_answers_with_the_shape_and_seed_that_were_asked_for(folder):
    generator = open_generator(f"diffusers:{folder}")
    a, again, other = (generator.generate([request(seed)])[0].frames for seed in (0, 0, 1))
    assert a.shape == (9, 32, 32, 3)
    assert a.dtype == np.uint8
    assert np.array_equal(a, again)
    assert not np.array_equal(a, other)
    assert generator.where["provider"] == "torch eager"
    assert generator.fingerprint() == open_generator(f"diffusers:{folder}").fingerprint()


def test_what_cannot_be_opened_says_why(folder, tmp_path):
    with pytest.raises(GeneratorError, match="cannot be opened"):
        open_generator(f"diffusers:{tmp_path / 'none'}")
    with pytest.raises(GeneratorError, match="dtype=int3 is not one of"):
        open_generator(f"diffusers:{folder}?dtype=int3")
