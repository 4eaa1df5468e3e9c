"""Whether clips that exist can answer a suite's own prompts."""

from __future__ import annotations

from sora_eval.generators.protocol import ClipSource
from sora_eval.suite import Suite
from sora_eval.util.errors import SuiteError


def check_prompts(suite: Suite, source: ClipSource) -> None:
    """Raises SuiteError for clips of which none has a prompt of the suite: every case would fail."""
    texts = {case.prompt.text for case in source.cases()}
    if texts.isdisjoint(prompt.text for prompt in suite.prompt_list):
        clips = f"{source.name}:{source.checkpoint} has clips of {len(texts)} prompt{'s' * (len(texts) != 1)}"
        raise SuiteError(
            f"{suite.path} asks for clips of its {len(suite.prompt_list)} prompts, and {clips}, none of them of the suite; to "
            "score them with their own prompts, take a suite without [prompts] and [axes], such as 'videos'"
        )
