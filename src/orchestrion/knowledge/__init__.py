"""A project's documents, found again by what they say: passages with their sources.

**Documents** stand in the project's folder `knowledge/`. The files in it are the knowledge base `default`; each folder in it is a base
of its own, with everything below it. Hidden files and links are left out.

| file | becomes |
| --- | --- |
| `.md` | passages of paragraphs below one heading |
| `.txt` | passages of paragraphs |
| `.html` | the same as Markdown; scripts, styles and navigation are left out |
| `.pdf` | passages of one page each; what was only scanned holds no text and is reported |
| `.csv` | a passage for each row, `column: value` |

Texts are UTF-8, or UTF-16 with its mark; anything else is read as Windows-1252, and the list of files says so.

**Passages** are 1,200 characters or a little more. An id is made of the file, the heading and the text, so that it stays the same
while other parts of a file change. A source names the file, the heading, the page or row, and the lines.

**The index** is brought up to date whenever it is asked: files that look unchanged (size, time) are not read, files whose content is
unchanged are not cut again, what is gone is removed, and a file that cannot be read is reported and does not keep the others waiting.
Its digest, made of every file's, is recorded with each answer. Words are compared by their English stems, whatever their case and
accents, in any number: the more and the rarer, the better (BM25 in a SQLite file beside the store; PostgreSQL's full text where the store
is there). With `embeddings: true` passages that mean the like are found as well, and both orders are merged by reciprocal rank fusion.

```yaml
knowledge:                       # in orchestrion.yaml, where the defaults do not do
  default: { embeddings: true }
  forum: { labels: [untrusted] } # knowledge/forum/: anybody may write there
```
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._folder import files_of
    from ._index import FileNote, Found, Indexed, Knowledge
    from ._passages import Passage
    from ._settings import Base, Place, knowledge_bases

__all__ = ["Base", "FileNote", "Found", "Indexed", "Knowledge", "Passage", "Place", "files_of", "knowledge_bases"]

_HOMES = {
    "Base": "_settings",
    "FileNote": "_index",
    "Found": "_index",
    "Indexed": "_index",
    "Knowledge": "_index",
    "Passage": "_passages",
    "Place": "_settings",
    "files_of": "_folder",
    "knowledge_bases": "_settings",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{home}", __name__), name)
