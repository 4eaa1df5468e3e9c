"""Training restarts exactly, and its whole way ends in ONNX files that generate."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from typer.testing import CliRunner

from reference_model import data
from reference_model.__main__ import app
from reference_model.backends import COMPONENTS, component_files, weights_of
from reference_model.components import build
from reference_model.config import PRESETS, override
from reference_model.errors import ReferenceModelError
from reference_model.export import export_again
from reference_model.loop import fit, learning_rate, load_tensors
from reference_model.measure import ablation
from reference_model.mixture import Mixture
from reference_model.pipeline import Pipeline, Request
from reference_model.train import STAGES, Denoiser, denoising_loss, start_from, train


def _fit(folder, **options):
    torch.manual_seed(0)
    layers = torch.nn.ModuleList([torch.nn.Linear(8, 8)])  # a hidden matrix: Muon's
    module = torch.nn.ModuleDict({"first": torch.nn.Linear(4, 8), "layers": layers, "last": torch.nn.Linear(8, 2)})

    def network(x):
        return module["last"](torch.relu(layers[0](torch.relu(module["first"](x)))))

    def step(_, rng):
        x = torch.from_numpy(rng.standard_normal((16, 4)).astype(np.float32))
        loss = (network(x) - x[:, :2] + 0.1 * torch.randn(16, 2)).square().mean()
        return loss, {"loss": loss.item()}

    fit("net", module, step, steps=20, lr=1e-2, folder=folder, seed=3, save_every=5, **options)
    return module


def test_twenty_steps_equal_ten_and_ten_more_bit_for_bit(tmp_path):
    whole = _fit(tmp_path / "whole", keep_at={"early": 5})
    _fit(tmp_path / "parts", stop_at=10, keep_at={"early": 5})
    resumed = _fit(tmp_path / "parts", keep_at={"early": 5})
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)
    early = load_tensors(tmp_path / "whole/net-early.pt")
    assert not torch.equal(early["first.weight"], whole["first"].weight)


def test_a_damaged_training_checkpoint_is_named(tmp_path):
    (tmp_path / "net.train.pt").write_bytes(b"torn")
    with pytest.raises(ReferenceModelError, match=r"net.train.pt cannot be read .* delete it"):
        _fit(tmp_path)


def test_the_learning_rate_warms_up_and_ends_at_zero():
    rates = [learning_rate(s, 1000, 1.0) for s in range(1000)]
    assert max(rates) == pytest.approx(1.0)
    assert rates[0] < 0.02
    assert rates[-1] < 1e-4


def test_the_whole_way_from_world_to_onnx_to_clips(tmp_path):
    config, work = PRESETS["tiny"], tmp_path / "work"
    out = work / "checkpoints"
    train(config, work)
    stages = tuple(s for s in STAGES if s != "export")
    train(config, work, stages)  # every stage is finished: nothing happens
    losses = [json.loads(line)["loss"] for line in (work / "dit.jsonl").read_text().splitlines()]
    assert np.isfinite(losses).all()
    for name in ("early", "middle", "base", "base-int8"):
        sample = Pipeline.load(str(out / name)).generate([Request("a red circle falls", 40, 24, 9)])[0]
        assert sample.frames.shape == (9, 24, 40, 3)
        made = json.loads((out / name / "checkpoint.json").read_text())["made"]
        assert max(made.get("largest_difference_from_torch", {"none": 0}).values()) <= 1e-4
    for file in out.rglob("*.onnx"):
        assert b".py" not in file.read_bytes()  # no stack traces, and so no paths of the machine that exported it
    with pytest.raises(ReferenceModelError, match="quantized checkpoint runs on backend 'onnx' only"):
        Pipeline.load(str(out / "base-int8"), "torch")
    with pytest.raises(ReferenceModelError, match="differs from the configuration"):
        train(PRESETS["base"], work)

    # int8 reaches the layers of every block, and no graph goes through sequences.
    small, exact = (onnx.load(component_files(out / name)["dit"]) for name in ("base-int8", "base"))
    quantized = {i.name for i in small.graph.initializer if i.data_type == onnx.TensorProto.INT8 and len(i.dims) == 2}
    assert len(quantized) >= 6 * config.dit.depth  # q, k, v, out and the two of the MLP
    assert not {n.op_type for n in exact.graph.node} & {"SplitToSequence", "SequenceAt", "Expand"}

    # A checkpoint exported again holds the same weights to the bit, under the same names.
    again = work / "again"
    export_again(str(out / "early"), again, int8=True)
    assert sorted(p.parent.name for p in again.glob("*/checkpoint.json")) == ["early", "early-int8"]
    for part in COMPONENTS:
        old, new = (weights_of(component_files(f / "early")[part]) for f in (out, again))
        names = set(build(config)[part].state_dict()) & set(old)  # each half of the VAE holds its own
        assert names
        assert all(np.array_equal(old[n], new[n]) for n in names)

    # Ablations are judged on the same clips for all, whatever words they were trained on, and give the same figure again.
    mixture = Mixture.load(config, work)
    for seed in range(5):
        a, b = (replace(mixture, levels=v).draw(np.random.default_rng(seed), 0.0) for v in ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)))
        assert np.array_equal(a.tokens, b.tokens)
        assert a.known == b.known
    short = [ablation(config, work, name, 2, work / "short") for name in ("recipe", "times not shifted", "recipe")]
    assert short[0]["velocity_error"] == short[2]["velocity_error"] != short[1]["velocity_error"]

    # A training that goes on: the same VAE to the bit, other weights of the DiT.
    further = tmp_path / "further"
    start_from(str(out / "base"), further)
    train(override(config, ["train.seed=1", "train.dit_steps=2"]), further, ("collect", "caption", "refine", "compress"))
    train(override(config, ["train.seed=1", "train.dit_steps=2"]), further, ("train", "export"))
    assert sorted(p.parent.name for p in (further / "checkpoints").glob("*/checkpoint.json")) == ["base", "base-int8"]
    for part, same in (("vae_decoder", True), ("caption_encoder", True), ("dit", False)):
        old, new = (weights_of(component_files(f / "base")[part]) for f in (out, further / "checkpoints"))
        names = [n for n in old if n in new and "." in n]
        assert names
        assert all(np.array_equal(old[n], new[n]) for n in names) == same


def test_data_are_hard_and_denoising_resumes_bit_for_bit_in_bf16(tmp_path):
    settings = ["train.clips=40", "train.counts=[0.2, 0.3, 0.5]", "train.crossing=1.0", "train.labelled=0.5"]
    config = override(PRESETS["tiny"], settings)
    work = tmp_path / "work"
    train(config, work, ("collect", "caption", "compress"))
    made = data.load(config.train, work / "data")
    assert [len(c) for c in made] == list(data.clips_of(config.train).values())
    several = [r for c in made for r in c.records if len(r.scene.facts.objects) > 1]
    assert len(several) > 20
    assert np.mean([any(e.kind == "collision" for e in r.events) for r in several]) > 0.6

    mixture, results = Mixture.load(config, work), []
    for stops in ([None], [3, None]):
        folder = tmp_path / f"parts{len(stops)}"
        for stop in stops:
            torch.manual_seed(1)
            model = Denoiser(config)
            fit(
                "dit",
                model,
                lambda _, rng, model=model: denoising_loss(config, model, mixture, rng),
                steps=6,
                lr=1e-3,
                folder=folder,
                seed=3,
                save_every=2,
                stop_at=stop,
            )
        results.append(list(model.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert all(p.dtype == torch.float32 for p in results[0])

    # The same batch in full precision: the loss is the same but for rounding.
    losses = []
    for bf16 in (True, False):
        exact = replace(config, train=replace(config.train, bf16=bf16))
        losses.append(float(denoising_loss(exact, model, mixture, np.random.default_rng(7))[0]))
    assert losses[0] == pytest.approx(losses[1], rel=5e-3)


def test_objects_weigh_more_only_where_they_can_be_seen(tmp_path):
    config = override(PRESETS["tiny"], ["train.clips=5"])
    train(config, tmp_path, ("collect",))
    (clips, *_) = data.load(config.train, tmp_path / "data")
    latent = np.zeros((len(clips), 8, 5, clips.size[0] // 4, clips.size[1] // 4), np.float32)
    told = [r.description(17) for r in clips.records]
    drawn = Mixture(config, [clips], [latent], [told]).draw(np.random.default_rng(0), 0.0)
    assert 0 < drawn.occupied.sum() < len(drawn.tokens)
    for weight in (1.0, 4.0):
        weights = drawn.weight(weight)
        assert weights.sum() == pytest.approx(1.0, abs=1e-5)
        assert not weights[: drawn.known].any()
        free = weights[drawn.known :]
        assert free.max() / free.min() == pytest.approx(weight, rel=1e-5)


def test_command_line_samples_and_says_what_is_wrong(tmp_path, capsys):
    run = CliRunner().invoke
    out = tmp_path / "x.png"
    done = run(app, ["sample", "a red circle falls", "--steps", "1", "--frames", "5", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert out.stat().st_size > 100
    for arguments in (
        ["sample", "a red circle", "--size", "32"],
        ["train", "--preset", "huge"],
        ["train", "--stages", "cook"],
        ["train", "--set", "train.steps=3"],
        ["train", "--set", "dit_steps=3"],
        ["train", "--set", "train.dit_steps=many"],
        ["export", "--source", str(tmp_path)],
    ):
        assert isinstance(run(app, arguments).exception, ReferenceModelError)
