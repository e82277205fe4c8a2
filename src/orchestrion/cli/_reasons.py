"""Why something came about: what the journal keeps as evidence, in plain words."""

from collections.abc import Sequence

from orchestrion.core import Entry, Json, Problem
from orchestrion.spec import End, Exit, Goto, SwitchTask, Task

from ._phrases import counted, entity, listed, mapping, members, pairs, percent, quoted, sure, texts
from ._step import Cost, Reason, Ruling

_SEEN_ELSEWHERE = frozenset(
    {"answered_by", "playbook", "rule", "why", "seconds", "price_known", "interruptions", "settled_by", "simulated"}
    | {"because", "intent"}
)


def problem_in(value: Json) -> Problem | None:
    return None if value is None else Problem.model_validate(value)


def problem_words(problem: Problem) -> str:
    """The problem in a sentence, without its hint."""
    return (problem.detail or problem.title or problem.code or "It failed.").strip()


def cost_in(entry: Entry) -> Cost:
    used = mapping(entry.cost)
    numbers = {name: value for name, value in used.items() if isinstance(value, int)}
    return Cost(
        usd_micros=numbers.get("usd_micros", 0),
        tokens=numbers.get("input_tokens", 0) + numbers.get("output_tokens", 0),
        known=mapping(entry.why).get("price_known") is not False,
    )


# --- policy ---


def ruling_in(entry: Entry) -> Ruling | None:
    """The policy decision that stands in an entry."""
    decision = mapping(entry.decision)
    verdict = decision.get("verdict")
    if verdict not in ("allow", "deny", "needs-approval"):
        return None
    return Ruling(
        verdict=verdict,
        policies=texts(decision.get("policies")),
        reason=_text(decision.get("reason")),
        approved_by=_text(decision.get("approved_by")),
        approved_by_role=_text(decision.get("approved_by_role")),
        version=_text(decision.get("version")) or "",
    )


def ruling_words(ruling: Ruling) -> str:
    """What policy said, in a sentence."""
    named = (
        f"{'policies' if len(ruling.policies) > 1 else 'policy'} {listed(ruling.policies)}" if ruling.policies else ""
    )
    match ruling.verdict:
        case "allow":
            by = f", approved by {_approver(ruling)}" if ruling.approved_by else ""
            return f"allowed by {named or 'policy'}{by}"
        case "deny":
            reason = ruling.reason or "no policy permits it"
            tells = not named or all(policy in reason for policy in ruling.policies)
            return f"refused: {reason}" if tells else f"refused: {reason} ({named})"
        case "needs-approval":
            return f"{named or 'policy'} asks for an approval{f': {ruling.reason}' if ruling.reason else ''}"


def _approver(ruling: Ruling) -> str:
    role = f" ({ruling.approved_by_role})" if ruling.approved_by_role else ""
    return f"{ruling.approved_by}{role}"


# --- branches ---


def switch_reasons(entry: Entry, task: Task | None) -> list[Reason]:
    """Which case was taken, because of what, and where it led."""
    why = mapping(entry.why)
    case, when = why.get("case"), _text(why.get("when"))
    if case is None:
        return [Reason("branch", "none of the cases held")]
    because = f"because {when}" if when else "because none of the cases before it held"
    return [Reason("branch", f"{because}{_leads(task, str(case))}")]


def _leads(task: Task | None, name: str) -> str:
    if not isinstance(task, SwitchTask):
        return ""
    then = next((case.then for case in task.cases if case.name == name), None)
    match then:
        case Goto(task=target):
            return f"; went on with {target}"
        case End():
            return "; the workflow ended there"
        case Exit():
            return "; left this list of tasks there"
        case _:
            return ""


# --- functions ---


def function_name(entry: Entry) -> str:
    return entry.function.partition(":")[0]


def call_result(entry: Entry) -> str:
    """What came of a call, in a word or two."""
    output = mapping(entry.output)
    match function_name(entry):
        case "route":
            if output.get("label") is None:
                return "not sure"
            return str(output["label"])
        case "guard":
            return str(output.get("verdict", ""))
        case "query" if isinstance(count := output.get("rowcount"), int):
            return counted(count, "row")
        case "transform" if "records" in output:
            return f"{counted(len(members(output['records'])), 'record')}, {len(members(output.get('quarantined')))} set aside"
        case _:
            return ""


def simulated(entry: Entry) -> list[Reason]:
    """How a dry run answered it."""
    match _text(mapping(entry.why).get("simulated")) or _text(mapping(entry.problem).get("simulated")):
        case None:
            return []
        case "the output schema":
            return [Reason("record", "not performed: the answer is made up from its output schema")]
        case "the form":
            return [Reason("record", "nobody was asked: the answer is made up from the form")]
        case "assumed":
            return [Reason("record", "nobody was asked: a dry run assumes that it is approved")]
        case "the filter":
            return [Reason("record", "nothing happened: the event is made up from what is listened for")]
        case "no wait":
            return [Reason("record", "a dry run does not wait")]
        case mock:
            return [Reason("record", f"not performed: answered by {mock}")]


def call_reasons(entry: Entry) -> list[Reason]:
    """The evidence that came with a call's outcome."""
    why = mapping(entry.why)
    reasons = simulated(entry)
    if "nearest" in why and "confidence" in why:
        reasons += _routing(entry)
    elif function_name(entry) == "guard":
        reasons += _findings(entry)
    else:
        rest = {name: value for name, value in why.items() if name not in _SEEN_ELSEWHERE}
        if rest:
            reasons.append(Reason("record", pairs(rest)))
    reasons += rule_reasons(why)
    if (by := _text(why.get("settled_by"))) is not None:
        reasons.append(Reason("person", f"it was interrupted, and {by} found out that it happened"))
    elif why.get("interruptions"):
        reasons.append(Reason("person", "it was interrupted, and a person had it performed again"))
    return reasons


def _routing(entry: Entry) -> list[Reason]:
    why = mapping(entry.why)
    confidence, threshold = _number(why.get("confidence")), _number(why.get("threshold"))
    router, label = why.get("router", "the router"), mapping(entry.output).get("label")
    if label is None:
        least = f", less than the {percent(threshold)} it needs" if threshold is not None else ""
        said = f"router {router} abstained: {why.get('best')} at {percent(confidence or 0)}{least}"
    else:
        said = f"router {router} is {sure(confidence or 0)} sure of {label}"
    reasons = [Reason("routing", said)]
    nearest = mapping(next(iter(members(why.get("nearest"))), None))
    if nearest:
        alike = _number(nearest.get("similarity")) or 0.0
        text = quoted(str(nearest.get("text", "")))
        reasons.append(Reason("routing", f"nearest example: {text} ({nearest.get('label')}, {percent(alike)} alike)"))
    return reasons


def _findings(entry: Entry) -> list[Reason]:
    findings = [mapping(each) for each in members(mapping(entry.output).get("findings"))]
    if not findings:
        return [Reason("result", "nothing speaks against it")]
    return [
        Reason(
            "result",
            f"{one.get('verdict')}: {one.get('kind')} {one.get('what')} at {one.get('where') or 'the whole'} ({one.get('why')})",
        )
        for one in findings
    ]


# --- models and playbooks ---


def rule_reasons(why: Json) -> list[Reason]:
    """Which rule of which playbook answered."""
    found = mapping(why)
    rule = _text(found.get("rule"))
    if rule is None:
        return []
    reasons = [
        Reason("rule", f"rule {quoted(rule, 200)} of playbook {found.get('playbook')}; no language model was asked")
    ]
    if (why_text := _text(found.get("why"))) is not None:
        reasons.append(Reason("rule", why_text))
    if because := texts(found.get("because")):
        reasons.append(Reason("rule", f"because {listed(because)}"))
    return reasons


def answered_by(entries: Sequence[Entry]) -> Reason | None:
    """Who gave an agent's answers: rules, or which models."""
    answered = [entry for entry in entries if entry.model]
    if not answered:
        return None
    models = list(dict.fromkeys(entry.model or "" for entry in answered))
    if all(mapping(entry.why).get("answered_by") == "rules" for entry in answered):
        books = list(dict.fromkeys(str(mapping(entry.why).get("playbook")) for entry in answered))
        return Reason("rule", f"answered by the rules of playbook {listed(books)}; no language model was asked")
    return Reason("model", f"answered by {listed(models)} in {counted(len(answered), 'answer')}")


def given_by(subject: str | None) -> str:
    """The name of who acted, without its kind."""
    return entity(subject).partition(" ")[2] or entity(subject)


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Json) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
