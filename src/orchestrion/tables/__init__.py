"""Decision tables: rules that a business user reads and changes, checked as a whole before they are used.

A table is `tables/NAME.csv` or `tables/NAME.yaml`. It has input columns with conditions, output columns with values, and a hit
policy, as in DMN: `unique` (exactly one row matches; two that could both match are a mistake), `first` (the first that matches
counts) and `collect` (all that match).

```yaml
hit: first
inputs:
  score: number [0..1]                  # the type, then what may occur
  amount_cents: integer >= 0
  country: text?                        # ? : may be null or absent
outputs:
  action: text block, ask, dismiss
  reason: text
rules:
  - name: clear fraud                   # names the row in the record of a run; optional
    when: { score: '>= 0.9' }           # a column that is left out takes any value
    then: { action: block, reason: The score leaves no doubt. }
  - when: { score: '[0.5..0.9)', country: 'not(DE, AT)' }
    then: { action: ask, reason: Unusual and abroad. }
  - then: { action: dismiss, reason: Nothing speaks for fraud. }
```

The same as CSV, with commas, semicolons or tabs between cells. The first cell is the hit policy; the column under it names rows and
may be empty. A column's head is `when NAME: TYPE` or `then NAME: TYPE`.

```text
first;when score: number [0..1];when country: text?;then action: text block, ask, dismiss
clear fraud;>= 0.9;-;block
;[0.5..0.9);not(DE, AT);ask
;-;-;dismiss
```

| type | values |
| --- | --- |
| `number`, `integer` | numbers, of `integer` only whole ones |
| `text` | text; what may occur is listed after the type, or left open |
| `boolean` | true, false |

| condition | holds for |
| --- | --- |
| `-` | any value, null included |
| `5`, `fraud`, `true`, `"text, with a comma"` | this value |
| `>= 5`, `> 5`, `<= 5`, `< 5` | numbers by comparison |
| `[0..5]`, `(0..5)`, `[0..5)`, `0..5` | numbers of a range: [ ] include their bound, ( ) do not, without brackets both are included |
| `a, b, "c"` or `< 0, [5..9]` | any of these; in YAML a list as well |
| `not(a, b)` | anything else, null included |
| `null` | null, in a column with `?` |

**What is checked when the project is read.** Each cell against its column; and the rows together, exactly, by cutting every column at
the bounds that occur in it: combinations that no row matches (`unique`, `first`), rows that overlap (`unique`), rows that are never
reached (`first`), conditions that nothing fulfils. With `collect`, no match is an empty list and no mistake.

**What the check cannot know.** Columns count as independent: a combination that never happens is asked for all the same (put a last row with
`-` in every column). A text column without a list may hold any text. Beyond 200,000 combinations the check gives up and warns. Whether
the rules are right, nobody can check but you.
"""

from ._read import TableFile, read_table, table_schema
from ._table import Column, Decision, HitPolicy, Row, Table

__all__ = [
    "Column",
    "Decision",
    "HitPolicy",
    "Row",
    "Table",
    "TableFile",
    "read_table",
    "table_schema",
]
