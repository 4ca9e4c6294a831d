# One entry for everything; without make (Windows): python .ci/make.py demo
PYTHON ?= python3

.PHONY: demo test check bench setup clean
demo test check bench setup clean:
	@$(PYTHON) .ci/make.py $@
