"""Where source text is cut for an edit, and what is put there."""

import re
from dataclasses import dataclass

from orchestrion.core import Json, UserError

from ._emit import STEP, Style, block, entry, inline, is_block, item, key_text
from ._source import Fields, Items, Node, Scalar, Source, colon_after, dash_after
from ._template import pointer_step

_LINE_BREAK = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class Splice:
    """Put `text` in place of what stands from `start` to `end`. Its line breaks become those of the source."""

    start: int
    end: int
    text: str


class Cutter:
    """Finds the splices for one text. `style` is how new blocks are written where the place allows it."""

    def __init__(self, source: Source, style: Style) -> None:
        self._source = source
        self._text = source.text
        self._style: Style = style

    def set_value(self, pointer: str, value: Json) -> Splice:
        """Replace the value at `pointer`, which exists."""
        *above, node = self._trail(pointer)
        style = self._style_in(above or [node])
        if not above:
            lines = block(value, 0) if style == "block" else [inline(value, style)]
            return Splice(start=node.start, end=node.end, text="\n".join(lines))
        own, after = self._indicator(above[-1], node)
        if style != "block" or self._style != "block":
            return self._replaced(node, after, inline(value, style if style != "block" else "flow"))
        if is_block(value) and _is_written_as_block(node) and self._column(node.start) > own:
            return Splice(start=node.start, end=node.end, text="\n".join(block(value, self._column(node.start))))
        if not is_block(value) and not _is_written_as_block(node):
            return self._replaced(node, after, inline(value, "block", own + STEP))
        return Splice(start=after, end=node.end, text=self._after_indicator(above[-1], value, own))

    def add_field(self, pointer: str, name: str, value: Json) -> Splice:
        """Add a field to the end of the object at `pointer`."""
        above = self._trail(pointer, into=True)
        parent = above[-1]
        if not isinstance(parent, Fields):
            raise no_such_place(pointer + pointer_step(name))
        style = self._style_in(above)
        if not parent.keys:
            return self.set_value(pointer, {name: value})
        if style != "block":
            return self._appended(
                parent.keys[-1].start, parent.values[-1].end, f"{key_text(name, style)}: {inline(value, style)}"
            )
        column = self._column(parent.keys[0].start)
        if self._style == "block":
            lines = list(entry(name, value, column))
        else:
            lines = [f"{key_text(name, 'flow')}: {inline(value, 'flow')}"]
        return self._new_lines(parent.values[-1].end, lines, column)

    def insert_item(self, pointer: str, index: int, value: Json) -> Splice:
        """Put an item into the list at `pointer`; `index` may be its length."""
        above = self._trail(pointer, into=True)
        parent = above[-1]
        if not isinstance(parent, Items) or not 0 <= index <= len(parent.items):
            raise no_such_place(f"{pointer}/{index}")
        if not parent.items:
            return self.set_value(pointer, [value])
        style = self._style_in(above)
        if style != "block":
            text = inline(value, style)
            if index == len(parent.items):
                return self._appended(parent.items[-1].start, parent.items[-1].end, text)
            return self._put_before(parent.items[index].start, text)
        column = self._column(self._dash(parent, 0))
        lines = list(item(value, column)) if self._style == "block" else [f"- {inline(value, 'flow')}"]
        if index == len(parent.items):
            return self._new_lines(parent.items[-1].end, lines, column)
        dash = self._dash(parent, index)
        return Splice(start=dash, end=dash, text="\n".join([*lines, " " * column]))

    def remove(self, pointer: str) -> Splice:
        """Take away a field or an item; what is left of its list or object stays as it is."""
        *above, node = self._trail(pointer)
        if not above:
            raise no_such_place(pointer)
        parent = above[-1]
        children = parent.values if isinstance(parent, Fields) else parent.items if isinstance(parent, Items) else []
        position = next(i for i, inner in enumerate(children) if inner is node)
        if len(children) == 1:
            return self.set_value(pointer.rpartition("/")[0], {} if isinstance(parent, Fields) else [])
        if self._style_in(above) != "block":
            if position + 1 < len(children):
                return Splice(start=self._start(parent, position), end=self._start(parent, position + 1), text="")
            return Splice(start=children[position - 1].end, end=node.end, text="")
        start = self._start(parent, position)
        line = self._line_start(start)
        if self._text[line:start].strip():
            return Splice(start=start, end=self._start(parent, position + 1), text="")
        end = self._line_end(node.end)
        newline = _LINE_BREAK.match(self._text, end)
        if newline is not None:
            return Splice(start=line, end=newline.end(), text="")
        return Splice(start=self._line_end(children[position - 1].end), end=end, text="")

    def rename(self, pointer: str, name: str) -> Splice:
        """Give the field at `pointer` another key."""
        key = self._source.key(pointer)
        if key is None or key.alias:
            raise no_such_place(pointer)
        style = self._style_in(self._trail(pointer)[:-1])
        return Splice(start=key.start, end=key.end, text=key_text(name, style))

    def _trail(self, pointer: str, *, into: bool = False) -> list[Node]:
        """The nodes down to `pointer`. What an alias stands for is written elsewhere, so nothing `into` it is cut."""
        found = self._source.trail(pointer)
        if found is None:
            raise no_such_place(pointer)
        if any(node.alias for node in (found if into else found[:-1])):
            raise cannot_edit(pointer)
        return found

    def _style_in(self, nodes: list[Node]) -> Style:
        """How values are written inside these nodes, the outermost first."""
        root = self._source.root
        is_flow = any(not isinstance(node, Scalar) and node.flow for node in nodes)
        is_json = isinstance(root, Fields) and root.flow and all(key.style == '"' for key in root.keys)
        return "block" if not is_flow else "json" if is_json else "flow"

    def _indicator(self, parent: Node, node: Node) -> tuple[int, int]:
        """The column of the key or dash that `node` follows, and the offset after its colon or dash."""
        if isinstance(parent, Items):
            if parent.flow:
                return 0, node.start
            dash = self._dash(parent, _position(parent.items, node))
            return self._column(dash), dash + 1
        if not isinstance(parent, Fields):
            raise cannot_edit("")
        key = parent.keys[_position(parent.values, node)]
        colon = colon_after(self._text, key.end)
        return self._column(key.start), key.end if colon is None else colon + 1

    def _replaced(self, node: Node, after: int, text: str) -> Splice:
        """`text` in place of a value on the line of its key or dash; an empty value leaves nothing to replace."""
        if node.start < node.end:
            return Splice(start=node.start, end=node.end, text=text)
        lacks_colon = self._text[after - 1 : after] not in (":", "-")
        return Splice(start=after, end=after, text=f": {text}" if lacks_colon else f" {text}")

    def _after_indicator(self, parent: Node, value: Json, own: int) -> str:
        if not is_block(value):
            return " " + inline(value, "block", own + STEP)
        if isinstance(parent, Items):
            return " " + "\n".join(block(value, own + 2))
        return "\n" + " " * (own + STEP) + "\n".join(block(value, own + STEP))

    def _appended(self, start: int, end: int, text: str) -> Splice:
        """After the last entry of a collection in brackets; on a line of its own if that entry has one."""
        return Splice(start=end, end=end, text=f",{self._gap(start)}{text}")

    def _put_before(self, start: int, text: str) -> Splice:
        return Splice(start=start, end=start, text=f"{text},{self._gap(start)}")

    def _gap(self, start: int) -> str:
        before = self._text[self._line_start(start) : start]
        return " " if before.strip() else "\n" + before

    def _new_lines(self, end: int, lines: list[str], column: int) -> Splice:
        at = self._line_end(end)
        return Splice(start=at, end=at, text="\n" + " " * column + "\n".join(lines))

    def _start(self, parent: Node, position: int) -> int:
        if isinstance(parent, Fields):
            return parent.keys[position].start
        if isinstance(parent, Items) and not parent.flow:
            return self._dash(parent, position)
        return parent.items[position].start if isinstance(parent, Items) else parent.start

    def _dash(self, parent: Items, position: int) -> int:
        found = dash_after(self._text, parent.items[position - 1].end if position else parent.start)
        if found is None:
            raise cannot_edit("")
        return found

    def _line_start(self, offset: int) -> int:
        return max(self._text.rfind("\n", 0, offset), self._text.rfind("\r", 0, offset)) + 1

    def _line_end(self, offset: int) -> int:
        found = _LINE_BREAK.search(self._text, offset)
        return found.start() if found else len(self._text)

    def _column(self, offset: int) -> int:
        start = self._line_start(offset)
        return offset - start - (1 if self._text[start : start + 1] == "\ufeff" else 0)


def no_such_place(pointer: str) -> UserError:
    return UserError("no-such-place", f"The document has nothing at {pointer!r} that can be edited so.")


def cannot_edit(pointer: str) -> UserError:
    hint = "Edit the text by hand: anchors, aliases and unusual YAML cannot be edited in place."
    return UserError("cannot-edit", f"The text at {pointer!r} cannot be edited in place.", hint=hint)


def _is_written_as_block(node: Node) -> bool:
    return not isinstance(node, Scalar) and not node.flow and not node.alias and node.anchor is None


def _position(children: list[Node], node: Node) -> int:
    return next(i for i, inner in enumerate(children) if inner is node)
