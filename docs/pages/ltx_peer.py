"""A text-to-video pipeline of diffusers with random weights, made here: its own loop to set beside the reference model's."""

from __future__ import annotations

from pathlib import Path

WORDS = ("a", "red", "circle", "falls", "on", "black", "background")


def save_ltx(folder: Path, width: int = 128, depth: int = 8, heads: int = 4) -> int:
    """Save an LTX-Video pipeline to `folder`; returns the parameters of its transformer. Raises ImportError without diffusers.

    One token is 4 frames x 8x8 px, as in the reference model; width, depth and heads are those of its `base`. What stays
    different is LTX-Video's own: cross-attention in every layer, over 128 text places; guidance as a second half of the batch.
    """
    import diffusers
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    torch.manual_seed(0)
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((f"▁{w}", -1.0) for w in WORDS)]
    tokens = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokens.pre_tokenizer = pre_tokenizers.Metaspace()
    text_width = 8 * heads
    transformer = diffusers.LTXVideoTransformer3DModel(
        in_channels=32,
        out_channels=32,
        num_attention_heads=heads,
        attention_head_dim=width // heads,
        cross_attention_dim=width,
        num_layers=depth,
        caption_channels=text_width,
    )
    same = (8, 8, 8, 8)
    vae = diffusers.AutoencoderKLLTXVideo(
        latent_channels=32,
        block_out_channels=same,
        decoder_block_out_channels=same,
        layers_per_block=(1,) * 5,
        decoder_layers_per_block=(1,) * 5,
        spatio_temporal_scaling=(True, True, False, False),
        decoder_spatio_temporal_scaling=(True, True, False, False),
        decoder_inject_noise=(False,) * 5,
        upsample_residual=(False,) * 4,
        upsample_factor=(1,) * 4,
        patch_size=2,
        patch_size_t=1,
        encoder_causal=True,
        decoder_causal=False,
    )
    config = transformers.T5Config(
        vocab_size=len(pieces), d_model=text_width, d_kv=8, d_ff=2 * text_width, num_layers=1, num_heads=heads
    )
    diffusers.LTXPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=vae,
        text_encoder=transformers.T5EncoderModel(config),
        tokenizer=transformers.T5TokenizerFast(tokenizer_object=tokens, extra_ids=0, model_max_length=128),
        transformer=transformer,
    ).save_pretrained(folder)
    return sum(p.numel() for p in transformer.parameters())
