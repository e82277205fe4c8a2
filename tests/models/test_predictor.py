"""Predictors: trained, tested, explained, and never loaded from what is not on the list."""

import json
import os
import random
import zipfile
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from orchestrion.core import UserError
from orchestrion.models import (
    Predictor,
    PredictorSource,
    open_predictor,
    read_predictor,
    train_predictor,
)
from orchestrion.models import (
    test_predictor as measure,
)
from orchestrion.models._predictor_card import file_digest

FILE = """model: predictors/fraud.skops
input:
  type: object
  properties:
    amount: { type: number }
    kind: { type: string }
    night: { type: boolean }
labels: [harmless, fraud]
train: { estimator: trees, label: fraud }
"""


def source(root: Path, text: str = FILE) -> PredictorSource:
    found, findings = read_predictor(text, file="predictors/fraud.yaml", name="fraud", root=root)
    assert [str(each) for each in findings] == []
    assert found is not None
    return found


def rows(path: Path, count: int = 600) -> Path:
    dice = random.Random(7)
    lines = ["amount,kind,night,fraud"]
    for _ in range(count):
        amount, kind, night = dice.gauss(50, 20), dice.choice(["shop", "cash", "web"]), dice.random() < 0.2
        fraud = amount + 30 * (kind == "web") + 15 * night + dice.gauss(0, 5) > 105
        lines.append(f"{amount:.2f},{kind},{str(night).lower()},{'fraud' if fraud else 'harmless'}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    root = tmp_path_factory.mktemp("trained")
    return train_predictor(source(root), rows(root / "rows.csv"))


def test_it_gives_a_label_a_score_and_what_moved_it(trained: Predictor) -> None:
    found = trained.predict({"amount": 110.0, "kind": "web", "night": True})

    assert found.label == "fraud"
    assert found.score > 0.9
    assert found.moved_by[0].feature == "amount"
    assert all(each.usual == trained.card.usual[each.feature] for each in found.moved_by)
    assert trained.predict({"amount": 20.0, "kind": "shop", "night": False}).label == "harmless"


def test_the_usual_moves_nothing(trained: Predictor) -> None:
    assert trained.predict(trained.card.usual).moved_by == ()


def test_effects_of_a_linear_model_add_up(tmp_path: Path) -> None:
    linear = train_predictor(source(tmp_path, FILE.replace("trees", "linear")), rows(tmp_path / "rows.csv"))
    given: dict[str, Any] = {"amount": 90.0, "kind": "cash", "night": True}
    found = linear.predict(given)

    def log_odds(score: float) -> float:
        return float(np.log(score / (1 - score)))

    usual = log_odds(float(linear.scores([linear.card.usual])[0]))
    score = log_odds(float(linear.scores([given])[0]))
    assert linear.measure == "log-odds"
    assert sum(each.effect for each in found.moved_by) == pytest.approx(score - usual)


def test_an_isolation_forest_learns_without_labels(tmp_path: Path) -> None:
    text = FILE.replace("{ estimator: trees, label: fraud }", "{ estimator: isolation, alarm_rate: 0.05 }")
    unusual = train_predictor(source(tmp_path, text), rows(tmp_path / "rows.csv"))
    found = unusual.predict({"amount": 400.0, "kind": "cash", "night": True})

    assert found.label == "fraud"
    assert found.moved_by[0].feature == "amount"
    assert "positive" not in unusual.card.trained_on


def test_training_again_gives_the_same(trained: Predictor, tmp_path: Path) -> None:
    again = train_predictor(source(tmp_path), rows(tmp_path / "rows.csv"))
    given: dict[str, Any] = {"amount": 85.0, "kind": "web", "night": False}

    assert again.threshold == trained.threshold
    assert again.predict(given) == trained.predict(given)


def test_its_threshold_keeps_the_precision_asked_for(tmp_path: Path) -> None:
    text = FILE.replace("label: fraud }", "label: fraud, target_precision: 0.95 }")
    predictor = train_predictor(source(tmp_path, text), rows(tmp_path / "rows.csv"))

    assert predictor.card.measures["precision"] >= 0.95
    assert predictor.card.trained_on["rows"] == 600


def test_a_report_counts_what_was_found_and_missed(trained: Predictor, tmp_path: Path) -> None:
    report = measure(trained, rows(tmp_path / "others.csv", 300)).to_json()

    assert report["rows"] == 300
    assert cast("int", report["caught"]) + cast("int", report["missed"]) == report["positive"]
    assert cast("float", report["recall"]) > 0.8


def test_a_threshold_of_the_file_outweighs_the_trained_one(trained: Predictor, tmp_path: Path) -> None:
    root = trained.source.model.parent.parent
    changed = open_predictor(source(root, FILE + "threshold: 0.999999\n"))

    assert changed.predict({"amount": 110.0, "kind": "web", "night": True}).label == "harmless"
    assert changed.version != trained.version


# --- ONNX ---


def onnx_source(tmp_path: Path, inputs: list[str], width: int) -> PredictorSource:
    """A model whose score is the logistic function of the sum of two numbers."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [helper.make_node("Concat", inputs, ["table"], axis=1)]
    nodes += [
        helper.make_node("ReduceSum", ["table", "axes"], ["sum"], keepdims=1),
        helper.make_node("Sigmoid", ["sum"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        "own",
        [helper.make_tensor_value_info(name, kind, [None, width]) for name in inputs],
        [helper.make_tensor_value_info("score", kind, [None, 1])],
        [helper.make_tensor("axes", onnx.TensorProto.INT64, [1], [1])],
    )
    text = "model: own.onnx\ninput: { type: object, properties: { a: { type: number }, b: { type: number } } }\nlabels: [no, yes]\nthreshold: 0.5\n"
    found = source(tmp_path, text)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    found.model.write_bytes(made.SerializeToString())
    return found


@pytest.mark.parametrize(("inputs", "width"), [(["table_of_all"], 2), (["a", "b"], 1)])
def test_an_onnx_model_takes_a_table_or_each_feature(tmp_path: Path, inputs: list[str], width: int) -> None:
    made = onnx_source(tmp_path, inputs, width)
    made.card.write_text(json.dumps({"model": file_digest(made.model), "usual": {"a": 0, "b": 0}}), encoding="utf-8")
    found = open_predictor(made).predict({"a": 3.0, "b": -1.0})

    assert found.label == "yes"
    assert found.score == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-5)
    assert [each.feature for each in found.moved_by] == ["a", "b"]
    assert found.moved_by[1].effect < 0


def test_an_onnx_model_with_other_inputs_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="takes the inputs a, c"):
        open_predictor(onnx_source(tmp_path, ["a", "c"], 1))


def test_what_is_no_onnx_model_is_named(tmp_path: Path) -> None:
    made = onnx_source(tmp_path, ["a", "b"], 1)
    made.model.write_bytes(b"not a model")
    with pytest.raises(UserError, match="is no ONNX model"):
        open_predictor(made)


# --- files that are not what they should be ---


def own(tmp_path: Path, pipeline: object) -> PredictorSource:
    """A model made elsewhere, which takes two numbers."""
    text = "model: predictors/own.skops\ninput: { type: object, properties: { a: { type: number }, b: { type: number } } }\nlabels: [no, yes]\nthreshold: 0.5\n"
    found = source(tmp_path, text)
    found.model.parent.mkdir()
    cast("Any", skops.io).dump(pipeline, found.model)
    return found


def fitted(*steps: Any) -> Any:
    pipeline: Any = Pipeline([(str(index), step) for index, step in enumerate(steps)])
    return pipeline.fit([[0, 1], [1, 0], [0, 2], [2, 0]], [0, 1, 0, 1])


def test_a_model_made_elsewhere_takes_columns_in_order(tmp_path: Path) -> None:
    predictor = open_predictor(own(tmp_path, fitted(StandardScaler(), LogisticRegression())))

    assert predictor.predict({"b": 0, "a": 2}).label == "yes"
    assert predictor.predict({"b": 2, "a": 0}) == predictor.predict({"a": 0, "b": 2})
    assert predictor.predict({"a": 2, "b": 0}).moved_by == ()


@pytest.mark.parametrize("content", [os.getcwd, fitted(FunctionTransformer(np.abs), LogisticRegression())])
def test_types_that_are_not_on_the_list_are_refused_by_name(tmp_path: Path, content: object) -> None:
    with pytest.raises(UserError, match=r"not on the list .*(getcwd|posix|FunctionTransformer)") as caught:
        open_predictor(own(tmp_path, content))
    assert caught.value.code == "predictor-untrusted"


def test_a_tree_that_leads_out_of_itself_is_refused(trained: Predictor, tmp_path: Path) -> None:
    pipeline: Any = cast("Any", skops.io).load(trained.source.model, trusted=["sklearn.tree._tree.Tree"])
    tree = pipeline.steps[-1][1].estimators_[0, 0].tree_
    tree.children_left[0] = 10_000
    forged = source(tmp_path)
    forged.model.parent.mkdir()
    cast("Any", skops.io).dump(pipeline, forged.model)

    with pytest.raises(UserError, match="lead out of it"):
        open_predictor(source(tmp_path, FILE + "threshold: 0.5\n"))


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", b"PK\x03\x04 half a zip"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    found = own(tmp_path, fitted(LogisticRegression()))
    found.model.write_bytes(content)
    with pytest.raises(UserError, match="is no model") as caught:
        open_predictor(found)
    assert caught.value.code == "predictor-unreadable"


def test_a_zip_without_a_schema_is_named(tmp_path: Path) -> None:
    found = own(tmp_path, fitted(LogisticRegression()))
    with zipfile.ZipFile(found.model, "w") as archive:
        archive.writestr("other", "x")
    with pytest.raises(UserError, match="is no model"):
        open_predictor(found)


def test_a_model_with_other_features_is_named(tmp_path: Path) -> None:
    pipeline: Any = Pipeline([("model", LogisticRegression())])
    found = own(tmp_path, pipeline.fit([[0], [1], [0], [1]], [0, 1, 0, 1]))
    with pytest.raises(UserError, match="does not take the features a, b"):
        open_predictor(found)


def test_a_card_of_another_model_is_refused(tmp_path: Path) -> None:
    predictor = train_predictor(source(tmp_path), rows(tmp_path / "rows.csv"))
    card = json.loads(predictor.source.card.read_text(encoding="utf-8"))
    predictor.source.card.write_text(json.dumps({**card, "model": "0" * 64}), encoding="utf-8")
    with pytest.raises(UserError, match="describes another file"):
        open_predictor(predictor.source)


def test_an_untrained_predictor_says_how_to_train_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no model yet") as caught:
        open_predictor(source(tmp_path))
    assert caught.value.hint == "orchestrion predictor train fraud --data FILE.csv"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "predictors/fraud.skops",
            "fraud.pkl",
            "fraud.yaml:1:8 error[bad-predictor] 'fraud.pkl' is neither a .skops nor an .onnx file. Pickle",
        ),
        ("predictors/fraud.skops", "../x.skops", "1:8 error[bad-predictor] '../x.skops' lies outside the project's"),
        (
            "amount: { type: number }",
            "amount: { type: array }",
            "'amount' has the type 'array'. It must be one of number",
        ),
        ("type: object", "type: text", "The input is an object with `properties`"),
        ("[harmless, fraud]", "[fraud, fraud]", "8:9 error[bad-predictor] Both labels are the same"),
        ("[harmless, fraud]", "[harmless]", "fraud.yaml:8:9 error[bad-predictor]"),
        (", label: fraud", "", "`trees` learns from labels, and `label` names no column"),
        (", label: fraud", ", label: kind", "The label 'kind' is a feature as well"),
        ("estimator: trees", "estimator: forest", "Input should be 'linear', 'trees' or 'isolation'"),
        ("labels:", "label:", "'label' is not known here"),
    ],
)
def test_mistakes_in_a_file_are_named_at_their_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    found, findings = read_predictor(FILE.replace(old, new), file="predictors/fraud.yaml", name="fraud", root=tmp_path)

    assert found is None
    assert any(said in str(each) for each in findings), [str(each) for each in findings]


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        ("amount,kind,night\n1,a,true\n", "rows-column", "no column 'fraud'"),
        ("amount,kind,night,fraud\nx,a,true,fraud\n", "rows-value", "rows.csv:2: amount: 'x' is no number"),
        ("amount,kind,night,fraud\n1,a,maybe,fraud\n", "rows-value", "rows.csv:2: night: 'maybe' is no boolean"),
        ("amount,kind,night,fraud\n1,a,true,perhaps\n", "rows-value", "fraud: 'perhaps' is no label"),
        ("amount,kind,night,fraud\n1,a,true,fraud\n", "rows-too-few", "1 rows, 1 of them labelled"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, content: str, code: str, said: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=said) as caught:
        train_predictor(source(tmp_path), path)
    assert caught.value.code == code
