"""SavedModels: what is read of them, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sorter.errors import ModelError
from sorter.networks.bundle import Bundle
from sorter.networks.load import load_sorter
from tests.sorter.networks.exports_of import sentence


def metadata_of(folder: Path) -> str:
    """Keras's description, as TensorFlow 2.5 and later write it beside the graph."""
    from tf_keras.protobuf import saved_metadata_pb2

    found = saved_metadata_pb2.SavedMetadata()
    found.ParseFromString((folder / "keras_metadata.pb").read_bytes())
    return str(next(node.metadata for node in found.nodes if node.node_id == 0))


def test_the_description_may_lie_in_the_graph_itself(copy: Any, formats: Path) -> None:
    """TensorFlow 2.0 to 2.4."""
    from tensorflow.core.protobuf import saved_model_pb2

    folder = copy("savedmodel")
    inner = folder / "model.savedmodel"
    model = saved_model_pb2.SavedModel()
    model.ParseFromString((inner / "saved_model.pb").read_bytes())
    model.meta_graphs[0].object_graph_def.nodes[0].user_object.metadata = metadata_of(inner)
    (inner / "saved_model.pb").write_bytes(model.SerializeToString())
    (inner / "keras_metadata.pb").unlink()
    assert load_sorter(folder).backbone.key == load_sorter(formats / "savedmodel").backbone.key


def test_the_description_may_lie_in_the_assets(copy: Any, formats: Path) -> None:
    """TensorFlow 1.15: Teachable Machine's exports of 2019 and 2020."""
    folder = copy("savedmodel")
    inner = folder / "model.savedmodel"
    config = json.loads(metadata_of(inner))["model_config"]
    (inner / "keras_metadata.pb").unlink()
    (inner / "assets").mkdir(exist_ok=True)
    (inner / "assets" / "saved_model.json").write_text("")
    assert "saved_model.json: is empty" in sentence(folder)  # not taken for one without a description
    (inner / "assets" / "saved_model.json").write_text(json.dumps(config))
    assert load_sorter(folder).backbone.key == load_sorter(formats / "savedmodel").backbone.key


def test_the_checkpoint_is_read_as_tensorflow_reads_it(formats: Path) -> None:
    import tensorflow as tf

    folder = formats / "savedmodel" / "model.savedmodel" / "variables"
    theirs = tf.train.load_checkpoint(str(folder / "variables"))
    shapes = theirs.get_variable_to_shape_map()
    read = Bundle((folder / "variables.index").read_bytes(), lambda *_: next(folder.glob("*.data-*")).read_bytes())
    assert set(read.entries) == set(shapes) and len(shapes) == 10
    for key in shapes:
        if shapes[key]:
            assert np.array_equal(read.array(key), theirs.get_tensor(key))
        else:
            assert read.string(key) == theirs.get_tensor(key)


@pytest.mark.parametrize("name", ["saved_model.pb", "keras_metadata.pb", "variables/variables.index",
                                  "variables/variables.data-00000-of-00001"])  # fmt: skip
def test_a_damaged_savedmodel_is_refused(copy: Any, name: str, formats: Path) -> None:
    """Cut off or changed anywhere, it is a sentence, or loads where nothing of use was hit."""
    path = copy("savedmodel") / "model.savedmodel" / name
    whole, chance, refused = path.read_bytes(), np.random.default_rng(3), 0
    path.unlink()
    if name != "keras_metadata.pb":
        assert name in sentence(path.parents[name.count("/") + 1]) or "holds no sorter" in sentence(path.parents[1])
    for number in range(60):
        data = bytearray(whole)
        if number < 20:
            del data[len(data) * number // 20 :]
        else:
            for place in chance.integers(0, len(data), 8):
                data[place] = chance.integers(0, 256)
        path.write_bytes(data)
        try:
            load_sorter(path.parents[name.count("/") + 1])
        except ModelError as found:
            refused += 1
            assert "\n" not in str(found)
    assert refused > (10 if name != "saved_model.pb" else -1)  # of that file nothing is needed but that it is there


def test_a_savedmodel_that_claims_much_is_refused_unread(copy: Any) -> None:
    from sorter.networks.bundle import varint

    folder = copy("savedmodel")
    path = folder / "model.savedmodel" / "variables" / "variables.index"
    data = path.read_bytes()
    dimension = b"\x12\x02\x08\x06"  # of a row of 6
    assert data.count(b"\x12\x04" + dimension) >= 4 and varint(b"\x06", 0) == (6, 1)
    path.write_bytes(data.replace(b"\x12\x04" + dimension, b"\x12\x04\x12\x02\x08\x7f"))
    assert "is not plain float32 of its shape" in sentence(folder)


def test_a_layer_that_is_not_allowed_is_refused_in_a_savedmodel_too(copy: Any) -> None:
    folder = copy("savedmodel")
    path = folder / "model.savedmodel" / "keras_metadata.pb"
    path.write_bytes(path.read_bytes().replace(b'"ReLU"', b'"LSTM"'))
    assert 'has a layer of kind "LSTM", which is not allowed' in sentence(folder)


# --- SavedModel without a description of its layers


def test_without_a_description_it_is_refused_and_says_what_to_export(copy: Any) -> None:
    folder = copy("savedmodel")
    next(folder.rglob("keras_metadata.pb")).unlink()
    assert "has no description of its layers" in sentence(folder)
    assert "export it from Teachable Machine as Keras (.h5)" in sentence(folder)


def test_a_savedmodel_of_2020_is_refused_where_its_h5_is_gone(shared: Path, theirs: Path) -> None:
    """This copy has no description of its layers; the .h5 lies beside every one that was found."""
    assert len(load_sorter(shared / "tm" / "multiclass-2020-savedmodel").labels) == 4
    assert "has no description of its layers" in sentence(theirs)
