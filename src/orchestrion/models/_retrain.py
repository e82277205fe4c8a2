"""Learning from corrections: a router with them beside one without, on messages that neither has seen."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from orchestrion.core import Json, UserError, parse

from ._examples import Example, cut, read_examples
from ._router import Router, train
from ._settings import RouterSettings

FOLDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """How the one trained with corrections does beside the one without, each case judged by those that have not seen it.

    A right answer is better than leaving a message to a person, and that is better than a wrong one.
    """

    cases: int
    """Messages, or rows."""
    corrections: int
    gained: int
    """Cases that are treated better with the corrections."""
    lost: int
    """Cases that are treated worse."""
    right_before: int
    right_after: int

    @property
    def won(self) -> bool:
        return self.gained > self.lost

    def to_json(self) -> dict[str, Json]:
        return {**{name: getattr(self, name) for name in self.__slots__}, "won": self.won}


def read_corrections(path: Path, settings: RouterSettings) -> list[Example]:
    """The rows of a CSV or JSONL file with the columns of the router's examples.

    Raises: UserError `corrections-unreadable`, `corrections-empty`; of a CSV file as `read_examples`.
    """
    if path.suffix != ".jsonl":
        return read_examples(path, settings)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UserError("corrections-unreadable", f"{path} cannot be read: {why}.") from None
    found: list[Example] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = parse(line)
        except UserError as error:
            raise UserError("corrections-unreadable", f"{path}:{number}: {error.message}") from None
        said = [row.get(name) if isinstance(row, dict) else None for name in (settings.text, settings.label)]
        if not all(isinstance(each, str) and each.strip() for each in said):
            raise UserError(
                "corrections-unreadable",
                f"{path}:{number}: a correction has texts under {settings.text!r} and {settings.label!r}.",
            )
        found.append(Example(cut(str(said[0])), str(said[1]).strip()))
    if not found:
        raise UserError("corrections-empty", f"{path} has no correction.")
    return found


def corrected(examples: Sequence[Example], corrections: Sequence[Example]) -> list[Example]:
    """The examples with the corrections: of one text the last correction holds."""
    last = {each.text: each for each in corrections}
    return [*(each for each in examples if each.text not in last), *last.values()]


def contest(examples: Sequence[Example], corrections: Sequence[Example], settings: RouterSettings) -> Contest:
    """Train with and without the corrections, three times each, and compare on the third that was held back.

    Blocks for seconds. Raises: UserError `examples-too-few`.
    """
    merged = corrected(examples, corrections)
    points: list[tuple[int, int]] = []
    for fold in range(FOLDS):
        before = train([each for each in examples if _fold(each) != fold], settings, where="What is not held back")
        after = train([each for each in merged if _fold(each) != fold], settings, where="What is not held back")
        held_back = [each for each in merged if _fold(each) == fold]
        points += [(_points(before, each), _points(after, each)) for each in held_back]
    return Contest(
        cases=len(points),
        corrections=len({each.text for each in corrections}),
        gained=sum(after > before for before, after in points),
        lost=sum(after < before for before, after in points),
        right_before=sum(before == 2 for before, _ in points),
        right_after=sum(after == 2 for _, after in points),
    )


def examples_text(examples: Sequence[Example], settings: RouterSettings) -> str:
    """A file of examples."""
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\n")
    rows.writerow([settings.text, settings.label])
    rows.writerows([each.text, each.label] for each in examples)
    return written.getvalue()


def _fold(example: Example) -> int:
    """By the text alone, so that a text is held back from both."""
    return sha256(example.text.encode()).digest()[0] % FOLDS


def _points(router: Router, example: Example) -> int:
    routing = router.route(example.text)
    return 1 if routing.abstained else 2 * (routing.label == example.label)
