"""The prompt refiner: short prompts to dense ones. A refined prompt that loses a fact of its input is replaced by the input.

The default is a small encoder-decoder transformer. A language model behind an OpenAI-compatible endpoint can take its
place, under the same rule.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from reference_model.config import RefinerConfig
from reference_model.errors import ReferenceModelError
from reference_model.networks.text import Decoder, PromptError, WordEncoder, tokenize, write
from reference_model.world.captions import WORDS, parse


class RefineEncoder(WordEncoder):
    """Ids (N, M) of a prompt to states (N, M, D)."""

    def forward(self, ids: Tensor) -> Tensor:
        return self.states(ids)


class RefineDecoder(nn.Module):
    """Ids (N, M) written so far, states (N, S, D) of the prompt and its ids (N, S), to logits (N, M, V) of each next word."""

    def __init__(self, config: RefinerConfig) -> None:
        super().__init__()
        self.decoder = Decoder(config.width, config.depth, config.heads, config.width, config.max_tokens)

    def forward(self, ids: Tensor, states: Tensor, prompt: Tensor) -> Tensor:
        out: Tensor = self.decoder(ids, states, prompt != 0)
        return out


class RefinerNetwork(nn.Module):
    """Encoder and decoder as one module, for training."""

    def __init__(self, config: RefinerConfig) -> None:
        super().__init__()
        self.encoder, self.decoder = RefineEncoder(config), RefineDecoder(config)


# Words that state no fact.
FORM_WORDS = frozenset(["a", "an", "the", "and", "with", "on", "in", "at", "to", "of", "it", "they", "is", ",", "."])


def keeps_facts(prompt: str, refined: str) -> bool:
    """Does the refined prompt hold every fact of the prompt, and every word of it that is not a form word?

    The words count too, because a prompt need not be in the grammar's own form ("the red circle moves right").

    >>> keeps_facts("a red circle", "a red circle falls"), keeps_facts("a red circle", "a blue circle falls")
    (True, False)
    """
    before, after = parse(prompt), parse(refined)
    facts = before.slots() if before.objects else before.slots() - {("count", "0")}
    return facts <= after.slots() and not _content(prompt) - _content(refined)


def _content(text: str) -> Counter[str]:
    return Counter(w for w in re.findall(r"\w+|[^\w\s]", text.lower()) if w not in FORM_WORDS)


class Refiner(Protocol):
    """Prompts to dense ones, one draft per prompt. A draft may lose facts; `refine` then returns the prompt."""

    def draft(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[str]: ...


def refine(refiner: Refiner, prompts: Sequence[str], seeds: Sequence[int], max_tokens: int = 48) -> list[str]:
    """Dense prompts; the prompt itself where its draft loses a fact or the text encoder cannot read it."""
    out = []
    for prompt, draft in zip(prompts, refiner.draft(prompts, seeds), strict=True):
        out.append(draft if keeps_facts(prompt, draft) and _readable(draft, max_tokens) else prompt)
    return out


def _readable(text: str, max_tokens: int) -> bool:
    try:
        tokenize([text], max_tokens)
    except PromptError:
        return False
    return bool(text.strip())


@dataclass(frozen=True)
class LocalRefiner:
    """The checkpoint's own refiner. Unspecified facts are drawn from the training distribution, by the request's seed."""

    run: Callable[..., list[Any]]
    max_tokens: int = 48

    def draft(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[str]:
        ids, _ = tokenize(prompts, self.max_tokens)
        (states,) = self.run("refine_encoder", ids)
        return write(
            lambda written, rows: self.run("refine_decoder", written, states[rows], ids[rows])[0], list(seeds), self.max_tokens
        )


INSTRUCTION = (
    "You rewrite short prompts of a text-to-video model into dense ones. Keep every fact of the prompt. Add what it leaves "
    "open: the place of each object at the start, its motion, the background. Answer with one line in exactly this form: "
    "'a red circle at the top left moves slowly right and a blue square at the middle center floats still on a black "
    "background'. At most 46 words. Use only these words: "
)


@dataclass(frozen=True)
class EndpointRefiner:
    """A language model behind an OpenAI-compatible endpoint: `url` ends in /v1; the key, if any, is in OPENAI_API_KEY.

    Requests have temperature 0 and the clip's seed; the server decides whether equal prompts get equal answers. Raises
    ReferenceModelError where it does not answer, or in another form.
    """

    url: str
    model: str
    timeout: float = 60.0

    def draft(self, prompts: Sequence[str], seeds: Sequence[int]) -> list[str]:
        return [self._ask(prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)]

    def _ask(self, prompt: str, seed: int) -> str:
        messages = [
            {"role": "system", "content": INSTRUCTION + " ".join(WORDS)},
            {"role": "user", "content": prompt},
        ]
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get("OPENAI_API_KEY"):
            headers["Authorization"] = f"Bearer {key}"
        body = json.dumps({"model": self.model, "messages": messages, "seed": seed, "temperature": 0}).encode()
        target = f"{self.url.rstrip('/')}/chat/completions"
        try:
            request = urllib.request.Request(target, body, headers)
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                return str(json.load(answer)["choices"][0]["message"]["content"]).strip()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ReferenceModelError(f"the refiner's endpoint {target} did not answer: {error}") from error
        except (KeyError, IndexError, TypeError) as error:
            raise ReferenceModelError(
                f"the refiner's endpoint {target} answered without choices[0].message.content: {error!r}"
            ) from error
