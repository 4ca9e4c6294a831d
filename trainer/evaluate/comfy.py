"""ComfyUI's graphs -> the text of the positive prompt. Pure; a graph is a stranger's JSON, and none of it is run.

`prompt` is the graph that was run: {"3": {"class_type": "KSampler", "inputs": {"positive": ["6", 0], ...}}, ...}, where
["6", 0] is a link to output 0 of node 6. `workflow` is the same as the editor shows it, with `nodes` and `links`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

LARGEST = 4_000_000
"""Characters of a graph that is read."""
MOST_NODES = 2_000
"""Nodes that are visited from one sampler."""
NOT_WORDS = frozenset({"clip", "model", "vae", "image", "latent_image", "samples", "control_net", "negative", "pixels"})
"""Inputs that lead to no words of the positive prompt."""
SAMPLES = ("positive", "guider", "conditioning")
"""A sampler's input that the positive prompt comes in by; a guider has it as `positive` or `conditioning`."""

Nodes = Mapping[str, Mapping[str, Any]]


def positive(graph: str) -> str:
    """The texts that lead to the positive input of a sampler, joined by commas; empty where there are none."""
    if len(graph) > LARGEST:
        return ""
    try:
        read = json.loads(graph)
    except (ValueError, RecursionError):
        return ""
    nodes = _of_workflow(read) if isinstance(read, dict) and "nodes" in read else _of_prompt(read)
    texts = [text for node in _samplers(nodes) for text in _texts(nodes, node)]
    return ", ".join(dict.fromkeys(text.strip() for text in texts if text.strip()))


def _of_prompt(read: Any) -> Nodes:
    """Node -> its inputs."""
    if not isinstance(read, dict):
        return {}
    inputs = {key: node.get("inputs") for key, node in read.items() if isinstance(node, dict)}
    return {key: one for key, one in inputs.items() if isinstance(one, dict)}


def _of_workflow(read: Mapping[str, Any]) -> Nodes:
    """The same of an editor's graph: links stand apart, and a text node's words are the first text of its widgets."""
    links = [one for one in _list(read.get("links")) if isinstance(one, list) and len(one) > 3]
    origin = {str(one[0]): [str(one[1]), one[2]] for one in links}
    nodes: dict[str, dict[str, Any]] = {}
    for node in _list(read.get("nodes")):
        if not isinstance(node, dict) or node.get("mode") in (2, 4):  # switched off, or passed by
            continue
        mine = nodes.setdefault(str(node.get("id")), {})
        words = [one for one in _list(node.get("widgets_values")) if isinstance(one, str)]
        if words and any(word in str(node.get("type")).lower() for word in ("text", "prompt", "string", "primitive")):
            mine["text"] = words[0]
        for one in _list(node.get("inputs")):
            if isinstance(one, dict) and str(one.get("link")) in origin:
                mine[str(one.get("name"))] = origin[str(one.get("link"))]
    return nodes


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _samplers(nodes: Nodes) -> Iterator[str]:
    """Nodes with latents and with an input that the prompt comes in by; else those with a positive and a negative."""
    latents = [key for key, inputs in nodes.items() if _link(inputs.get("latent_image"))]
    found = [key for key in latents if any(_link(nodes[key].get(name)) for name in SAMPLES)]
    yield from found or [key for key, one in nodes.items() if _link(one.get("positive")) and _link(one.get("negative"))]


def _link(value: Any) -> str:
    """The node that a link leads to; empty where it is none."""
    return str(value[0]) if isinstance(value, list) and len(value) == 2 and isinstance(value[1], int) else ""


def _texts(nodes: Nodes, sampler: str) -> Iterator[str]:
    """Every text on the way to the sampler's positive input, the nearest first; loops end."""
    ahead = [node for name in SAMPLES if (node := _link(nodes[sampler].get(name)))]
    seen: set[str] = set()
    while ahead and len(seen) < MOST_NODES:
        node = ahead.pop(0)
        if node in seen or node not in nodes:
            continue
        seen.add(node)
        for name, value in nodes[node].items():
            if isinstance(value, str) and _is_words(name):
                yield value
            elif name not in NOT_WORDS and (link := _link(value)):
                ahead.append(link)


def _is_words(name: str) -> bool:
    """CLIPTextEncode has `text`, SDXL's `text_g` and `text_l`, Flux's `clip_l` and `t5xxl`, primitives `value`."""
    if name in ("clip_l", "clip_g", "t5xxl", "value", "string", "prompt", "positive", "positive_prompt"):
        return True
    return name.startswith(("text", "string_")) and "negative" not in name
