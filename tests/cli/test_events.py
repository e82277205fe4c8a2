"""Events from the command line: sent, repeated, listed, and heard by runs."""

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from orchestrion.testing import run_command, start_command

ORDER = """\
document: { dsl: '1.0.3', namespace: shop, name: order, version: '1.0.0' }
do:
  - place: { emit: { event: { with: { type: order.placed, data: '${ . }' } } } }
  - readings:
      listen:
        to:
          any: [ { with: { type: reading, data: { order: '${ $workflow.input.order }' } } } ]
          until: { one: { with: { type: enough } } }
      foreach: { item: r, do: [ { keep: { set: { n: '${ $r.n }' } } } ], output: { as: .n } }
"""
BANK = """\
document: { dsl: '1.0.3', namespace: shop, name: bank, version: '1.0.0' }
schedule: { on: { one: { with: { type: bill } } } }
do:
  - pay: { set: { paid: '${ .[0].order }' } }
"""


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command("init").code == 0
    Path("workflows/order.yaml").write_text(ORDER)
    Path("workflows/bank.yaml").write_text(BANK)


def fields(*arguments: str) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", run_command(*arguments, "--json").json)


def rows(*arguments: str) -> Sequence[Mapping[str, Any]]:
    return cast("Sequence[Mapping[str, Any]]", run_command(*arguments, "--json").json)


def test_a_waiting_run_says_what_it_listens_for_and_hears_it() -> None:
    waiting = run_command("run", "order", "--input", '{"order": "A"}')
    assert waiting.code == 3
    assert "listens for an event reading, until an event enough" in waiting.said
    (run,) = rows("runs", "list")
    shown = run_command("runs", "show", run["id"]).said
    assert "It waits for an event reading, until an event enough." in shown
    assert "orchestrion events send reading" in shown
    told = run_command("events", "send", "reading", "--data", '{"order": "A", "n": 1}')
    assert (told.code, "1 run hears of it" in told.said) == (0, True)
    assert "nobody wants it now" in run_command("events", "send", "reading", "--data", '{"order": "B", "n": 2}').said
    ended = fields("events", "send", "enough")
    assert ended["told"] == [run["id"]]
    (run,) = rows("runs", "list", "--status", "completed")
    assert run["output"] == [1]
    shown = run_command("runs", "show", run["id"]).said
    assert "order.placed" in shown
    assert "listened for an event reading, until an event enough" in shown
    assert "it ended the listening" in shown
    page = run_command("runs", "show", run["id"], "--html")
    assert "Waiting for events" in Path(page.out.strip()).read_text()


def test_an_event_starts_a_run_once() -> None:
    first = fields("events", "send", "bill", "--id", "7", "--data", '{"order": "A"}')
    assert (first["new"], len(first["started"]), first["told"]) == (True, 1, [])
    again = fields("events", "send", "bill", "--id", "7", "--data", '{"order": "A"}')
    assert (again["new"], again["started"]) == (False, first["started"])
    assert "was known already" in run_command("events", "send", "bill", "--id", "7").said
    (run,) = rows("runs", "list")
    assert (run["status"], run["output"], run["subject"]) == ("completed", {"paid": "A"}, "Event::bill")
    shown = fields("events", "show", "7")
    assert (shown["started"], shown["labels"]) == (first["started"], {"": ["untrusted"]})
    assert "was started by it" in run_command("events", "show", "7").said


def test_many_events_as_lines_and_one_as_a_file() -> None:
    lines = [
        '{"source": "/s", "id": "1", "type": "bill", "data": {"order": 1}}',
        "",
        '{"source": "/s", "id": "2", "type": "x"}',
    ]
    Path("events.jsonl").write_text("\n".join([*lines, lines[0]]))
    said = run_command("events", "send", "--lines", "events.jsonl").said
    assert "2 events received, 1 duplicate dropped." in said
    assert "Nobody wants 1 of them" in said
    Path("one.json").write_text('{"specversion": "1.0", "source": "/s", "id": "3", "type": "y", "roomid": "12"}')
    assert fields("events", "send", "--event", "@one.json")["type"] == "y"
    assert [event["id"] for event in rows("events", "list", "--unwanted")] == ["3", "2"]
    assert [event["id"] for event in rows("events", "list", "--type", "bill")] == ["1"]
    assert "1 run" in run_command("events", "list").said


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), "event-missing", "Name its type"),
        (("x", "--source", "has space"), "bad-event", "`source`"),
        (("x", "--attribute", "roomId=1"), "bad-event", "small letters"),
        (("x", "--attribute", "room"), "bad-event", "NAME=VALUE"),
        (("x", "--data", "{"), "not-json", "The data"),
        (("--event", "[]"), "bad-event", "JSON object"),
        (("--event", '{"source": "/s", "type": "x", "data_base64": "!"}'), "bad-event", "base64"),
        (("--event", '{"source": "/s", "type": "x", "time": "today"}'), "bad-event", "2030"),
        (("--event", '{"source": "/s", "type": "x", "specversion": "0.3"}'), "bad-event", "'1.0'"),
        (("--event", '{"source": "/s", "type": "x", "extra": {}}'), "bad-event", "an object"),
        (("--event", '{"source": "/s", "type": "x\\u001b[2J"}'), "bad-event", "control characters"),
        (("--lines", "nowhere.jsonl"), "unreadable-file", "nowhere.jsonl"),
    ],
)
def test_what_is_no_event_is_refused(arguments: Sequence[str], code: str, words: str) -> None:
    refused = run_command("events", "send", *arguments)
    assert (refused.code, code in refused.said, words in refused.said) == (2, True, True), refused.said
    assert rows("events", "list") == []


def test_an_unknown_event_is_said_to_be_so() -> None:
    assert "unknown-event" in run_command("events", "show", "7").said
    for source in ("/a", "/b"):
        run_command("events", "send", "x", "--source", source, "--id", "7")
    assert "of /b, /a" in run_command("events", "show", "7").said
    assert fields("events", "show", "7", "--source", "/a")["source"] == "/a"


def test_the_process_at_work_hears_of_events_that_others_send() -> None:
    work = start_command("work")
    try:
        lines = work.lines()
        assert "runs are open" in next(lines)
        sent = fields("events", "send", "bill", "--data", '{"order": "A"}')
        assert (sent["routed"], len(sent["started"])) == (True, 1)
        line = next(lines)
        while sent["started"][0] not in line:
            line += next(lines)
        assert "shop/bank" in line
    finally:
        work.send_signal(signal.SIGTERM)
        work.communicate()
    (run,) = rows("runs", "list")
    assert (run["status"], run["output"]) == ("completed", {"paid": "A"})
