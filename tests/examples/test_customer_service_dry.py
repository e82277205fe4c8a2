"""The customer-service example in dry runs: what the desk would do, with the bank's book closed."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrion.testing import Result, run_command

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "customer-service"
TWICE = '{"message": "I was charged twice", "customerId": "C-1042"}'


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example without its database: whoever opened it would make an empty one."""
    folder = tmp_path_factory.mktemp("desk") / "customer-service"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("*.db*", ".orchestrion"))
    return folder


def dry(desk: Path, *arguments: str) -> Result:
    return run_command("run", "customer-triage", "--dry", "--project", str(desk), "--input", TWICE, *arguments)


def test_a_large_refund_would_need_an_approval(desk: Path) -> None:
    result = dry(desk, "--mock", str(desk / "mocks" / "large-refund.yaml"), "--json")

    told = cast("Mapping[str, Any]", result.json)
    assert (result.code, told["output"]["refunded_cents"], told["output"]["desk"]) == (0, 24900, "billing")
    (refund,) = (each for each in told["would"] if each["what"] == "refund")
    assert refund["by"] == "Agent::billing"
    assert refund["arguments"] == {"charge_id": "K-1", "amount_cents": 24900, "customer_id": "C-1042"}
    assert refund["decision"]["policies"] == ["refund-above-100-needs-approval"]
    assert refund["approval"] == {"role": "support-lead", "verdict": "approved", "reason": None, "answered": "assumed"}
    assert [each["what"] for each in told["would"]] == ["query", "find_refundable", "refund", "query"]
    assert not (desk / "data" / "bank.db").exists()
    assert not (desk / ".orchestrion" / "orchestrion.db").exists()


def test_the_lead_says_no(desk: Path, tmp_path: Path) -> None:
    mocks = tmp_path / "no.yaml"
    text = (desk / "mocks" / "large-refund.yaml").read_text()
    mocks.write_text(
        text.replace("  - output: { rows: [{ id: R-1", "  - rejected: Not today.\n  - output: { rows: [{ id: R-1")
    )
    told = cast("Mapping[str, Any]", dry(desk, "--mock", str(mocks), "--json").json)

    assert "Not today." in told["output"]["refused"]
    assert "refunded_cents" not in told["output"]


def test_without_mocks_it_goes_the_way_of_a_stranger(desk: Path) -> None:
    told = cast("Mapping[str, Any]", dry(desk, "--json").json)

    assert (told["status"], told["output"]["desk"]) == ("completed", "person")
    assert [each["does"] for each in told["would"]] == ["read", "ask", "write"]
    assert [each["mock"] for each in told["would"] if each["answered"] in ("the output schema", "the form")] == [
        "findCustomer",
        "askPerson",
        "keepReply",
    ]
