"""`orchestrion schedules` as a person or a script uses it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrion.store import Store
from orchestrion.testing import Result, run_command

NIGHTLY = """\
document:
  dsl: '1.0.3'
  namespace: examples
  name: nightly
  version: '1.0.0'
  metadata: { timezone: Europe/Berlin, schedule: { missed: all, input: { region: north } } }
schedule: { cron: '30 2 * * *' }
do:
  - report: { set: { for: '${ .region }', day: '${ .scheduledAt[:10] }' } }
"""
OLDER = NIGHTLY.replace("1.0.0", "0.9.0").replace("30 2", "0 5")
POLLING = """\
document: { dsl: '1.0.3', namespace: examples, name: polling, version: '1.0.0' }
schedule: { after: { minutes: 10 } }
do:
  - look: { set: { seen: true } }
"""


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command("init").code == 0
    for name, text in (("nightly", NIGHTLY), ("older", OLDER), ("polling", POLLING)):
        Path(f"workflows/{name}.yaml").write_text(text)


def fields(result: Result) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", result.json)


def listed(*options: str) -> Mapping[str, Mapping[str, Any]]:
    found = run_command("schedules", "list", "--json", *options)
    assert found.code == 0
    return {row["workflow"]: row for row in cast("Sequence[Mapping[str, Any]]", found.json)}


def test_the_newest_versions_are_listed_with_their_next_firings() -> None:
    found = listed("--next", "3")
    assert set(found) == {"examples/nightly", "examples/polling"}
    nightly = found["examples/nightly"]
    assert (nightly["schedule"], nightly["timezone"], nightly["missed"]) == (
        "At 02:30 every day",
        "Europe/Berlin",
        "all",
    )
    assert len(nightly["next"]) == 3
    assert (nightly["last_at"], nightly["last_run_id"], nightly["paused_by"]) == (None, None, None)
    polling = found["examples/polling"]
    assert (polling["schedule"], polling["next"]) == ("10 minutes after the end of each run", [])
    said = run_command("schedules", "list").said
    assert "At 02:30 every day" in said
    assert "as soon as" in said


def test_a_schedule_is_paused_by_somebody_and_resumed() -> None:
    assert run_command("schedules", "pause", "nightly", "--as", "ana").code == 0
    assert listed()["examples/nightly"]["paused_by"] == "ana"
    assert "paused by ana" in run_command("schedules", "list").said
    again = run_command("schedules", "pause", "nightly", "--json")
    assert (again.code, fields(again)["problem"]["code"]) == (2, "schedule-paused")
    assert run_command("schedules", "resume", "nightly").code == 0
    assert listed()["examples/nightly"]["paused_by"] is None
    again = run_command("schedules", "resume", "nightly", "--json")
    assert (again.code, fields(again)["problem"]["code"]) == (2, "schedule-not-paused")


def test_fired_by_hand_it_runs_now_and_its_schedule_stays() -> None:
    before = listed()["examples/nightly"]
    fired = run_command("schedules", "fire", "nightly", "--json", "--as", "ana")
    assert (fired.code, fields(fired)["status"]) == (0, "completed")
    assert fields(fired)["output"]["for"] == "north"
    assert listed()["examples/nightly"] == before
    (run,) = cast("Sequence[Mapping[str, Any]]", run_command("runs", "list", "--json").json)
    assert run["subject"] == "ana"


def test_without_a_schedule_there_is_nothing_to_fire_or_pause() -> None:
    for command in ("fire", "pause", "resume"):
        refused = run_command("schedules", command, "hello", "--json")
        assert (refused.code, fields(refused)["problem"]["code"]) == (2, "not-scheduled")


def test_it_works_beside_the_process_that_has_the_store() -> None:
    run_command("schedules", "pause", "polling")
    owner = Store.open(Path(".orchestrion/orchestrion.db"), mode="own")
    try:
        assert run_command("schedules", "pause", "nightly", "--as", "ana").code == 0
        fired = run_command("schedules", "fire", "nightly", "--json")
        assert (fired.code, fields(fired)["status"]) == (0, "pending")
        assert listed()["examples/nightly"]["paused_by"] == "ana"
    finally:
        owner.close()


def test_the_doctor_looks_after_watched_folders() -> None:
    settings = Path("orchestrion.yaml")
    settings.write_text(settings.read_text() + "folders: { here: { path: inbox }, gone: { path: outbox } }\n")
    Path("inbox").mkdir()
    found = cast("Sequence[Mapping[str, Any]]", run_command("doctor", "--json").json)
    folders = {row["detail"].split(":")[0].split(" ")[0]: row["health"] for row in found if row["what"] == "folder"}
    assert folders == {"here": "ok", "gone": "warning"}


def test_a_folder_cannot_be_where_its_files_are_put_away() -> None:
    settings = Path("orchestrion.yaml")
    settings.write_text(settings.read_text() + "folders: { here: { path: inbox, done: . } }\n")
    refused = run_command("validate")
    assert refused.code == 2
    assert "cannot be where its files are put away" in refused.said
