"""Clusters of cases: the independent units of every interval and test, since clips of one prompt are alike."""

from __future__ import annotations

from collections.abc import Iterable


def clusters_of(cases: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """The cluster of each case by its id, from (id, prompt_id, text of the prompt): cases of one prompt id, or of equal text,
    are one cluster, whose name is its least prompt id. An empty text is none.

    >>> clusters_of([("a/0", "a", "a cat"), ("b/0", "b", "a cat"), ("b/1", "b", "red"), ("c/0", "c", ""), ("d/0", "d", "")])
    {'a/0': 'a', 'b/0': 'a', 'b/1': 'a', 'c/0': 'c', 'd/0': 'd'}
    """
    rows = list(cases)
    parents: dict[str, str] = {prompt: prompt for _, prompt, _ in rows}

    def root(prompt: str) -> str:
        while parents[prompt] != prompt:
            parents[prompt] = prompt = parents[parents[prompt]]
        return prompt

    first: dict[str, str] = {}  # prompt id by text
    for _, prompt, text in rows:
        if text.strip():
            a, b = sorted((root(prompt), root(first.setdefault(text, prompt))))
            parents[b] = a
    return {case: root(prompt) for case, prompt, _ in rows}
