"""The files of a CLIP folder in open_clip's format, checked before a network of their sizes is made."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import Encoding, Tokenizer

from sora_eval.util.errors import WeightsError, line_of
from sora_eval.util.sealed import read_json

CONFIG = "open_clip_config.json"
MOST = {  # larger than in any published CLIP; the second names are of transformers
    **dict.fromkeys(("layers", "depth", "num_hidden_layers"), 1 << 10),
    **dict.fromkeys(("width", "hidden_size"), 1 << 15),
    "vocab_size": 1 << 21,
}
SIZES = (("layers", "num_hidden_layers"), ("width", "hidden_size"))
MOST_OF_OTHERS = 1 << 20
MOST_WEIGHTS = 1 << 35  # of a tower's transformer: 12 x layers x width^2


def check_folder(spec: str, folder: Path) -> None:
    """Raises WeightsError for a folder without weights or whose config is missing, of another type, or of sizes that no CLIP
    has."""
    path = folder / CONFIG
    if not path.is_file():
        raise WeightsError(f"CLIP model {spec!r}: {folder} has no {CONFIG}")
    try:
        config = read_json(path)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} is no config of a CLIP: {line_of(error)}") from error
    model = config.get("model_cfg") if isinstance(config, dict) else None
    if not isinstance(model, dict):
        raise WeightsError(f"{path} is no config of a CLIP: expected a table with the table 'model_cfg'")
    check_sizes(path, model)
    if not any(p.suffix in (".safetensors", ".bin", ".pt") for p in folder.iterdir()):
        raise WeightsError(f"CLIP model {spec!r}: {folder} has no weights (.safetensors, .bin or .pt)")


def check_sizes(path: Path, model: dict[str, Any]) -> None:
    """Raises WeightsError for a config with sizes that no CLIP has: the network is made before its weights are read."""
    for place, value in _numbers(model, ()):
        most = MOST.get(place[-1], MOST_OF_OTHERS)
        if not abs(value) <= most:
            raise WeightsError(f"{path}: {'.'.join(place)} = {value}; expected at most {most}")
    for name, tower in model.items():
        layers, width = (tower.get(a, tower.get(b)) for a, b in SIZES) if isinstance(tower, dict) else (0, 0)
        if isinstance(layers, int) and isinstance(width, int) and 12 * layers * width**2 > MOST_WEIGHTS:
            raise WeightsError(f"{path}: {name} has {layers} layers of width {width}; expected at most {MOST_WEIGHTS} weights")


def settings_hash(folder: Path) -> str:
    """A hash of a folder's config and tokenizer, 8 hex digits: its numbers change with them too."""
    files = [folder / name for name in (CONFIG, "tokenizer.json")]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files if file.is_file())).hexdigest()[:8]


def _numbers(value: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], float]]:
    """The numbers of a config with their places; those of a list have the place of the list."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, (*place, key))
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner, place)
    elif isinstance(value, (int, float)):
        yield place, value


def encoded(tokenizer: Tokenizer, text: str) -> Encoding:
    """The tokens of a text. Raises WeightsError for a tokenizer that contradicts itself."""
    try:
        return tokenizer.encode(text)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library raises Exception itself, and panics, which are none
        raise WeightsError(f"the tokenizer cannot encode {text!r:.80}: {line_of(error)}") from error


def read_tokenizer(path: Path, model: Any, length: int) -> Tokenizer:
    """The tokenizer of a folder, which cuts texts at `length` tokens before it adds the end token.

    Raises WeightsError for a file that is none, or of more words than the model knows.
    """
    try:
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.enable_truncation(length)
        tokenizer.no_padding()
    except Exception as error:  # the library raises Exception itself
        raise WeightsError(f"{path} is no tokenizer: {line_of(error)}") from error
    try:
        encoded(tokenizer, "a \N{SNOWMAN}")  # a word that few vocabularies have
    except WeightsError as error:
        raise WeightsError(f"{path} is no tokenizer: {error}") from error
    embedding = getattr(model, "token_embedding", None) or getattr(getattr(model, "text", None), "token_embedding", None)
    known = getattr(embedding, "num_embeddings", None)
    largest = max(tokenizer.get_vocab().values(), default=0)
    if known is not None and largest >= known:
        raise WeightsError(f"{path} has the token {largest}, and the network knows {known}: it is of another model")
    return tokenizer
