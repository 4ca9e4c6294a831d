"""make bench: every benchmark in turn; each prints its figures and the command that gives them alone."""

from __future__ import annotations

from tests.bench import cmu_faces, exports, fit, sharpness

for bench in (exports, cmu_faces, fit, sharpness):
    print(f"\n# python -m {bench.__name__}")
    bench.main()
