"""The billing desk's model is gone in the middle of a batch: every message is answered, and one incident tells what happened."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from orchestrion.testing.openai_server import Calls, OpenAIServer, Status

pytestmark = pytest.mark.anyio

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "customer-service"
ROWS, LAST = 60, 10
AT_ONCE = 20
"""As the example's settings say."""
QUESTION = "I was charged twice for one purchase, please refund one"
SETTINGS = """
egress: {{ allow: ['127.0.0.1'] }}
models:
  present: {{ provider: 'openai:present', base_url: '{present}', region: eu, fallback: [abroad, spare] }}
  abroad: {{ provider: 'openai:abroad', base_url: '{abroad}', region: us }}
  spare: {{ provider: 'openai:spare', base_url: '{spare}', region: eu }}
"""
POLICY = """
@id("models-stay-in-the-union")
forbid (principal, action == Action::"model", resource)
when { context.arguments has region && context.arguments.region != "eu" };
"""


def says(text: str) -> Calls:
    return Calls([("final_result", {"en": text, "de": text})])


async def command(*arguments: str, folder: Path) -> Any:
    """What `orchestrion ARGUMENTS --json` prints, in a process of its own."""
    done = await anyio.run_process(
        [sys.executable, "-m", "orchestrion", *arguments, "--json"], cwd=folder, check=False, stderr=None
    )
    return json.loads(done.stdout)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """The example with a bank, and one message of each of many customers."""
    folder = tmp_path / "desk"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("*.db*", ".orchestrion", "__pycache__"))
    subprocess.run([sys.executable, "prepare.py"], cwd=folder, check=True, capture_output=True)
    rows = [f'"{QUESTION}",C-{1001 + number}' for number in range(ROWS)]
    (folder / "batch.csv").write_text("\n".join(["message,customer_id", *rows, ""]))
    agent = folder / "agents" / "billing.yaml"
    agent.write_text(agent.read_text().replace("model: playbook:billing", "model: present"))
    policy = folder / "policies" / "desk.cedar"
    policy.write_text(policy.read_text() + POLICY)
    return folder


def replies(folder: Path) -> Mapping[str, int]:
    """What customers were told, and how many of them."""
    with closing(sqlite3.connect(folder / "data" / "bank.db")) as bank:
        return Counter(row[0] for row in bank.execute("select reply from replies"))


async def test_every_message_is_answered_and_there_is_one_incident(desk: Path) -> None:
    def die(number: int, moment: str) -> None:
        if moment == "before" and number > LAST:
            present.script = [Status(404)]

    async with (
        OpenAIServer([says("present")], watch=die) as present,
        OpenAIServer([says("abroad")]) as abroad,
        OpenAIServer([says("spare")]) as spare,
    ):
        settings = desk / "orchestrion.yaml"
        models = SETTINGS.format(present=present.base_url, abroad=abroad.base_url, spare=spare.base_url)
        settings.write_text(settings.read_text() + models)
        ended = await command("run", "customer-triage", "--each", "batch.csv", folder=desk)

    assert ended["statuses"] == {"completed": ROWS}
    assert replies(desk) == {"present": LAST, "spare": ROWS - LAST}
    assert abroad.requests == [], "policy forbids it"
    (incident,) = await command("incidents", "list", folder=desk)
    told = (incident["kind"], incident["subject"], incident["closed_at"])
    assert told == ("model-gone", "present", None)
    assert (incident["followed"], incident["unanswered"]) == (ROWS - LAST, 0)
    assert 0 < incident["failed"] == len(present.requests) - LAST
    assert incident["failed"] <= AT_ONCE + LAST, "only what was under way when it died, or took its place then"
    shown = await command("incidents", "show", incident["id"][:13], folder=desk)
    opened, refused, followed = [step["what"] for step in shown["steps"]]
    assert opened == "The model 'present' does not know this model."
    assert refused.startswith("policy refuses that 'abroad' (region us) answers in its place: Policy 'models-stay")
    assert followed.startswith("'spare' (region eu) answers in its place: it was never tested")
