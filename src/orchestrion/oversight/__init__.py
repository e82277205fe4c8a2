"""By which evidence a rollout is taken back or promoted. Pure: no input or output, no clock, no randomness.

A rollout gives a share of conversations to a *candidate*, a new version; the *control*, the present one, keeps the others
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

from ._assign import Side, assign
from ._comparison import Comparison, Pair, Promote, RollBack, RolloutVerdict, Rule, Standing, Undecided
from ._matching import Conversation, Matched, Matching
from ._plan import Facts, Plan
from ._wealth import Wealth
from ._words import in_words

__all__ = [
    "Comparison",
    "Conversation",
    "Facts",
    "Matched",
    "Matching",
    "Pair",
    "Plan",
    "Promote",
    "RollBack",
    "RolloutVerdict",
    "Rule",
    "Side",
    "Standing",
    "Undecided",
    "Wealth",
    "assign",
    "in_words",
]
