"""The output of `sora-eval plan`."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from sora_eval.studies.gate_plan import NUMBERS, Choice, Plan
from sora_eval.studies.planning import CHANGES, TWICE, Chances, Design, Remedy
from sora_eval_reports.numbers import number
from sora_eval_reports.text.calibration import limit_words
from sora_eval_reports.text.console import console, line
from sora_eval_reports.text.tables import terminal


def print_plan(plan: Plan) -> None:
    """Print the components, the chances of the present gate and of other designs, and the cheapest way to the goal."""
    out, suite = console(), plan.suite.suite.id
    out.print(terminal(components_table(plan), f"{suite}: standard deviations of {plan.repeats} repeats of {plan.label}"), "")
    out.print(terminal(present_table(plan), f"the gate at {design_words(plan.present.design)}"), "")
    out.print(terminal(grid_table(plan.grid), "the whole gate; REGRESSED at a change of so many limits in its weakest row"), "")
    out.print(terminal(limits_table(plan), "the whole gate with other limits, at its present size"), "")
    out.print(terminal(remedies_table(plan), f"each row alone: what brings it to its part of {goal_words(plan)}"), "")
    for said in conclusion(plan):
        line(out, said)


def components_table(plan: Plan) -> pd.DataFrame:
    """One row per gated row: mean, and the standard deviation over prompts, seeds, and what a checkpoint changes by prompt."""
    rows = []
    for row in plan.model.rows:
        parts = row.components
        deviations = {"prompts": parts.prompt, "seeds": parts.seed}
        if plan.against:
            deviations |= {"seeds, new": parts.seed_new, "prompts x checkpoints": parts.prompt_checkpoint}
        shown = {name: number(value**0.5) for name, value in deviations.items()}
        rows.append({"row": row.name, "mean": number(parts.mean), **shown, "limit": limit_words(plan.suite.gates[row.name])})
    return pd.DataFrame(rows)


def present_table(plan: Plan) -> pd.DataFrame:
    """One row per gated row and one of the whole gate, as strings: the chances at the suite's design."""
    chances = plan.present
    rows = [
        {
            "row": name,
            "PASS": percent(passing),
            **{f"REGRESSED at {c:g}": percent(chances.regressed[name, c]) for c in CHANGES},
        }
        for name, passing in chances.passing.items()
    ]
    weakest = {f"REGRESSED at {c:g}": percent(chances.weakest(c)[0]) for c in CHANGES}
    return pd.DataFrame([*rows, {"row": "gate, at its weakest row", "PASS": percent(chances.whole), **weakest}])


def grid_table(grid: Iterable[Chances]) -> pd.DataFrame:
    """One row per design, as strings."""
    return pd.DataFrame(
        [
            {
                "prompts": str(c.design.prompts),
                "seeds": f"{c.design.baseline_seeds} / {c.design.seeds}",
                "clips per run": str(c.design.clips),
                "PASS": percent(c.whole),
                **{f"at {change:g}": percent(c.weakest(change)[0]) for change in CHANGES},
                "weakest": c.weakest(TWICE)[1],
            }
            for c in grid
        ]
    )


def limits_table(plan: Plan) -> pd.DataFrame:
    """One row per multiple of all limits, as strings; changes are in units of the present limits."""
    return pd.DataFrame(
        [
            {
                "limits": f"x {factor:g}",
                "PASS": percent(c.whole),
                **{f"at {change:g}": percent(c.weakest(change)[0]) for change in CHANGES},
            }
            for factor, c in plan.by_limits
        ]
    )


def remedies_table(plan: Plan) -> pd.DataFrame:
    """One row per gated row, as strings: the ways to its part of the goal, each alone, and the cheapest."""
    return pd.DataFrame([_remedy(plan, r) for r in plan.remedies])


def _remedy(plan: Plan, r: Remedy) -> dict[str, str]:
    met = r.cheapest == "none needed"
    return {
        "row": r.row,
        "prompts": "-" if met else f"{r.prompts.prompts} ({r.prompts.clips} clips)" if r.prompts else f"> {plan.most}",
        "seeds": "-" if met else _seeds(r.seeds) if r.seeds else f"> {max(NUMBERS)} / {max(NUMBERS)}",
        "limit": "-" if met else f"x {r.limit:.2f}" if r.limit else "none",
        "PASS without it": percent(r.without),
        "cheapest": r.cheapest,
    }


def _seeds(design: Design) -> str:
    return f"{design.baseline_seeds} / {design.seeds} ({design.clips} clips)"


def conclusion(plan: Plan) -> list[str]:
    """The cheapest designs, what they need, and what is outside the model."""
    goal = goal_words(plan)
    lines = [f"cheapest for {goal}, limits as they are: {_choice(plan.as_is, plan)}"]
    lines.append(f"with wider limits where PASS needs them: {_choice(plan.wider, plan)}")
    if plan.against:
        lines.append(f"nothing changed: a checkpoint as unlike from prompt to prompt as {plan.against}, and as good on average")
    else:
        lines.append("assumed: a new checkpoint changes all prompts alike; --against SPEC measures how far it does not")
    for row in plan.model.rows:
        if row.heavy_tailed:
            why = f"a few clips make its seed noise (excess kurtosis {row.kurtosis:.0f}, of normal noise 0)"
            lines.append(f"{row.name} passes less often than this says: {why}; 'sora-eval error-rates' measures how often")
    return lines + [f"not planned: {name}: {why}" for name, why in plan.unplanned.items()]


def _choice(choice: Choice | None, plan: Plan) -> str:
    if choice is None:
        return f"no design of at most {plan.most} prompts and {max(NUMBERS)} seeds"
    limits = ", ".join(f"{name} {limit_words(gate)}" for name, gate in choice.gates.items())
    return f"{design_words(choice.design)}{f'; {limits}' if limits else ''}"


def goal_words(plan: Plan) -> str:
    """The goal, in words."""
    return f"{plan.goal.passing:.0%} PASS and {plan.goal.found:.0%} REGRESSED at twice the limit".replace("%", " %")


def design_words(design: Design) -> str:
    """A design, in words.

    >>> design_words(Design(32, 4, 2, places=2))
    '32 prompts, 4 seeds in the baseline and 2 in the run: 128 clips per run'
    """
    seeds = f"{design.baseline_seeds} seed{'s' * (design.baseline_seeds > 1)} in the baseline and {design.seeds} in the run"
    return f"{design.prompts} prompts, {seeds}: {design.clips} clips per run"


def percent(share: float) -> str:
    """A chance in per cent.

    >>> percent(0.9375), percent(0.99975)
    ('94 %', '100 %')
    """
    return f"{100 * share:.0f} %"
