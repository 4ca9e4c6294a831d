"""Networks of a few thousand weights in the form of those that people download, whose answers are known.

A tagger's tag is a weight a pixel of an 8 x 8 picture, so that a tag can mean any place and any colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE = 8
Floats = NDArray[np.float32]
Row = tuple[str, str, Floats, float]
"""A tag, its category's number, its weights (8, 8, 3) in the order blue, green, red, and its bias."""


def where(rows: slice, columns: slice, blue: float = 0, green: float = 0, red: float = 0) -> Floats:
    """Weights of the mean colour of a part of the picture, in 0..255."""
    weights = np.zeros((SIDE, SIDE, 3), np.float32)
    weights[rows, columns] = (blue, green, red)
    return np.asarray(weights / max(1, np.count_nonzero(weights.any(axis=2))), np.float32)


ALL = slice(None)
NOTHING = np.zeros((SIDE, SIDE, 3), np.float32)
ROWS: tuple[Row, ...] = (
    ("general", "9", NOTHING, 0.5),
    ("explicit", "9", NOTHING, -3.0),
    # Of the pictures of conftest: red on the left of the upper half, beside blue, and a lower half of white or black.
    ("looking_left", "0", where(slice(1, 4), slice(0, 4), blue=-0.1, red=0.1), -2.0),
    ("looking_right", "0", where(slice(1, 4), slice(0, 4), blue=0.1, red=-0.1), -2.0),
    ("brightness", "0", where(ALL, ALL, 1 / 400, 1 / 400, 1 / 400), -1.6),
    ("^_^", "0", where(slice(5, 7), ALL, 0.02, 0.02, 0.02), -7.0),
    ("white_border", "0", where(slice(0, 1), ALL, 0.02, 0.02, 0.02), -7.0),
    ("bright,_left_shoe", "0", NOTHING, 0.0),  # a name that means harm to whoever splits at commas
    ("mira_(rail)", "4", NOTHING, 3.0),
    ("tobo_(rail)", "4", NOTHING, 0.0),
)
"""Of "general" it says 0.62, of "mira (rail)" 0.95, of "tobo (rail)" 0.5, of "bright, left shoe" 0.5."""


def save_tagger(
    folder: Path,
    rows: Sequence[Row] = ROWS,
    shape: Sequence[Any] = ("batch", SIDE, SIDE, 3),
    table: str | None = None,
    outputs: int | None = None,
    logits: bool = False,
) -> Path:
    """model.onnx and selected_tags.csv, as a download has them. `shape`: of what the model reads; `outputs`: how many
    numbers it says that it gives, -1: any."""
    from onnx import helper

    is_last = shape[-1] == 3
    kernels = np.stack([weights if is_last else weights.transpose(2, 0, 1) for _, _, weights, _ in rows])
    kernel = np.ascontiguousarray(kernels.reshape(len(rows), -1).T)
    bias = np.array([one for *_, one in rows], np.float32)
    nodes = [helper.make_node("Flatten", ["input"], ["flat"])]
    _save(folder, nodes, kernel, bias, shape, outputs or len(rows), logits)
    (folder / "selected_tags.csv").write_text(csv_of(rows) if table is None else table, encoding="utf-8")
    return folder


def save_mean_tagger(folder: Path, kernel: NDArray[Any], side: int = 448) -> Path:
    """One that reads pictures as large as wd's, and of them the mean colour. `kernel`: (3, tags)."""
    from onnx import helper, numpy_helper

    count = kernel.shape[1]
    axes = numpy_helper.from_array(np.array([1, 2], np.int64), "axes")
    nodes = [helper.make_node("ReduceMean", ["input", "axes"], ["flat"], keepdims=0)]
    bias = np.zeros(count, np.float32)
    _save(folder, nodes, kernel.astype(np.float32), bias, ("batch", side, side, 3), count, more=[axes])
    rows = [(f"tag_{number}", "0", NOTHING, 0.0) for number in range(count)]
    (folder / "selected_tags.csv").write_text(csv_of(rows), encoding="utf-8")
    return folder


def _save(
    folder: Path,
    nodes: list[Any],
    kernel: Floats,
    bias: Floats,
    shape: Sequence[Any],
    outputs: int,
    logits: bool = False,
    more: Sequence[Any] = (),
) -> None:
    """model.onnx: these nodes, from "input" to "flat", then a product with a kernel (flat, tags)."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes.append(helper.make_node("Gemm", ["flat", "kernel", "bias"], ["output" if logits else "logits"]))
    if not logits:
        nodes.append(helper.make_node("Sigmoid", ["logits"], ["output"]))
    graph = helper.make_graph(
        nodes,
        "tagger",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [shape[0], "any" if outputs < 0 else outputs])],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(bias, "bias"), *more],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(folder / "model.onnx"))


def csv_of(rows: Sequence[Row]) -> str:
    """The table, with the columns that wd's has."""
    lines = [f'{number},"{name}",{category},{1000 - number}' for number, (name, category, *_) in enumerate(rows)]
    return "\n".join(["tag_id,name,category,count", *lines]) + "\n"


SENTENCES = ("a girl facing left.", "a girl facing right.", "a door")
"""What the captioner below says of pictures that are red on their left, blue on their left, and green."""


def save_captioner(folder: Path, pictures: Sequence[Any]) -> Path:
    """A tiny BLIP that has learnt by heart what SENTENCES say of three pictures, as transformers saves it."""
    import torch
    from transformers import BertTokenizerFast, BlipConfig, BlipForConditionalGeneration, BlipProcessor
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "girl", "facing", "left", "right", "door", "."]
    tokenizer = BertTokenizerFast(vocab={word: place for place, word in enumerate(words)})
    processor = BlipProcessor(BlipImageProcessorPil(size={"height": 32, "width": 32}), tokenizer)
    layers = {"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 32, "intermediate_size": 64}
    ends = {"bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}
    reading = {**layers, **ends, "vocab_size": len(words), "encoder_hidden_size": 32, "max_position_embeddings": 32}
    seeing = {**layers, "image_size": 32, "patch_size": 8}
    torch.manual_seed(0)
    model = BlipForConditionalGeneration(BlipConfig(text_config=reading, vision_config=seeing))
    given = processor(images=list(pictures), text=list(SENTENCES), padding=True, return_tensors="pt")
    wanted = given["input_ids"].masked_fill(given["input_ids"] == 0, -100)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(100):
        optimiser.zero_grad()
        model(**given, labels=wanted).loss.backward()
        optimiser.step()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


CHAT = "USER: {% for part in messages[0].content %}{{ part.text or '<image>' }} {% endfor %}ASSISTANT:"


def save_chat_captioner(folder: Path) -> Path:
    """A LLaVA with weights drawn by chance: it is asked in a conversation, and begins its answer with the question."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
    from transformers import PreTrainedTokenizerFast as Fast
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    special = ["<pad>", "<unk>", "<s>", "</s>", "<image>", "USER:", "ASSISTANT:"]
    words = [*special, "Describe", "this", "picture", "in", "one", "sentence.", "a", "girl", "door", "left"]
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    processor = LlavaProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}),
        Fast(tokenizer_object=tokenizer, padding_side="left", additional_special_tokens=["<image>"], **names),
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT,
    )
    layers = {"num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    ends = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**layers, image_size=16, patch_size=8, projection_dim=16),
        text_config=LlamaConfig(**layers, **ends, num_key_value_heads=2, vocab_size=len(words)),
        image_token_index=4,
    )
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(config)
    with torch.no_grad():
        model.lm_head.weight[: len(special)] = 0  # so that it says words
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
