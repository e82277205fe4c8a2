"""A program: reads HTML or PDF from standard input and prints its pieces as JSON. Run by itself, so that it may be killed."""

import json
import logging
import re
import resource
import sys
from html.parser import HTMLParser
from io import BytesIO

CPU_S = 30
MEMORY = 2 << 30
MOST_TEXT = 20_000_000
"""Characters."""
_SILENT = {"script", "style", "template", "noscript", "nav", "svg", "head"}
_INLINE = {
    *(
        "a",
        "abbr",
        "b",
        "bdi",
        "bdo",
        "cite",
        "code",
        "data",
        "dfn",
        "em",
        "i",
        "kbd",
        "label",
        "mark",
        "q",
        "s",
        "samp",
    ),
    *("small", "span", "strong", "sub", "sup", "time", "u", "var", "wbr", "font", "img"),
}
_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([A-Za-z0-9_-]{2,40})", re.IGNORECASE)

Pieces = list[tuple[str, int, int | None, int | None]]
"""Text, level of a heading or 0, page, line."""


class Reader(HTMLParser):
    """Headings and paragraphs. Never more of them open than one."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: Pieces = []
        self._held: list[str] = []
        self._silent = ""
        self._depth = 0
        self._level = 0
        self._line = 1

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._silent:
            self._depth += tag == self._silent
        elif tag in _SILENT:
            self.end()
            self._silent, self._depth = tag, 1
        elif tag == "br":
            self._held.append("\n")
        elif tag not in _INLINE:
            self.end()
            self._level = int(tag[1]) if re.fullmatch("h[1-6]", tag) else 0

    def handle_endtag(self, tag: str) -> None:
        if self._silent:
            self._depth -= tag == self._silent
            if not self._depth:
                self._silent = ""
        elif tag not in _INLINE:
            self.end()
            self._level = 0

    def handle_data(self, data: str) -> None:
        if not self._silent:
            if not self._held:
                self._line = self.getpos()[0]
            self._held.append(data)

    def end(self) -> None:
        """The paragraph or heading is over."""
        text = re.sub(r"[^\S\n]+", " ", "".join(self._held)).strip()
        if text:
            self.pieces.append((text, self._level, None, self._line))
        self._held = []


def html(content: bytes) -> Pieces:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = content.decode("utf-16", errors="replace")
    else:
        named = _CHARSET.search(content[:2048])
        try:
            text = content.decode(named[1].decode() if named else "utf-8-sig")
        except (UnicodeDecodeError, LookupError):
            text = content.decode("cp1252", errors="replace")
    reader = Reader()
    reader.feed(text)
    reader.close()
    reader.end()
    return reader.pieces


def pdf(content: bytes) -> Pieces:
    from pypdf import PdfReader

    logging.disable()
    reader = PdfReader(BytesIO(content))
    if reader.is_encrypted and not reader.decrypt(""):
        raise ValueError("it is encrypted")
    pieces: Pieces = []
    characters = 0
    for number, page in enumerate(reader.pages, 1):
        text = page.extract_text()
        characters += len(text)
        if characters > MOST_TEXT:
            raise ValueError(f"it holds more than {MOST_TEXT:,} characters")
        pieces += [(paragraph, 0, number, None) for paragraph in re.split(r"\n\s*\n", text) if paragraph.strip()]
    if not pieces:
        raise ValueError("it holds no text: it may have been scanned")
    return pieces


def main(suffix: str) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    try:
        pieces = (pdf if suffix == ".pdf" else html)(sys.stdin.buffer.read())
        answer: dict[str, object] = {"pieces": pieces}
    except Exception as error:  # whatever a hostile file brings about
        answer = {"problem": str(error)[:200] or type(error).__name__}
    sys.stdout.write(json.dumps(answer).encode("utf-8", "replace").decode())


if __name__ == "__main__":
    main(sys.argv[1])
