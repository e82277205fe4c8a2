"""Looking after a project over HTTP: trials, evaluations, alerts, incidents, users."""

import pytest

from orchestrion.testing import World

pytestmark = pytest.mark.anyio

EVALUATION = """
title: Greetings
workflow: hello
cases: { runs: { limit: 5 } }
scorers: { same: { exact: { at: /greeting, truth: /output/greeting }, gate: { at_least: 1 } } }
"""


async def test_an_evaluation_is_written_and_tried(world: World) -> None:
    file = "/api/v1/files/evaluations/greetings.yaml"
    async with world.client("editor") as client, world.client("operator") as operator:
        run = (await operator.post("/api/v1/runs", json={"workflow": "hello", "input": {"name": "Ana"}})).json()["id"]
        assert await world.settled(run) == "completed"
        written = await client.put(file, json={"text": EVALUATION})
        assert written.status_code == 200, written.text
        (listed,) = (await client.get("/api/v1/evaluations")).json()["evaluations"]
        assert (listed["name"], listed["scorers"]) == ("greetings", ["same"])
        found = (await client.post("/api/v1/evaluations/greetings/evaluate", json={})).json()
        assert (found["passed"], len(found["cases"]), found["known_before"]) == (True, 1, 0)
        again = (await client.post("/api/v1/evaluations/greetings/evaluate", json={})).json()
        assert again["known_before"] == 1
        assert (await client.post("/api/v1/evaluations/nothing/evaluate", json={})).json()[
            "code"
        ] == "unknown-evaluation"


async def test_a_version_is_tried_on_a_part_of_the_runs(world: World) -> None:
    file = "/api/v1/files/workflows/hello.yaml"
    trial = "/api/v1/workflows/examples/hello/trial"
    async with world.client("editor") as client, world.client("viewer") as viewer:
        early = await client.post(trial, json={"shares": [0.5]})
        assert early.json()["code"] == "nothing-deployed"
        await client.post("/api/v1/workflows/examples/hello/deploy", json={"version": "working", "why": "first"})
        same = await client.post(trial, json={"shares": [0.5]})
        assert same.json()["code"] == "nothing-differs"
        for wrong in ({"loss": ".status +"}, {"violation": "nothing("}, {"sticky": "customerId"}):
            assert (await client.post(trial, json=wrong)).json()["code"] == "bad-plan"
        digest = (await client.get(file)).json()["digest"]
        edit = {"op": "set", "path": "/do/0/greet/set/greeting", "value": '${ "Good day, \\(.name)." }'}
        edited = await client.post(f"{file}/edits", json={"digest": digest, "operations": [edit]})
        assert edited.status_code == 200, edited.text
        begun = await client.post(trial, json={"shares": [0.5], "seconds": 10})
        assert (begun.status_code, begun.json()["status"]) == (201, "running"), begun.text
        async with world.client("operator") as operator:
            for number in range(8):
                started = await operator.post(
                    "/api/v1/runs", json={"workflow": "hello", "input": {"name": str(number)}}
                )
                assert await world.settled(started.json()["id"]) == "completed"
        shown = (await viewer.get(f"/api/v1/rollouts/{begun.json()['id']}")).json()
        assert sum(shown["runs"].values()) == 8
        assert shown["verdict"]
        (listed,) = (await viewer.get("/api/v1/rollouts")).json()["rollouts"]
        assert listed["evidence"]


async def test_users_are_added_given_tokens_and_removed(world: World) -> None:
    async with world.client() as admin, world.client("editor") as editor:
        assert (await editor.post("/api/v1/users", json={"name": "kim"})).status_code == 403
        added = await admin.post("/api/v1/users", json={"name": "kim", "roles": ["operator"]})
        assert (added.status_code, added.json()) == (201, {"name": "kim", "roles": ["operator"]})
        assert (await admin.post("/api/v1/users", json={"name": "kim"})).json()["code"] == "user-exists"
        assert (await admin.post("/api/v1/users", json={"name": "lea", "roles": ["boss"]})).json()[
            "code"
        ] == "unknown-role"
        token = (await admin.post("/api/v1/users/kim/tokens", json={"label": "shop", "days": 1})).json()["token"]
        link = (await admin.post("/api/v1/users/kim/links")).json()["link"]
        assert link.startswith(f"{world.url}/sign-in?code=link_")
        async with world.client(None, authorization=f"Bearer {token}") as kim:
            assert (await kim.get("/api/v1/me")).json() == {"name": "kim", "roles": ["operator"]}
            assert (await admin.delete("/api/v1/users/kim")).status_code == 204
            assert (await kim.get("/api/v1/me")).status_code == 401
        assert (await admin.post("/api/v1/users/kim/links")).status_code == 404


async def test_alerts_and_incidents_are_told(world: World) -> None:
    async with world.client("viewer") as viewer, world.client("operator") as operator:
        assert (await viewer.get("/api/v1/alerts")).json() == {"alerts": []}
        assert (await viewer.get("/api/v1/incidents")).json() == {"incidents": []}
        assert (await viewer.get("/api/v1/incidents/nothing")).status_code == 404
        assert (await operator.post("/api/v1/alerts/nothing/acknowledge")).status_code == 404
