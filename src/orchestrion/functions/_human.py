"""`human`: a person answers a form, after however many days."""

from collections.abc import Mapping
from typing import cast

from orchestrion.core import (
    ERROR_TYPES,
    NO_LABELS,
    Answer,
    Datum,
    Declaration,
    Effects,
    Faulted,
    Invocation,
    Json,
    Outcome,
    Problem,
    Question,
    UserError,
    iso,
)

from ._schema import arguments_of, check_schema, require_valid

_DECLARATION = Declaration(
    name="human",
    version="1.0.0",
    title="Ask a person",
    description=(
        "Puts a form before a person, or before everybody with a role, and waits for the answer. Give the task a "
        "timeout: without one it waits for good. When it expires, a `timeout` error is raised that `catch` can handle."
    ),
    input_schema={
        "type": "object",
        "required": ["title", "form"],
        "oneOf": [{"required": ["role"]}, {"required": ["user"]}],
        "additionalProperties": False,
        "properties": {
            "role": {"type": "string", "minLength": 1, "description": "Who is asked: anybody with this role."},
            "user": {"type": "string", "minLength": 1, "description": "Who is asked: this person."},
            "title": {"type": "string", "minLength": 1, "maxLength": 200, "description": "The question in one line."},
            "show": {"description": "What the person sees beside the form."},
            "form": {
                "type": "object",
                "description": "JSON Schema of the answer, an object. `by` and `at` are not free for its fields.",
            },
        },
    },
    output_schema={
        "type": "object",
        "required": ["by", "at"],
        "properties": {
            "by": {"type": "string", "description": "Who answered."},
            "at": {"type": "string", "format": "date-time", "description": "When, in UTC."},
        },
        "description": "The form's fields, and:",
    },
    effect="none",
    idempotent=True,
)


class Human:
    """A composite of one question: nothing is performed, and the answer is the record."""

    @property
    def declaration(self) -> Declaration:
        return _DECLARATION

    async def run(self, invocation: Invocation, effects: Effects) -> Outcome:
        """Ask, wait, and give the form's fields with who answered and when.

        Raises: UserError `bad-form` for a form nobody could answer; Faulted `declined` when the person refuses.
        """
        arguments = arguments_of(_DECLARATION, invocation.arguments.value)
        form = check_form(arguments["form"])
        question = Question(
            kind="human",
            title=cast("str", arguments["title"]),
            role=cast("str | None", arguments.get("role")),
            user=cast("str | None", arguments.get("user")),
            show=Datum(arguments.get("show"), invocation.arguments.part("/show")),
            form=form,
        )
        answer = await effects.ask(f"{invocation.key}/answer", invocation.task, question)
        return Outcome(output=_output(form, answer))


def check_form(form: Json) -> Mapping[str, Json]:
    """The form, if a person can answer it. Raises: UserError `bad-form`, `bad-schema`."""
    if not isinstance(form, Mapping) or form.get("type") != "object":
        raise UserError("bad-form", "A form is a JSON Schema with `type: object`.")
    fields = form.get("properties")
    taken = {"by", "at"} & set(fields if isinstance(fields, Mapping) else ())
    if taken:
        raise UserError(
            "bad-form",
            f"The form has a field {sorted(taken)[0]!r}, which is where the answer says who gave it and when.",
            hint="Call the field something else.",
        )
    check_schema(form)
    return form


def check_answer(form: Json, value: Json) -> None:
    """Whoever takes an answer calls this before recording it. Raises: UserError `answer-does-not-fit`."""
    require_valid(form, value, code="answer-does-not-fit", what="The answer")


def _output(form: Json, answer: Answer) -> Datum:
    if answer.verdict != "answered":
        detail = f"{answer.by} declined to answer" + (f": {answer.reason}" if answer.reason else ".")
        problem = Problem(type=ERROR_TYPES["runtime"], status=409, title="Declined", code="declined", detail=detail)
        raise Faulted(problem)
    check_answer(form, answer.value.value)
    fields = cast("Mapping[str, Json]", answer.value.value)  # the form says it is an object
    return Datum({**fields, "by": answer.by, "at": iso(answer.at)}, answer.value.labels or NO_LABELS)
