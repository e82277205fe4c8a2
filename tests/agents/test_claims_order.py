"""What a model is told of its claims is the same on every walk."""

from orchestrion.agents._claims import Proof, unproven


def test_results_are_listed_as_they_were_asked_for_however_they_ended() -> None:
    proofs = {f"tool/{n}": Proof(tool="look", status="done", key=f"/{n}") for n in (10, 2, 1)}
    (said,) = unproven([{"kind": "seen", "entry": "tool/9"}], {"seen": "look"}, proofs)
    assert said.endswith("results of 'look': tool/1, tool/2, tool/10")
