"""What a trained file says of its making, in its safetensors header: kohya's `ss_*`, which A1111 and its kin show and
sort by, and Stability's `modelspec.*` (version 1.0.1). Names only: no path, and nothing of who or where.

Keys and forms: sd-scripts, train_network.py and library/sai_model_spec.py. Pure.
"""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Sequence

from trainer.base import Base
from trainer.config import Training
from trainer.dataset import Dataset

OPTIMIZERS = {
    "adamw": "torch.optim.adamw.AdamW",
    "adamw-fused": "torch.optim.adamw.AdamW",
    "adamw-8bit": "bitsandbytes.optim.adamw.AdamW8bit",
    "prodigy": "prodigyopt.prodigy.Prodigy",
    "adafactor": "transformers.optimization.Adafactor",
}
"""Ours -> kohya's: module and class."""


def run_header(name: str, base: Base, digest: str, dataset: Dataset, training: Training, step: int) -> dict[str, str]:
    """All that does not depend on the method. name: the run's; digest: the base's fingerprint; step: after how many."""
    return {
        "ss_output_name": name,
        **base_header(base, digest),
        **dataset_header(dataset),
        **training_header(training, dataset.views, step),
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.title": name,
        "modelspec.implementation": "diffusers",
        "modelspec.date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def base_header(base: Base, digest: str) -> dict[str, str]:
    """What it was trained on top of. A1111 tells the generations apart by ss_v2."""
    second = base.second_generation
    velocity = base.prediction == "v_prediction"
    version, architecture = base.family.versions(second, velocity)
    return {
        "ss_sd_model_name": base.name,
        "ss_sd_model_hash": digest[:8],
        "ss_new_sd_model_hash": digest,
        "ss_v2": str(second),
        "ss_base_model_version": version,
        "modelspec.architecture": architecture,
        "modelspec.prediction_type": "v" if velocity else "epsilon",
    }


def dataset_header(dataset: Dataset) -> dict[str, str]:
    """Tags and how often each was seen, sizes, and the words that all captions begin with."""
    name, captions = dataset.folder.name, [example.caption for example in dataset.examples]
    tags = Counter(tag.strip().lower() for caption in captions for tag in caption.split(",") if tag.strip())
    width, height = next(iter(dataset.sizes))
    header = {
        "ss_num_train_images": str(len(captions)),
        "ss_dataset_dirs": json.dumps({name: {"n_repeats": 1, "img_count": len(captions)}}),
        "ss_tag_frequency": json.dumps({name: dict(tags.most_common())}),
        "ss_bucket_info": json.dumps(
            {
                "buckets": {
                    n: {"resolution": size, "count": count} for n, (size, count) in enumerate(dataset.sizes.items())
                }
            }
        ),
        "ss_resolution": f"({width}, {height})",
        "modelspec.resolution": f"{width}x{height}",
    }
    trigger = common_words(captions)
    return header | ({"modelspec.trigger_phrase": trigger} if trigger else {})


def training_header(training: Training, views: int, step: int) -> dict[str, str]:
    """How it was trained; views: of the dataset in a pass."""
    seen = step * training.of_step
    values = {
        "ss_steps": step,
        "ss_max_train_steps": training.steps,
        "ss_epoch": seen // views,
        "ss_num_epochs": -(-training.views // views),
        "ss_batch_size_per_device": training.batch_size,
        "ss_total_batch_size": training.of_step,
        "ss_gradient_accumulation_steps": training.accumulate,
        "ss_learning_rate": training.learning_rate,
        "ss_lr_warmup_steps": training.warmup,
        "ss_lr_scheduler": training.schedule,
        "ss_optimizer": f"{OPTIMIZERS[training.optimizer]}(weight_decay={training.weight_decay})",
        "ss_max_grad_norm": training.max_grad_norm,
        "ss_caption_dropout_rate": training.caption_dropout,
        "ss_shuffle_caption": training.shuffle_tags,
        "ss_keep_tokens": training.keep_tags,
        "ss_caption_tag_dropout_rate": training.tag_dropout,
        "ss_masked_loss": training.masked_loss,
        "ss_enable_bucket": training.buckets,
        "ss_bucket_no_upscale": not training.enlarge,
        "ss_min_snr_gamma": training.min_snr_gamma or None,
        "ss_noise_offset": training.noise_offset or None,
        "ss_clip_skip": training.clip_skip if training.clip_skip > 1 else None,
        "ss_mixed_precision": {"fp32": "no", "auto": "auto"}.get(training.precision, training.precision),
        "ss_seed": training.seed,
        "ss_flip_aug": False,
        "ss_cache_latents": True,
    }
    return {key: str(value) for key, value in values.items()}


def common_words(captions: Sequence[str]) -> str:
    """The words, as written, that every caption begins with: "lbay" of "lbay mira, waving" and "lbay tobo, sitting".

    One caption alone has no words in common with others.
    """
    if len(set(captions)) < 2:
        return ""
    words = [caption.replace(",", " ,").split() for caption in captions]
    shared = []
    for place in zip(*words, strict=False):
        if len(set(place)) > 1:
            break
        shared.append(place[0])
    return " ".join(shared).replace(" ,", ",").strip(", ")
