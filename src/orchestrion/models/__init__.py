"""What answers: language models of any provider, playbooks (rules without a language model) and routers.

**Models.** A model is named by a word of the project's settings, or directly: `playbook`, `playbook:NAME`, or any provider
string of pydantic-ai such as `openai:gpt-…`, `anthropic:…`, `ollama:…`. Several names are tried in order when one fails for a
reason that may pass, and the record says which one answered.

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
"""
