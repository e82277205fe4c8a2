"""What answers: language models of any provider, playbooks (rules without a language model), routers and predictors.

**Models.** A model is named by a word of the project's settings, or directly: `playbook`, `playbook:NAME`, or any provider
string of pydantic-ai such as `openai:gpt-…`, `anthropic:…`, `ollama:…`. Several names are tried in order when one fails for a
reason that may pass, and the record says which one answered.

A model of the settings may have a price, a region that policies see, limits that all processes on a store share, fallbacks, and a
day from which it is not asked any more. One that keeps failing is left alone for a while.

**Playbooks.** A playbook is a deterministic agent: ordered rules that choose tools and fill answers in. It stands in
`playbooks/NAME.yaml`, or in an agent file under `playbook:`. Each time the agent's model is asked, the rules are read from the
top, and the first that holds is taken. A rule with `call` is taken at most once in a conversation, so the order of rules is the
order of work. A rule with `answer` ends the conversation.

```yaml
entities:                               # looked for in the message; {entities.NAME} in templates
  amount: money                         # "12.50", "EUR 12,50", "$ 12" → 1250, in cents
  day: date                             # "2026-03-01", "1.3.2026", "1 March 2026" → "2026-03-01"
  invoice: { pattern: '\\bINV-\\d+\\b' }    # a regular expression: its first group, or all of it
  # and: number, email
facts:                                  # picked out of tools' results; {facts.NAME} in templates
  twice: { from: tools.find_invoices.rows, same: [merchant, amount_cents], take: last }
  named: { from: tools.find_invoices.rows, where: { id: '{entities.invoice}' } }
rules:
  - name: look the invoices up          # shown to people as the reason
    when: { says: [charged twice, 'doubl*', refund] }
    call: find_invoices
    arguments: { since: '{entities.day|default:2026-01-01}' }
  - name: refund the second charge
    when: { has: facts.twice }
    call: refund
    arguments: { invoice_id: '{facts.twice.id}', amount_cents: '{facts.twice.amount_cents}' }
    why: Two charges by one merchant over the same amount.
  - name: the refund was refused
    when: { refused: refund }
    answer: 'I may not refund this: {refusals.refund.reason}'
  - name: refunded
    when: { done: refund }
    answer: 'We have refunded {facts.twice.amount_cents|money} by {facts.twice.merchant}.'
  - name: no rule fits
    answer: 'I could not find out what this is about.'
```

**Teams.** An agent that leads a team hands work on with `engage: NAME` in place of `call`, with `arguments` where the member takes
some. NAME is an agent or a team. A rule whose member is neither offered nor below one that is offered does not hold, so the same
rules serve a flat team and a hierarchy. What a member gave stands under its name, as a tool's result does: `done: billing`,
`{tools.billing.reply}`. An agent that sums a panel up need not repeat it: `contributions` and `disagreements`, where its answer must
have them, are taken from its input's `panel` unless the rule says them.

`when` lists conditions that must all hold; without `when` a rule always holds, and the last rule must be such an answer.

| condition | holds when |
| --- | --- |
| `says: [a, b]` | the message contains one of these words or phrases; case and accents do not matter; `refund*` also matches what begins with it |
| `says_all: [a, b]` | it contains all of them |
| `matches: REGEX` | the regular expression is found in the message, whatever the case |
| `has: PATH` or `[PATH, …]` | there is something at each path, neither null, empty nor false |
| `compare: { PATH: { TEST: VALUE } }` | tests: `is`, `is_not`, `above`, `below`, `at_least`, `at_most`, `one_of`, `contains`; VALUE may be a template |
| `called: TOOL` or list | each was called, however it ended |
| `done: TOOL` or list | the last call of each succeeded |
| `refused: TOOL` or list | the last call of each was refused, by policy or by a person |
| `failed: TOOL` or list | the last call of each failed |
| `not: { … }` | the conditions in it do not all hold |
| `any: [ { … }, { … } ]` | one of these groups holds |

The message is the input's field `message`, or the one that `message: FIELD` at the top of the playbook names.

A path is dotted, with numbers for list items. It begins with `input`, `entities`, `facts`, `tools` (the last result of a tool that
succeeded), `refusals` or `failures` (`.reason`, `.by` - `policy` or `person` - and `.code`). A template is text with `{path}` or
`{path|filter}`; text that is one `{path}` alone gives the value itself, number or object. `{{` writes a brace. Filters: `money` (1250 →
`12.50`), `date` (→ `1 March 2026`), `count` (length of a list), `default:TEXT`. A path with nothing at its end gives empty text, or null
when it stands alone. Nothing is evaluated: paths reach into JSON only.

`answer` is text, or an object with the fields of the agent's output schema, templates in it. A fact picks from a list: `from` a path;
`where` fields that must equal values; `same` fields in which at least two items must agree (their later occurrences are what is
picked); `take`: `first` (default), `last`, `all`, `count`, or `{ sum: FIELD }`.

**Predictors.** A predictor is a trained model that `predict` scores an input with. `predictors/NAME.yaml` describes it:

```yaml
description: Whether a card payment is fraud.
model: predictors/card-fraud.skops      # relative to the project's folder
input:                                  # JSON Schema; its properties are the model's features, in the model's order
  type: object
  properties:
    amount_cents: { type: integer }
    merchant_kind: { type: string }     # number, integer, boolean or string
labels: [harmless, fraud]               # what it says below the threshold, and from the threshold on
threshold: 0.7                          # by default the one found in training
train:                                  # how `orchestrion predictor train` makes the model; left out for one made elsewhere
  estimator: trees                      # linear, trees (both learn from `label`), isolation (learns what is usual)
  label: fraud                          # column of the training file: one of the labels, 0 or 1, true or false
  target_precision: 0.8                 # the threshold is the lowest at which this share of alarms was right, on rows held back
  # alarm_rate: 0.01                    # of isolation instead: the share of the training rows above the threshold
```

A model is a file of skops, never pickle. It is read only if everything in it is on a list of types (scikit-learn's pipelines,
encoders, scalers, logistic regression, naive Bayes, trees and forests of them, calibration, isolation forests; arrays), and its trees lead nowhere but into
themselves. A pipeline made elsewhere takes rows of columns in the order of `input`, or, when it begins with a DictVectorizer, an
object for each row; its last step tells two classes apart by probability (the second is the second label), or is an isolation forest.

An `.onnx` model (extra `onnx`) takes one table of numbers with the features in the order of `input`, or an input for each feature
under its own name; its last output is the score, or two columns of which the last is.

Beside the model lies its card, `MODEL.card.json`: the model's SHA-256, what it was trained on (`trained_on`), libraries (`made_with`),
usual values of the features (`usual`: medians, most frequent values), `threshold`, and `measures` on rows held back. Only `model` is needed.

*What moved a score* (`moved_by`): each feature in turn is given its usual value, and the score falls by its effect. For linear
models this is measured in log-odds, where the effects are the model's own contributions and add up; for others on the score, where they need
not add up, and where two features that only matter together both count.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from ._audience import Audience, Chunk, Listener, Voice
from ._examples import Example, read_examples
from ._health import Health
from ._line import InLine, Line, in_line
from ._local import LocalModel
from ._models import Asked, Candidate, Models, target_of
from ._patience import Patience
from ._play import Played, play
from ._playbook import Flaw, Playbook, Surroundings, flaws_of, parse_playbook
from ._playbook_check import check_playbook
from ._playbook_file import PlaybookFile, findings_of, playbook_schema, read_playbook
from ._predictor_file import PredictorFile, PredictorSource, Value, predictor_schema, read_predictor
from ._predictor_store import Predictors
from ._router_store import Routers, RouterSource, open_router
from ._rules import CallTool, Conversation, Intent, Member, Say, Step, ToolCall, next_step
from ._settings import ModelLimits, ModelSettings, Price, RouterSettings
from ._slots import Slots
from ._template import lookup, render
from ._tests import ModelTest, ModelTests

if TYPE_CHECKING:
    from ._cost import cost_of
    from ._playbook_conversation import ASK_TOOL
    from ._playbook_model import PlaybookModel
    from ._predictor import Effect, Prediction, Predictor, open_predictor
    from ._predictor_retrain import contest_predictor
    from ._predictor_train import PredictorReport, test_predictor, train_predictor
    from ._retrain import Contest, contest, corrected, examples_text, read_corrections
    from ._router import Neighbour, Report, Router, Routing, train
    from ._trial import QUESTIONS, Trial, ask_trial

__all__ = [
    "ASK_TOOL",
    "QUESTIONS",
    "Asked",
    "Audience",
    "CallTool",
    "Candidate",
    "Chunk",
    "Contest",
    "Conversation",
    "Effect",
    "Example",
    "Flaw",
    "Health",
    "InLine",
    "Intent",
    "Line",
    "Listener",
    "LocalModel",
    "Member",
    "ModelLimits",
    "ModelSettings",
    "ModelTest",
    "ModelTests",
    "Models",
    "Neighbour",
    "Patience",
    "Playbook",
    "PlaybookFile",
    "PlaybookModel",
    "Played",
    "Prediction",
    "Predictor",
    "PredictorFile",
    "PredictorReport",
    "PredictorSource",
    "Predictors",
    "Price",
    "Report",
    "Router",
    "RouterSettings",
    "RouterSource",
    "Routers",
    "Routing",
    "Say",
    "Slots",
    "Step",
    "Surroundings",
    "ToolCall",
    "Trial",
    "Value",
    "Voice",
    "ask_trial",
    "check_playbook",
    "contest",
    "contest_predictor",
    "corrected",
    "cost_of",
    "examples_text",
    "findings_of",
    "flaws_of",
    "in_line",
    "lookup",
    "next_step",
    "open_predictor",
    "open_router",
    "parse_playbook",
    "play",
    "playbook_schema",
    "predictor_schema",
    "read_corrections",
    "read_examples",
    "read_playbook",
    "read_predictor",
    "render",
    "target_of",
    "test_predictor",
    "train",
    "train_predictor",
]

_HEAVY = {
    **dict.fromkeys(("Contest", "contest", "corrected", "examples_text", "read_corrections"), "_retrain"),
    "Effect": "_predictor",
    "Prediction": "_predictor",
    "Predictor": "_predictor",
    "PredictorReport": "_predictor_train",
    "contest_predictor": "_predictor_retrain",
    "open_predictor": "_predictor",
    "test_predictor": "_predictor_train",
    "train_predictor": "_predictor_train",
    "ASK_TOOL": "_playbook_conversation",
    "Neighbour": "_router",
    "PlaybookModel": "_playbook_model",
    "Report": "_router",
    "Router": "_router",
    "Routing": "_router",
    "cost_of": "_cost",
    "Trial": "_trial",
    "train": "_router",
    "ask_trial": "_trial",
    "QUESTIONS": "_trial",
}
"""Names whose files import pydantic-ai or scikit-learn, which take seconds."""


def __getattr__(name: str) -> object:
    if name not in _HEAVY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HEAVY[name]}", __name__), name)
