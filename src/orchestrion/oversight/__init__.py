"""How versions did, and by which evidence a rollout is taken back or promoted. Pure: no input or output, no clock.

**Evaluations.** A file in `evaluations/` names cases and scorers (`read_evaluation`). What a version did with a case is read from the
record of its run (`observe`), each scorer says how that was (`score`), and all scores together make a table with intervals and a
gate (`summarise`).

**Watching.** What agents, models, tools, routers and workflows do is counted from the record of runs (`measured`), in sums that add up
over time (`Measures`). Whether some of it has lastingly changed is said by `detect`.

**Replays.** What a run did is read from its record (`behaviour`), and two of them are compared (`compare`): each `Difference` is a sentence,
and the gravest says how alike they are (`likeness`). A candidate in the `Shadow` of production is compared with each run there.

**Rollouts.** A rollout gives a share of conversations to a *candidate*, a new version; the *control*, the present one, keeps the others
(`assign`). Conversations of both sides and of one kind are matched in pairs when they begin (`Matching`), and the losses of each pair
are compared (`Comparison`), until the verdict is `RollBack` or `Promote`.

```python
matching, comparison = Matching(), Comparison(rule=Rule())
...  # a conversation begins
side = assign(conversation, share=0.1, salt=rollout)
matching = matching.begun(conversation, side=side, stratum="billing")
...  # it is known how it went
matching, pairs = matching.settled(conversation, loss=1.0)
for pair in pairs:
    comparison = comparison.after(pair)
print(in_words(comparison.verdict))
```
"""

from ._alerting import Bound, change_in_words
from ._assign import Side, assign
from ._comparison import Comparison, Pair, Promote, RollBack, RolloutVerdict, Rule, Standing, Undecided
from ._difference import Behaviour, Deed, Difference, Likeness, behaviour, compare, likeness
from ._drift import CLOCK as DRIFT_CLOCK
from ._drift import DELTA as DRIFT_DELTA
from ._drift import LEAST as DRIFT_LEAST
from ._drift import Change, Signal, detect
from ._evaluation import (
    Cases,
    Evaluation,
    EvaluationFile,
    Judge,
    PythonScorer,
    Scorer,
    evaluation_schema,
    read_evaluation,
)
from ._intervals import Agreement, Estimate, agreement, mean, mean_difference, share, share_difference
from ._matching import Conversation, Matched, Matching
from ._measures import KINDS, MEASURES, NOTEWORTHY, Measures, Record, Seen, Subject, SubjectKind, measured
from ._observation import Called, Case, Observation, observe
from ._plan import Facts, Plan
from ._scoring import Score, at, score, truth_of
from ._shadow import Shadow
from ._summary import Row, summarise
from ._tally import Happening, Tally
from ._wealth import Wealth
from ._words import in_words

__all__ = [
    "DRIFT_CLOCK",
    "DRIFT_DELTA",
    "DRIFT_LEAST",
    "KINDS",
    "MEASURES",
    "NOTEWORTHY",
    "Agreement",
    "Behaviour",
    "Bound",
    "Called",
    "Case",
    "Cases",
    "Change",
    "Comparison",
    "Conversation",
    "Deed",
    "Difference",
    "Estimate",
    "Evaluation",
    "EvaluationFile",
    "Facts",
    "Happening",
    "Judge",
    "Likeness",
    "Matched",
    "Matching",
    "Measures",
    "Observation",
    "Pair",
    "Plan",
    "Promote",
    "PythonScorer",
    "Record",
    "RollBack",
    "RolloutVerdict",
    "Row",
    "Rule",
    "Score",
    "Scorer",
    "Seen",
    "Shadow",
    "Side",
    "Signal",
    "Standing",
    "Subject",
    "SubjectKind",
    "Tally",
    "Undecided",
    "Wealth",
    "agreement",
    "assign",
    "at",
    "behaviour",
    "change_in_words",
    "compare",
    "detect",
    "evaluation_schema",
    "in_words",
    "likeness",
    "mean",
    "mean_difference",
    "measured",
    "observe",
    "read_evaluation",
    "score",
    "share",
    "share_difference",
    "summarise",
    "truth_of",
]
