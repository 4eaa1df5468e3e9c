"""Training restarts exactly, and its whole way ends in ONNX files that generate."""

import json
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from typer.testing import CliRunner

from docs.pages.reference_figures import ablation
from reference_model.__main__ import app
from reference_model.config import PRESETS, load_config, override
from reference_model.errors import ReferenceModelError
from reference_model.networks.components import build
from reference_model.onnx.export import export_again
from reference_model.onnx.int8 import NEAR
from reference_model.onnx.specs import specs
from reference_model.recipe import STAGES, start_from, train
from reference_model.sampling.backends import weights_of
from reference_model.sampling.checkpoint import COMPONENTS, component_files, read_checkpoint, resolve
from reference_model.sampling.pipeline import Pipeline, Request
from reference_model.training import data
from reference_model.training.denoising import Denoiser, denoising_loss
from reference_model.training.loop import fit, learning_rate, load_tensors
from reference_model.training.mixture import Mixture

TINY = PRESETS["tiny"]


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


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The work folder of a whole training of the tiny model, from the world to the checkpoints in ONNX."""
    work = tmp_path_factory.mktemp("tiny") / "work"
    train(TINY, work)
    return work


CHECKPOINTS = ("early", "middle", "base", "base-int8")


def graph(work, name, part="dit"):
    return component_files(work / "checkpoints" / name)[part]


def test_finished_stages_are_not_done_twice_and_another_configuration_is_refused(trained):
    before = {f: f.stat().st_mtime_ns for f in trained.rglob("*.pt")}
    train(TINY, trained, tuple(s for s in STAGES if s != "export"))
    assert before
    assert {f: f.stat().st_mtime_ns for f in trained.rglob("*.pt")} == before
    losses = [json.loads(line)["loss"] for line in (trained / "dit.jsonl").read_text().splitlines()]
    assert np.isfinite(losses).all()
    with pytest.raises(ReferenceModelError, match="differs from the configuration"):
        train(PRESETS["base"], trained)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_every_checkpoint_generates_and_equals_torch(trained, name):
    folder = trained / "checkpoints" / name
    sample = Pipeline.load(str(folder)).generate([Request("a red circle falls", 40, 24, 9)])[0]
    assert sample.frames.shape == (9, 24, 40, 3)
    export = json.loads((folder / "checkpoint.json").read_text())["made"]
    assert max(export.get("largest_difference_from_torch", {"none": 0}).values()) <= 1e-4


def test_a_quantized_checkpoint_has_no_torch_backend(trained):
    with pytest.raises(ReferenceModelError, match="quantized checkpoint runs on backend 'onnx' only"):
        Pipeline.load(str(trained / "checkpoints/base-int8"), "torch")


def test_a_quantized_checkpoint_says_whose_weights_it_has(trained):
    exact, small = (read_checkpoint(trained / "checkpoints" / name) for name in ("base", "base-int8"))
    assert small.weights_hash == exact.weights_hash == exact.content_hash != small.content_hash


def test_graphs_hold_no_paths_and_no_sequences_and_int8_reaches_every_block(trained):
    for file in (trained / "checkpoints").rglob("*.onnx"):
        assert b".py" not in file.read_bytes()  # no stack traces, and so no paths of the machine that exported it
    small, exact = (onnx.load(graph(trained, name)) for name in ("base-int8", "base"))
    quantized = {i.name for i in small.graph.initializer if i.data_type == onnx.TensorProto.INT8 and len(i.dims) == 2}
    assert len(quantized) >= 6 * TINY.dit.depth  # q, k, v, out and the two of the MLP
    assert not {n.op_type for n in exact.graph.node} & {"SplitToSequence", "SequenceAt", "Expand"}


def test_int8_networks_are_near_the_exact_ones_and_what_is_not_stays_exact(trained, tmp_path, monkeypatch):
    made = read_checkpoint(trained / "checkpoints/base-int8").made
    assert all(error <= NEAR[part] for part, error in made["relative_error"].items())
    assert {"DynamicQuantizeLinear", "MatMulInteger"} <= operators(graph(trained, "base-int8", "text_encoder"))
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators(graph(trained, "base-int8", "vae_decoder"))
    monkeypatch.setitem(NEAR, "vae_decoder", 0.0)
    export_again(str(trained / "checkpoints/base"), tmp_path, with_int8=True)
    record = read_checkpoint(tmp_path / "base-int8")
    assert record.files["vae_decoder"].resolve() == (tmp_path / "shared/vae_decoder/model.onnx").resolve()
    assert record.made["relative_error"]["vae_decoder"] > 0
    assert "vae_decoder" not in record.made["quantized"]
    assert not (tmp_path / "base-int8/vae_decoder").exists()


def operators(path):
    return {node.op_type for node in onnx.load(path).graph.node}


def test_an_int8_decoder_decodes_each_clip_as_if_it_were_alone(trained):
    decoder = ort.InferenceSession(str(graph(trained, "base-int8", "vae_decoder")), providers=["CPUExecutionProvider"])
    latent = np.random.default_rng(0).standard_normal((3, TINY.vae.latent_channels, 2, 6, 6)).astype(np.float32)
    latent[2] *= 4  # the range of one clip is not that of the others
    (together,) = decoder.run(None, {"latent": latent})
    for i in range(3):
        assert np.allclose(decoder.run(None, {"latent": latent[i : i + 1]})[0][0], together[i], atol=1e-5)


def test_a_checkpoint_exported_again_holds_the_same_weights_under_the_same_names(trained, tmp_path):
    export_again(str(trained / "checkpoints/early"), tmp_path, with_int8=True)
    assert sorted(p.parent.name for p in tmp_path.glob("*/checkpoint.json")) == ["early", "early-int8"]
    before = read_checkpoint(trained / "checkpoints/early").weights_hash
    assert {read_checkpoint(tmp_path / name).weights_hash for name in ("early", "early-int8")} == {before}
    for part in COMPONENTS:
        old, new = weights_of(graph(trained, "early", part)), weights_of(component_files(tmp_path / "early")[part])
        names = set(build(TINY)[part].state_dict()) & set(old)  # each half of the VAE holds its own
        assert names
        assert all(np.array_equal(old[n], new[n]) for n in names)


def test_networks_that_are_shared_stay_as_they_are_where_only_own_ones_are_exported_again(trained, tmp_path):
    worst = export_again(str(trained / "checkpoints/early"), tmp_path, own=True)
    assert set(worst) == {"text_encoder", "dit"}
    old, new = (read_checkpoint(folder / "early") for folder in (trained / "checkpoints", tmp_path))
    assert {part: old.sha256[part] for part in COMPONENTS if part not in worst}.items() <= new.sha256.items()
    assert set(new.made["largest_difference_from_torch"]) == set(COMPONENTS)


@pytest.mark.parametrize("name", ["early", "middle", "base", "base-int8"])
def test_no_weight_of_attention_is_subnormal_nor_goes_to_another_clip(name):
    """Arithmetic with subnormal numbers takes several times as long; packs are full of places that do not see each other."""
    spec = specs(load_config(resolve(name) / "config.json"))["dit"]
    model = onnx.load(resolve(name) / "dit/model.onnx")
    weights = [node.output[0] for node in model.graph.node if node.op_type == "Softmax"]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(w, onnx.TensorProto.FLOAT, None) for w in weights)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = spec.feed(0)
    blocked = feed["clip"][:, None, :, None] != feed["clip"][:, None, None, :]
    real = np.broadcast_to(feed["clip"][:, None, :, None] >= 0, blocked.shape)
    for w in session.run(weights, feed):
        assert w[w > 0].min() >= np.finfo(np.float32).tiny
        if w.shape[-1] == blocked.shape[-1]:
            assert (w * (blocked & real)).sum(-1).max() <= 1e-9


def test_ablations_are_judged_on_the_same_clips_and_give_the_same_figure_again(trained, tmp_path):
    """The clips are the same for all, whatever words they were trained on."""
    mixture = Mixture.load(TINY, trained)
    for seed in range(5):
        a, b = (replace(mixture, levels=v).draw(np.random.default_rng(seed), 0.0) for v in ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)))
        assert np.array_equal(a.tokens, b.tokens)
        assert a.known == b.known
    short = [ablation(TINY, trained, name, 2, tmp_path) for name in ("recipe", "times not shifted", "recipe")]
    assert short[0]["velocity_error"] == short[2]["velocity_error"] != short[1]["velocity_error"]


def test_a_training_that_goes_on_keeps_the_vae_and_changes_the_dit(trained, tmp_path):
    further = override(TINY, ["train.seed=1", "train.dit_steps=2"])
    start_from(str(trained / "checkpoints/base"), tmp_path)
    train(further, tmp_path, ("collect", "caption", "refine", "compress"))
    train(further, tmp_path, ("train", "export"))
    assert sorted(p.parent.name for p in (tmp_path / "checkpoints").glob("*/checkpoint.json")) == ["base", "base-int8"]
    for part, same in (("vae_decoder", True), ("caption_encoder", True), ("dit", False)):
        old, new = (weights_of(graph(work, "base", part)) for work in (trained, tmp_path))
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
