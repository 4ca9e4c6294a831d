"""make bench: every benchmark in turn; each prints its figures and the command that gives them alone."""

from __future__ import annotations

from tests.bench import (
    agreement,
    base,
    captions,
    cmu_faces,
    coverage,
    doctor,
    duplicates,
    export,
    exports,
    fit,
    frames,
    hands,
    judge,
    kill,
    kill_saves,
    memory,
    overlays,
    scale,
    sharpness,
    speed,
    taggers,
    training_memory,
    training_time,
    validation,
)

for bench in (
    *(
        exports,
        cmu_faces,
        fit,
        sharpness,
        speed,
        agreement,
        memory,
        captions,
        coverage,
        duplicates,
        validation,
        scale,
        kill,
        kill_saves,
        hands,
    ),
    *(doctor, export, frames, overlays, taggers, base, judge, training_memory, training_time),
):
    print(f"\n# python -m {bench.__name__}")
    bench.main()
