"""`human`: what is asked, what comes back, and forms nobody could answer."""

from collections.abc import Mapping
from typing import Any, cast

import pytest

from orchestrion.core import Answer, Datum, Effects, Faulted, Invocation, Json, OrchestrionError, Question, UserError
from orchestrion.functions import Human, check_answer, violations

pytestmark = pytest.mark.anyio

FORM: Json = {"type": "object", "required": ["reply"], "properties": {"reply": {"type": "string"}}}
ARGUMENTS: Json = {"role": "lead", "title": "Who answers this?", "show": {"text": "hello"}, "form": FORM}


class Desk:
    """Effects of which only `ask` can be used; it answers at once."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str, Question]] = []

    async def ask(self, key: str, task: str, question: Question) -> Answer:
        self.asked.append((key, task, question))
        return self.answer


async def run(desk: Desk, arguments: Json = ARGUMENTS, labels: Mapping[str, frozenset[str]] | None = None) -> Datum:
    invocation = Invocation(
        key="/do/0/h~1", task="/do/0/h", function="human:1.0.0", arguments=Datum(arguments, labels or {})
    )
    return (await Human().run(invocation, cast("Effects", desk))).output


def answered(value: Json, **changes: Any) -> Answer:
    settings: dict[str, Any] = {"verdict": "answered", "by": "ana", "at": 1893456000.5, **changes}
    return Answer(value=Datum(value, {"/reply": frozenset({"pii"})}), **settings)


async def test_the_answer_is_the_forms_fields_with_who_and_when() -> None:
    desk = Desk(answered({"reply": "me"}))
    output = await run(desk, labels={"/show/text": frozenset({"untrusted"})})

    assert output == Datum(
        {"reply": "me", "by": "ana", "at": "2030-01-01T00:00:00.500Z"}, {"/reply": frozenset({"pii"})}
    )
    [(key, task, question)] = desk.asked
    assert (key, task) == ("/do/0/h~1/answer", "/do/0/h")
    assert question == Question(
        kind="human",
        title="Who answers this?",
        role="lead",
        show=Datum({"text": "hello"}, {"/text": frozenset({"untrusted"})}),
        form=FORM,
    )


async def test_a_person_may_decline() -> None:
    with pytest.raises(Faulted, match="ana declined to answer: not my desk") as caught:
        await run(Desk(answered(None, verdict="rejected", reason="not my desk")))
    assert caught.value.code == "declined"


async def test_an_answer_that_does_not_fit_never_becomes_output() -> None:
    with pytest.raises(UserError) as caught:
        await run(Desk(answered({})))
    assert caught.value.code == "answer-does-not-fit"


def test_answers_are_checked_against_the_form() -> None:
    check_answer(FORM, {"reply": "yes"})
    with pytest.raises(UserError, match="reply must be text"):
        check_answer(FORM, {"reply": 1})


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"type": "string"}, "bad-form"),
        ({}, "bad-form"),
        ({"type": "object", "properties": {"by": {}}}, "bad-form"),
        ({"type": "object", "properties": {"x": {"type": "nope"}}}, "bad-schema"),
    ],
)
async def test_forms_nobody_could_answer_are_refused_before_asking(form: Json, code: str) -> None:
    desk = Desk(answered({}))
    with pytest.raises(OrchestrionError) as caught:
        await run(desk, {"role": "lead", "title": "?", "form": form})
    assert caught.value.code == code
    assert not desk.asked


@pytest.mark.parametrize(
    "arguments",
    [
        {"title": "?", "form": FORM},
        {"title": "?", "form": FORM, "role": "a", "user": "b"},
        {"form": FORM, "role": "a"},
        {"title": "?", "form": FORM, "role": "a", "reminders": []},
    ],
)
def test_wrong_arguments_break_the_input_schema(arguments: Json) -> None:
    assert violations(Human().declaration.input_schema, arguments)
