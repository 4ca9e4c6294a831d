"""Rows of new tokens beside a text encoder's own."""

from __future__ import annotations

import torch
from torch.nn import functional


class LearntRows(torch.nn.Module):
    """A table of tokens that stays as it is, and rows of further tokens that are trained."""

    def __init__(self, table: torch.nn.Module, rows: torch.nn.Parameter, first: int) -> None:
        """table: [tokens, width]; rows: [vectors, width]; first: the number of the token that has the first row."""
        super().__init__()
        self.table, self.rows, self.first = table, rows, first

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Numbers of tokens [B, tokens] -> [B, tokens, width]."""
        own = self.table(ids.clamp(max=self.first - 1))
        learnt = functional.embedding((ids - self.first).clamp(min=0), self.rows)
        return torch.where((ids >= self.first).unsqueeze(-1), learnt, own)
