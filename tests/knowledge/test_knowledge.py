"""Knowledge bases: what is found, with which source, on both databases; what changes; what is hostile."""

import os
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from orchestrion.core import UserError
from orchestrion.embeddings import installed
from orchestrion.knowledge import Base, Found, Knowledge, Place, knowledge_bases
from orchestrion.store import Store

CARDS = "# Cards\n\n## Lost cards\n\nIf a card is lost, block it at once.\n\nA new one takes five days.\n\n## PIN\n\nIt comes by post.\n"
FEES = "fee;amount\nWithdrawal abroad;2 euros\nReplacement;10 euros\n"
PAGE = "<html><head><title>x</title></head><body><script>secret()</script><h2>Tapping</h2><p>Up to <b>50</b> euros.</p></body>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "knowledge"
    (made / "forum" / "old").mkdir(parents=True)
    (made / "cards.md").write_text(CARDS, encoding="utf-8")
    (made / "fees.csv").write_text(FEES, encoding="utf-8")
    (made / "page.html").write_text(PAGE, encoding="utf-8")
    (made / "forum" / "old" / "talk.txt").write_text("First.\n\nSomebody says that cards are blue.\n", encoding="utf-8")
    return made


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Place]:
    file = tmp_path / "index.db"
    if request.param == "sqlite":
        return lambda: Place(file=file)
    url: str = request.getfixturevalue("postgresql")
    blobs = str(tmp_path / "blobs")
    Store.open(url, mode="own", blobs=blobs).close()
    return lambda: Place(file=file, server=url, blobs=blobs)


@pytest.fixture
def knowledge(folder: Path, place: Callable[[], Place]) -> Generator[Knowledge]:
    opened = Knowledge(knowledge_bases(folder), place)
    yield opened
    opened.close()


def cites(found: Found) -> list[str]:
    return [passage.cite for passage, _ in found.passages]


def test_passages_are_found_with_their_sources(knowledge: Knowledge) -> None:
    assert cites(knowledge.search("default", "I have LOST my cards", 5))[0] == "cards.md, Cards › Lost cards, lines 5-7"
    assert cites(knowledge.search("default", "withdrawals abroad?", 5)) == ["fees.csv, row 1"]
    (best, score) = knowledge.search("default", "tapping", 1).passages[0]
    assert (best.text, best.heading, best.line) == ("Up to 50 euros.", "Tapping", 1)
    assert score > 0
    assert cites(knowledge.search("forum", "blue", 5)) == ["old/talk.txt, lines 1-3"]
    assert cites(knowledge.search("default", "secret", 5)) == []


@pytest.mark.parametrize(
    "query", ["", "   ", "'); drop table --", 'NEAR("a" OR *', "a & | ! <-> b:*", "\\", "é" * 3000, "?"]
)
def test_any_question_may_be_asked(knowledge: Knowledge, query: str) -> None:
    assert knowledge.search("default", query, 5).digest


def test_only_what_changed_is_read_again(knowledge: Knowledge, folder: Path) -> None:
    first = knowledge.update("default")
    assert (first.read, first.passages) == (3, 5)
    again = knowledge.update("default")
    assert (again.read, again.digest) == (0, first.digest)
    before = knowledge.search("default", "post", 1).passages[0][0]

    os.utime(folder / "cards.md", ns=(1, 1))
    assert knowledge.update("default").digest == first.digest

    (folder / "cards.md").write_text(CARDS.replace("five", "six"), encoding="utf-8")
    (folder / "fees.csv").unlink()
    changed = knowledge.update("default")
    assert (changed.read, changed.removed) == (1, 1)
    assert changed.digest != first.digest
    assert cites(knowledge.search("default", "abroad", 5)) == []
    assert "six days" in knowledge.search("default", "lost", 1).passages[0][0].text
    after = knowledge.search("default", "post", 1)
    assert after.passages[0][0].id == before.id
    assert after.digest == changed.digest


def test_the_index_survives_its_process(folder: Path, place: Callable[[], Place]) -> None:
    one, other = Knowledge(knowledge_bases(folder), place), Knowledge(knowledge_bases(folder), place)
    assert one.update("default").read == 3
    assert other.update("default").read == 0
    one.close()
    other.close()


def test_a_broken_file_is_told_and_the_others_are_read(knowledge: Knowledge, folder: Path) -> None:
    (folder / "binary.txt").write_bytes(b"\0\1\2")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 nothing")
    (folder / "old.txt").write_bytes("Gebühren für Überweisungen".encode("cp1252"))
    (folder / "wide.txt").write_bytes("A sentence in sixteen bits".encode("utf-16"))
    (folder / "large.txt").write_bytes(b"x" * 20_000_001)
    (folder / "link.md").symlink_to("/etc/hostname")
    files = {file.file: file for file in knowledge.update("default").files}
    assert set(files) == {
        *("binary.txt", "broken.pdf", "cards.md", "fees.csv", "large.txt", "old.txt", "page.html", "wide.txt")
    }
    assert files["binary.txt"].problem == "It is no text: it holds zero bytes."
    assert files["broken.pdf"].problem
    assert "20,000,000" in (files["large.txt"].problem or "")
    assert files["old.txt"].remark == "It is not UTF-8, and was read as Windows-1252."
    assert cites(knowledge.search("default", "sixteen", 1))
    assert knowledge.search("default", "lost", 1).problems == 3


def test_what_never_ends_is_cut_into_bounded_passages(knowledge: Knowledge, folder: Path) -> None:
    (folder / "bomb.html").write_text("<div>" * 100_000 + "deep " + "<!--" * 1000 + "<p>x", encoding="utf-8")
    (folder / "long.md").write_text("word " * 20_000 + "\n" + "x" * 50_000 + "\n```\nnever closed", encoding="utf-8")
    assert knowledge.update("default").files
    found = knowledge.search("default", "word", 50)
    assert found.passages
    assert max(len(passage.text) for passage, _ in found.passages) <= 2_000


def test_an_unknown_base_is_named(knowledge: Knowledge) -> None:
    with pytest.raises(UserError, match="no knowledge base 'forums'") as caught:
        knowledge.search("forums", "x", 1)
    assert caught.value.hint == "There are: default, forum."


@pytest.mark.parametrize("damage", [b"not a database", b""])
def test_a_damaged_index_is_made_again(folder: Path, tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "index.db").write_bytes(damage)
    knowledge = Knowledge(knowledge_bases(folder), lambda: Place(file=tmp_path / "index.db"))
    assert knowledge.update("default").read == 3
    knowledge.close()


def test_a_pdf_is_cited_by_page(tmp_path: Path) -> None:
    folder = tmp_path / "knowledge"
    folder.mkdir()
    (folder / "terms.pdf").write_bytes(pdf(["Nothing here", "Chargebacks take thirty days"]))
    knowledge = Knowledge(knowledge_bases(folder), lambda: Place(file=tmp_path / "index.db"))
    assert cites(knowledge.search("default", "chargeback", 5)) == ["terms.pdf, page 2"]
    knowledge.close()


@pytest.mark.skipif(not installed(), reason="the extra `embeddings` is not installed")
def test_meaning_counts_beside_words(folder: Path, tmp_path: Path) -> None:
    base = Base(folder=folder, deep=False, embeddings=True)
    knowledge = Knowledge({"default": base}, lambda: Place(file=tmp_path / "index.db"))
    found = knowledge.search("default", "How do I freeze a stolen credit card?", 1)
    assert found.by_meaning
    assert cites(found) == ["cards.md, Cards › Lost cards, lines 5-7"]
    knowledge.close()


def pdf(pages: list[str]) -> bytes:
    """A PDF of one line on each page."""
    from io import BytesIO

    from pypdf import PdfWriter
    from pypdf.generic import DictionaryObject, NameObject, StreamObject

    writer = PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    for text in pages:
        page = writer.add_blank_page(300, 300)
        content = StreamObject()
        content.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode())
        fonts = DictionaryObject({NameObject("/F1"): writer._add_object(font)})  # pyright: ignore[reportPrivateUsage]  it has no public way
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        page[NameObject("/Contents")] = writer._add_object(content)  # pyright: ignore[reportPrivateUsage]  as above
    written = BytesIO()
    writer.write(written)
    return written.getvalue()
