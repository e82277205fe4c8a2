"""Routers: calibrated, abstaining, explained, the same every time, and kept safely."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from orchestrion.core import UserError
from orchestrion.embeddings import installed
from orchestrion.models import (
    Example,
    Router,
    Routers,
    RouterSettings,
    RouterSource,
    open_router,
    read_examples,
    train,
)
from orchestrion.models._sklearn import fit_vectors

WORDS = {
    "billing": ["charged twice", "refund my money", "invoice is wrong", "fee on my statement", "wrong amount booked"],
    "technical": ["app crashes", "cannot log in", "pin does not work", "card reader error", "transfer is stuck"],
    "cards": ["lost my card", "order a new card", "card has not arrived", "block my card", "card was stolen"],
}
STARTS = ["hello, ", "help! ", "", "please: ", "yesterday ", "why is it that "]
EXAMPLES = [Example(start + text, label) for label, texts in WORDS.items() for text in texts for start in STARTS]


@pytest.fixture(scope="module")
def router() -> Router:
    return train(EXAMPLES, RouterSettings(target_precision=0.9))


def write(path: Path, examples: list[Example]) -> RouterSource:
    rows = "".join(f'"{example.text}",{example.label}\n' for example in examples)
    path.write_text("text,label\n" + rows, encoding="utf-8")
    return RouterSource(examples=path, settings=RouterSettings())


def test_it_routes_and_names_what_it_resembles(router: Router) -> None:
    routing = router.route("i was charged two times, refund me")
    assert routing.label == "billing"
    assert routing.confidence >= router.threshold
    assert len(routing.nearest) == 3
    assert routing.nearest[0].label == "billing"
    assert routing.nearest[0].similarity >= routing.nearest[1].similarity


def test_typing_errors_are_forgiven(router: Router) -> None:
    assert router.route("my crad was stoln").best == "cards"


@pytest.mark.parametrize("text", ["", "   ", "žžž ŋŋŋ", "¿?"])
def test_it_abstains_on_what_it_has_never_seen(router: Router, text: str) -> None:
    routing = router.route(text)
    assert routing.abstained
    assert routing.confidence == 0.0
    assert routing.nearest == ()


def test_it_abstains_between_labels() -> None:
    unsure = train(EXAMPLES, RouterSettings(threshold=0.9)).route("hello")
    assert unsure.label is None
    assert 0 < unsure.confidence < 0.9


def test_choices_restrict_without_making_it_surer(router: Router) -> None:
    text = "refund my money"
    free, bound = router.route(text), router.route(text, ["technical", "cards"])
    assert free.label == "billing"
    assert bound.label is None
    assert bound.confidence < 0.5


def test_an_unknown_choice_is_refused(router: Router) -> None:
    with pytest.raises(UserError, match="no label 'sales'"):
        router.route("x", ["sales"])


def test_training_twice_gives_the_same(router: Router) -> None:
    again = train(EXAMPLES, RouterSettings(target_precision=0.9))
    assert again.digest == router.digest
    assert again.temperature == router.temperature
    assert np.array_equal(again.weights, router.weights)


def test_its_vectors_are_those_of_scikit_learn() -> None:
    texts = [example.text for example in EXAMPLES]
    vectors, matrix = fit_vectors(texts)
    for row in (0, 7, 40):
        columns, values = vectors.of(texts[row])
        dense = np.zeros(matrix.shape[1], dtype=np.float32)
        dense[columns] = values
        assert np.allclose(dense, matrix[row].toarray()[0], atol=1e-6)


def test_its_report_tells_accuracy_coverage_and_the_worst(router: Router) -> None:
    rows = [Example("i want my refund", "billing"), Example("login fails", "technical"), Example("refund", "cards")]
    report = router.test(rows).to_json()
    assert report["messages"] == 3
    assert report["accuracy"] == 0.6667
    assert cast("Any", report["worst"])[0] == {
        "label": "cards",
        "messages": 1,
        "right": 0.0,
        "mistaken_for": ["billing"],
    }
    assert cast("Any", report["coverage"])["threshold"] == round(router.threshold, 4)


def test_messages_of_labels_it_does_not_know_are_judged_apart(router: Router) -> None:
    rows = [Example("i want my refund", "billing"), Example("what is the weather like", "weather")]
    report = router.test(rows).to_json()
    assert (report["messages"], report["accuracy"]) == (1, 1.0)
    assert report["unknown"] == {"messages": 1, "abstained": 1.0, "abstained_at_90": 1.0, "auroc": 1.0}


def test_the_more_strangers_are_expected_the_surer_it_has_to_be() -> None:
    vague = (("billing", "my card"), ("technical", "my money"), ("cards", "my pin"))
    examples = EXAMPLES + [Example(start + text, label) for label, text in vague for start in STARTS]
    few, many = (train(examples, RouterSettings(target_precision=0.9, strangers=share)) for share in (0.01, 0.3))
    assert few.threshold < many.threshold < 1


def test_with_two_labels_nothing_stands_for_strangers() -> None:
    two = [example for example in EXAMPLES if example.label != "cards"]
    first, second = (train(two, RouterSettings(target_precision=0.9, strangers=share)) for share in (0, 0.3))
    assert first.threshold == second.threshold


def test_labels_may_be_left_out_of_training(tmp_path: Path) -> None:
    source = write(tmp_path / "examples.csv", EXAMPLES)
    assert open_router(replace(source, without=1), tmp_path / "cache").labels == ("cards", "technical")


@pytest.mark.skipif(not installed(), reason="the extra `embeddings` is not installed")
def test_meanings_count_beside_words(tmp_path: Path) -> None:
    source = write(tmp_path / "examples.csv", EXAMPLES)
    plain = open_router(source, tmp_path / "cache")
    meant = open_router(replace(source, settings=RouterSettings(embeddings=True, threshold=0.0)), tmp_path / "cache")
    assert meant.digest != plain.digest
    assert meant.route("my debit card went missing").best == "cards"
    assert len(meant.weights) == len(plain.weights) + 384


def test_it_is_trained_once_and_read_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path / "examples.csv", EXAMPLES)
    first = open_router(source, tmp_path / "cache")
    files = list((tmp_path / "cache").iterdir())
    assert len(files) == 1

    def never(*_: object) -> Router:
        raise AssertionError("it was trained again")

    monkeypatch.setattr("orchestrion.models._router_store._trained", never)
    second = open_router(source, tmp_path / "cache")
    for text in ("charged twice", "my crad was stoln", "hello"):
        assert second.route(text) == first.route(text)


def test_other_examples_train_another(tmp_path: Path) -> None:
    source = write(tmp_path / "examples.csv", EXAMPLES)
    first = open_router(source, tmp_path / "cache")
    write(tmp_path / "examples.csv", [*EXAMPLES, Example("one more about a fee", "billing")])
    assert open_router(source, tmp_path / "cache").digest != first.digest


def test_certainty_needs_many_examples() -> None:
    few = train(EXAMPLES[::6], RouterSettings())
    assert few.route("refund my money").confidence < 1


@pytest.mark.parametrize("damage", [b"", b"not a zip", b"PK\x03\x04 half a zip"])
def test_a_damaged_file_is_replaced(tmp_path: Path, damage: bytes) -> None:
    source = write(tmp_path / "examples.csv", EXAMPLES)
    open_router(source, tmp_path / "cache")
    (path,) = (tmp_path / "cache").iterdir()
    path.write_bytes(damage)
    assert open_router(source, tmp_path / "cache").route("charged twice").label == "billing"
    assert path.stat().st_size > 1000


def test_a_file_that_would_execute_something_is_never_loaded(tmp_path: Path) -> None:
    import skops.io

    source = write(tmp_path / "examples.csv", EXAMPLES)
    open_router(source, tmp_path / "cache")
    (path,) = (tmp_path / "cache").iterdir()
    cast("Any", skops.io).dump({"digest": os.getcwd}, path)
    assert open_router(source, tmp_path / "cache").route("charged twice").label == "billing"


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"text,kind\na,b\n", "examples-column", "no column 'label'"),
        (b"", "examples-column", "no column 'text'"),
        (b"text,label\n\xff\xfe,b\n", "examples-unreadable", ":2: the file is not UTF-8"),
        (b"text,label\n,\n", "examples-empty", "no row"),
        (b"text,label\na,x\nb,x\nc,x\n", "examples-too-few", "1 label"),
        (b"text,label\na,x\nb,x\nc,x\nd,y\n", "examples-too-few", "three examples of 'y'"),
    ],
)
def test_bad_examples_are_named(tmp_path: Path, content: bytes, code: str, said: str) -> None:
    path = tmp_path / "examples.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=said) as caught:
        open_router(RouterSource(examples=path, settings=RouterSettings()), tmp_path / "cache")
    assert caught.value.code == code
    assert not (tmp_path / "cache").exists()


def test_an_unknown_router_is_named(tmp_path: Path) -> None:
    routers = Routers({"intents": write(tmp_path / "e.csv", EXAMPLES)}, folder=tmp_path)
    with pytest.raises(UserError, match="no router 'intent'") as caught:
        routers.router("intent")
    assert caught.value.hint == "Did you mean 'intents'?"


def test_real_messages_to_a_bank(test_data: Path) -> None:
    """A tenth of the intents, to be quick; the whole reaches 91.6 % on 77 of them."""
    settings = RouterSettings(label="category")
    folder = test_data / "data" / "banking77"
    examples = read_examples(folder / "train.csv", settings)
    labels = set(sorted({example.label for example in examples})[::10])
    chosen = [example for example in examples if example.label in labels]
    report = train(chosen, settings).test(
        [row for row in read_examples(folder / "test.csv", settings) if row.label in labels]
    )
    assert report.messages >= 300
    assert report.accuracy >= 0.97
    assert report.precision >= 0.97
