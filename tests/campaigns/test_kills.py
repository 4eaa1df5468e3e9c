"""Runs that are killed at random moments by random signals, and go on: their rows are those of an undisturbed run."""

import json
import textwrap
from pathlib import Path

import pytest

from reference_model.world.prompts import sample_prompts
from tests.campaigns.kills import JOBS, PLAIN, SIGNALS, SUITE, TIMED, Campaign
from tests.sora_eval.conftest import GENERATOR, write_network

SHORT, LONG = 1, 24  # kills of every job


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    template, work = tmp_path_factory.mktemp("template"), tmp_path_factory.mktemp("trials")
    prompts = sample_prompts(8, 3)
    network = json.dumps(str(write_network(tmp_path_factory.mktemp("network") / "means.onnx")))[1:-1]
    (template / "prompts.jsonl").write_text("".join(json.dumps(p) + "\n" for p in prompts))
    (template / "kills.toml").write_text(textwrap.dedent(SUITE).replace("NETWORK", network))
    (template / "timed.toml").write_text(textwrap.dedent(TIMED).replace("PROMPT", prompts[0]["text"]))
    (template / "my_generator.py").write_text(GENERATOR + PLAIN)
    campaign = Campaign(template, work)
    campaign.prepare()
    yield campaign
    campaign.close()


@pytest.mark.parametrize("name", JOBS)
def test_a_killed_verb_ends_as_an_undisturbed_one(campaign, name):
    outcome = campaign.trials(name, SHORT, seed=1)
    assert outcome.equal == outcome.trials, "\n".join(outcome.failures)


@pytest.mark.campaign
@pytest.mark.parametrize("name", JOBS)
def test_many_kills(campaign, name, record_property):
    outcome = campaign.trials(name, LONG, seed=2)
    record_property("campaign", [["verb", "trials", "kills", *(s.name for s in SIGNALS), "equal"], outcome.row()])
    assert outcome.equal == outcome.trials, "\n".join(outcome.failures)


def test_the_comparison_sees_a_difference(campaign, tmp_path):
    """The check of the check: another suite's rows are not called equal."""
    work = campaign.copy()
    suite = work / "kills.toml"
    suite.write_text(suite.read_text().replace("limit = 6", "limit = 5"))
    assert campaign.run(JOBS["run"].argv, work) == 0
    assert campaign.result(JOBS["run"], work) != campaign.whole("run")[0]
    assert isinstance(campaign.whole("run")[0], dict), Path(work)
