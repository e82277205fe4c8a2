"""`schedule`: what is wrong with one is said where it stands, with what to do."""

from pathlib import Path
from typing import cast

import jsonschema_rs
import pytest
from inline_snapshot import snapshot

from orchestrion.spec import After, Cron, Every, Schedule, read

HEAD = "document: {{ dsl: '1.0.3', namespace: test, name: sample, version: '1.0.0', metadata: {metadata} }}\n"
TASKS = "\ndo: [ a: { set: { x: 1 } } ]\n"


def said(body: str, metadata: str = "{}") -> list[str]:
    reading = read(HEAD.format(metadata=metadata) + body + TASKS, file="w.yaml")
    return [str(finding).removeprefix("w.yaml:") for finding in reading.findings]


def planned(body: str, metadata: str = "{}") -> Schedule:
    document = read(HEAD.format(metadata=metadata) + body + TASKS).document
    assert document is not None
    assert document.schedule is not None
    return document.schedule


def test_a_schedule_is_read() -> None:
    assert planned("schedule: { cron: '0 9 * * MON-FRI' }") == Schedule(timing=Cron("0 9 * * MON-FRI"))
    assert planned("schedule: { every: { minutes: 5 } }") == Schedule(timing=Every(300))
    metadata = "{ timezone: Asia/Tokyo, schedule: { missed: all, input: { region: north } } }"
    assert planned("schedule: { after: PT1H }", metadata) == Schedule(
        timing=After(3600), timezone="Asia/Tokyo", missed="all", input={"region": "north"}
    )


@pytest.mark.parametrize(
    ("body", "metadata", "rendered"),
    [
        (
            "schedule: { cron: '0 25 * * *' }",
            "{}",
            snapshot(
                [
                    "2:19 error[bad-cron] '0 25 * * *' is not a cron expression: bad hour. The fields are: minute hour day-of-month month day-of-week. For example '0 9 * * 1-5' is nine o'clock from Monday to Friday."
                ]
            ),
        ),
        (
            "schedule: { cron: '@daily' }",
            "{}",
            snapshot(
                [
                    "2:19 error[bad-cron] A cron expression has five fields. Write: minute hour day-of-month month day-of-week, such as '0 9 * * 1-5'."
                ]
            ),
        ),
        (
            "schedule: { cron: 5 }",
            "{}",
            snapshot(["2:19 error[wrong-type] This must be text; it is a whole number. Put it in quotes."]),
        ),
        (
            "schedule: { cron: '0 0 31 2 *' }",
            "{}",
            snapshot(
                [
                    "2:19 error[impossible-date] '0 0 31 2 *' never fires: day '31' of month '2' does not exist. Write `L` for the last day of a month."
                ]
            ),
        ),
        (
            "schedule: { cron: '0 0 31 4,6 *' }",
            "{}",
            snapshot(
                [
                    "2:19 error[impossible-date] '0 0 31 4,6 *' never fires: day '31' of month '4,6' does not exist. Write `L` for the last day of a month."
                ]
            ),
        ),
        (
            "schedule: { cron: '0 0 * * *' }",
            "{ timezone: Europe/Berlim }",
            snapshot(
                [
                    "1:98 error[unknown-timezone] There is no time zone 'Europe/Berlim'. Write an IANA name such as Europe/Berlin."
                ]
            ),
        ),
        (
            "schedule: { every: 5 minutes }",
            "{}",
            snapshot(
                [
                    "2:20 error[bad-duration] '5 minutes' cannot be used. The text is not an ISO 8601 duration. Write { minutes: 5 } or PT5M. Years and months have no fixed length: use days."
                ]
            ),
        ),
        (
            "schedule: { every: { milliseconds: 500 } }",
            "{}",
            snapshot(
                ["2:20 error[bad-schedule] {'milliseconds': 500} is shorter than a second. Give at least a second."]
            ),
        ),
        (
            "schedule: { every: PT5M, after: PT1H }",
            "{}",
            snapshot(
                [
                    "2:1 error[bad-schedule] A schedule names one kind of start; this has `every` and `after`. Name one of `cron`, `every`, `after`, `on`; make a workflow of each where several are meant."
                ]
            ),
        ),
        (
            "schedule: {}",
            "{}",
            snapshot(
                [
                    "2:1 error[bad-schedule] A schedule names one kind of start; this has nothing. Name one of `cron`, `every`, `after`, `on`; make a workflow of each where several are meant."
                ]
            ),
        ),
        (
            "schedule: { crom: '0 0 * * *' }",
            "{}",
            snapshot(
                [
                    "2:1 error[bad-schedule] A schedule names one kind of start; this has nothing. Name one of `cron`, `every`, `after`, `on`; make a workflow of each where several are meant.",
                    "2:13 error[unknown-field] 'crom' is not known here. Did you mean 'cron'?",
                ]
            ),
        ),
        (
            "schedule: { every: PT5M }",
            "{ schedule: { missed: twice, inputs: {} } }",
            snapshot(
                [
                    "1:108 error[bad-value] 'twice' is not one of skip, once, all.",
                    "1:115 error[unknown-field] 'inputs' is not known here. Did you mean 'input'?",
                ]
            ),
        ),
        (
            "input: { schema: { document: { type: object, required: [region] } } }\nschedule: { every: PT5M }",
            "{}",
            snapshot(
                [
                    '3:1 error[bad-schedule-input] The input of scheduled runs does not fit the workflow\'s input schema: the input: "region" is a required property. Give the input under `document.metadata.schedule.input`; the schema must also allow `scheduledAt`, which is added.'
                ]
            ),
        ),
        (
            "input: { schema: { document: { properties: { region: {} }, additionalProperties: false } } }\nschedule: { every: PT5M }",
            "{ schedule: { input: { region: north } } }",
            snapshot(
                [
                    "3:1 error[bad-schedule-input] The input of scheduled runs does not fit the workflow's input schema: the input: Additional properties are not allowed ('scheduledAt' was unexpected). Give the input under `document.metadata.schedule.input`; the schema must also allow `scheduledAt`, which is added."
                ]
            ),
        ),
    ],
)
def test_a_mistake_is_reported(body: str, metadata: str, rendered: list[str]) -> None:
    assert said(body, metadata) == rendered


def test_an_input_that_fits_is_fine() -> None:
    body = "input: { schema: { document: { type: object, required: [region] } } }\nschedule: { every: PT5M }"
    assert said(body, "{ schedule: { input: { region: north } } }") == []


def test_what_is_ours_stays_valid_for_everyone(test_data: Path) -> None:
    schema = read((test_data / "open-workflow/schema/workflow.yaml").read_text()).source
    assert schema is not None
    official = jsonschema_rs.validator_for(cast("dict[str, object]", schema.json))
    metadata = "{ timezone: Asia/Tokyo, schedule: { missed: all, input: { region: north } } }"
    for body in ("schedule: { cron: 0 9 * * 1 }", "schedule: { every: PT5M }", "schedule: { after: { hours: 1 } }"):
        document = read(HEAD.format(metadata=metadata) + body + TASKS).document
        assert document is not None
        assert official.is_valid(document.json)
