from __future__ import annotations

import pytest
import torch

from plugin.model.optimiser import RowAdam


def test_row_adam_is_sparse_adam_of_torch() -> None:
    stream = torch.Generator().manual_seed(3)
    ours = torch.randn(6, 4, generator=stream)
    theirs = ours.clone().requires_grad_()
    row_adam, sparse_adam = RowAdam(ours), torch.optim.SparseAdam([theirs], lr=0.05)
    for rows in ([0, 2, 5], [2], [1, 2, 3], [5, 0]):
        chosen = torch.tensor(rows)
        gradient = torch.randn(len(rows), 4, generator=stream)
        values = ours[chosen].requires_grad_()
        values.grad = gradient
        row_adam.step(chosen, values, 0.05)
        theirs.grad = torch.sparse_coo_tensor(chosen[None], gradient, (6, 4), check_invariants=True)
        sparse_adam.step()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(ours, theirs.detach())


def test_rows_that_are_not_named_stay() -> None:
    table = torch.ones(3, 2)
    values = table[:1].requires_grad_()
    values.grad = torch.ones(1, 2)
    RowAdam(table).step(torch.tensor([0]), values, 0.1)
    assert (table[0] < 1).all()
    assert (table[1:] == 1).all()


def test_rows_without_a_gradient_are_refused() -> None:
    table = torch.ones(3, 2)
    with pytest.raises(ValueError, match="call backward"):
        RowAdam(table).step(torch.tensor([0]), table[:1].requires_grad_(), 0.1)
