"""Adam over the rows of a table that a batch used, and over no others (lazy Adam).

A dense Adam would visit the whole table at each step; torch's SparseAdam must first sort and merge the rows'
gradients, which `plugin.model.batches` has already done by numbering a batch's distinct rows.
"""

from __future__ import annotations

import torch
from torch import Tensor


class RowAdam:
    """Adam (arXiv 1412.6980) on `table`, in place; the moments of a row stand still while it is not used."""

    def __init__(self, table: Tensor, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> None:
        self._table = table
        self._mean = torch.zeros_like(table)
        self._square = torch.zeros_like(table)
        self._betas = (beta1, beta2)
        self._epsilon = epsilon
        self._steps = 0

    def step(self, rows: Tensor, values: Tensor, learning_rate: float) -> None:
        """Move `table[rows]`, whose current `values` carry their gradient. Rows are distinct."""
        gradient = values.grad
        if gradient is None:
            raise ValueError("the rows have no gradient: call backward() first")
        beta1, beta2 = self._betas
        self._steps += 1
        mean = self._mean.index_select(0, rows).lerp_(gradient, 1.0 - beta1)
        square = self._square.index_select(0, rows).mul_(beta2).addcmul_(gradient, gradient, value=1.0 - beta2)
        self._mean.index_copy_(0, rows, mean)
        self._square.index_copy_(0, rows, square)
        scale = (square / (1.0 - beta2**self._steps)).sqrt_().add_(self._epsilon)
        change = learning_rate / (1.0 - beta1**self._steps)
        self._table.index_copy_(0, rows, values.detach().addcdiv(mean, scale, value=-change))
