"""Models by name, and the patience with them."""

import subprocess
import sys
from typing import cast

import httpx2
import pytest

from orchestrion.core import Json, UserError
from orchestrion.models import Models, ModelSettings, Patience, Playbook, parse_playbook

RULES = cast("Playbook", parse_playbook({"rules": [{"name": "a", "answer": "x"}]}, name="desk"))


class Secret:
    def get(self, name: str) -> Json:
        return {"good": "sk", "bad": {"user": "x"}}[name]


def never() -> httpx2.AsyncClient:
    raise AssertionError("nothing here may go outside")


def models(**settings: ModelSettings) -> Models:
    return Models(settings, http=never, secrets=Secret(), playbooks={"desk": RULES})


def refused(known: Models, *names: str) -> UserError:
    with pytest.raises(UserError) as caught:
        known.candidates(names)
    return caught.value


def test_a_playbook_computes_and_asks_nobody() -> None:
    (candidate,) = models().candidates(["playbook:desk"])
    assert candidate.effect == "none"
    assert candidate.model.model_name == "playbook:desk"


def test_playbook_alone_means_the_agents_own() -> None:
    assert models().candidates(["playbook"], RULES)[0].name == "playbook"
    assert refused(models(), "playbook").code == "unknown-playbook"


def test_fallbacks_follow_their_model_and_each_is_asked_once() -> None:
    known = models(
        one=ModelSettings(provider="playbook:desk", fallback=("two", "one")),
        two=ModelSettings(provider="playbook:desk", fallback=("one",)),
        three=ModelSettings(provider="playbook:desk"),
    )
    assert [one.name for one in known.candidates(["one", "three", "two"])] == ["one", "two", "three"]


def test_unknown_names_get_a_suggestion() -> None:
    known = models(desk=ModelSettings(provider="playbook:desk"))
    assert "Did you mean 'desk'?" in refused(known, "desc").message
    assert "Did you mean 'desk'?" in refused(known, "playbook:desc").message
    assert refused(known, "nonsense:model").code == "model-not-usable"


def test_a_provider_with_connections_of_its_own_is_refused() -> None:
    error = refused(models(), "xai:grok")
    assert error.code == "model-not-usable"


def test_a_secret_that_is_no_key_is_refused() -> None:
    known = models(desk=ModelSettings(provider="x", base_url="http://127.0.0.1:1/v1", key="bad"))
    assert refused(known, "desk").code == "bad-secret"


@pytest.mark.parametrize(
    ("attempt", "asked_s", "wait_s"),
    [(1, None, 0.5), (2, None, 1.0), (3, None, None), (1, 7.0, 7.0), (1, 20.0, 20.0), (1, 21.0, None), (1, 0.0, 0.0)],
)
def test_patience(attempt: int, asked_s: float | None, wait_s: float | None) -> None:
    assert Patience().wait_s(attempt, asked_s) == wait_s


def test_reading_names_imports_no_heavy_library() -> None:
    code = (
        "import sys, orchestrion.agents, orchestrion.models;"
        "print([name for name in ('pydantic_ai', 'sklearn', 'numpy', 'httpx2', 'openai') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
