"""What an adapter adds to one layer, in the few shapes that are computed.

A layer of ``n`` rows reads ``x`` (n, L, K): L places, K numbers that each output is a sum of (a
convolution's are the pixels under its kernel), and a form gives what is to be added to the output,
(n, L, out), in two products: ``first`` by itself, since a kernel's is a convolution, then the
rest. The tensors of a form have a row for each of its rows, or one row for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import pad

RANK_STEP = 16
"""Ranks are filled up to multiples of this, so that a few sizes of products serve all files."""

AnyForm = TypeVar("AnyForm", bound="Form")


@dataclass(frozen=True, eq=False)
class Form:
    """What is common to all of them. A row's strength multiplies what it adds."""

    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(getattr(self, f.name) for f in fields(self))

    @property
    def bytes(self) -> int:
        """Memory of its tensors."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors())

    @property
    def kind(self) -> tuple[object, ...]:
        """Forms of one kind can be stacked."""
        return type(self), *(tensor.shape[1:] for tensor in self.tensors())

    @property
    def shared(self) -> bool:
        """Whether it is as large as the weights themselves, and not to be copied for each row."""
        return False

    def to(self: AnyForm, device: torch.device, dtype: torch.dtype) -> AnyForm:
        """The same in a model's memory and number type."""
        return self._each(lambda tensor: tensor.to(device, dtype).contiguous())

    def stacked(self: AnyForm, others: list[AnyForm]) -> AnyForm:
        """This one's rows, then those of ``others``, which are of its kind."""
        rows = zip(self.tensors(), *(other.tensors() for other in others), strict=True)
        return self._with([torch.cat(each) for each in rows])

    def scaled(self: AnyForm, strength: float) -> AnyForm:
        """The same at a strength."""
        *front, last = self.tensors()
        return self if strength == 1 else self._with([*front, last * strength])

    @property
    def first(self) -> Tensor:
        """The first matrix, (n, M, K)."""
        raise NotImplementedError

    def read(self, x: Tensor) -> Tensor:
        """The first product of ``x`` (n, L, K), which is no kernel's."""
        return product(x, self.first)

    def rest(self, inner: Tensor) -> Tensor:
        """What is added where the first product is ``inner`` (n, L, M): (n, L, out)."""
        return inner

    def weight(self) -> Tensor:
        """The same as a change of the layer's weight: (n, out, K)."""
        raise NotImplementedError

    def _each(self: AnyForm, change: object) -> AnyForm:
        assert callable(change)
        return self._with([change(tensor) for tensor in self.tensors()])

    def _with(self: AnyForm, tensors: list[Tensor]) -> AnyForm:
        changed = zip((f.name for f in fields(self)), tensors, strict=True)
        return replace(self, **dict(changed))


@dataclass(frozen=True, eq=False)
class LowRank(Form):
    """LoRA (Hu et al. 2021): ``B A``, with ``A`` (n, rank, K) and ``B`` (n, out, rank)."""

    A: Tensor
    B: Tensor

    @classmethod
    def of(cls, A: Tensor, B: Tensor) -> LowRank:
        """``A`` (rank, K), ``B`` (out, rank); the rank is filled up with zeros, which add none."""
        more = -len(A) % RANK_STEP
        return cls(pad(A, (0, 0, 0, more))[None], pad(B, (0, more))[None])

    @property
    def rank(self) -> int:
        return self.A.shape[1]

    def joined(self, other: LowRank) -> LowRank:
        """Both at once: their sum is one product of their ranks together."""
        return LowRank(torch.cat([self.A, other.A], 1), torch.cat([self.B, other.B], 2))

    @property
    def first(self) -> Tensor:
        return self.A

    def rest(self, inner: Tensor) -> Tensor:
        return product(inner, self.B)

    def weight(self) -> Tensor:
        return self.B @ self.A


@dataclass(frozen=True, eq=False)
class Dense(Form):
    """Any change of a weight, ``W`` (n, out, K): where no shorter form is known."""

    W: Tensor

    @property
    def shared(self) -> bool:
        return True

    @property
    def first(self) -> Tensor:
        return self.W

    def weight(self) -> Tensor:
        return self.W


@dataclass(frozen=True, eq=False)
class Kronecker(Form):
    """LoKr (Yeh et al. 2023): the Kronecker product of ``W1`` (n, o, i) and ``W2`` (n, p, j).

    It reads K = i j numbers and writes o p; both of its products are of the small matrices. Not
    for kernels.
    """

    W1: Tensor
    W2: Tensor

    @property
    def first(self) -> Tensor:
        return self.W2

    def read(self, x: Tensor) -> Tensor:
        rows, places, _ = x.shape
        i, j = self.W1.shape[2], self.W2.shape[2]
        return product(x.reshape(rows, places * i, j), self.W2)

    def rest(self, inner: Tensor) -> Tensor:
        (o, i), p = self.W1.shape[1:], self.W2.shape[1]
        rows, places = len(inner), inner.shape[1] // i
        turned = inner.view(rows, places, i, p).transpose(2, 3).reshape(rows, places * p, i)
        made = product(turned, self.W1).view(rows, places, p, o)
        return made.transpose(2, 3).reshape(rows, places, o * p)

    def weight(self) -> Tensor:
        return torch.stack([torch.kron(*each) for each in zip(self.W1, self.W2, strict=True)])


def product(x: Tensor, matrices: Tensor) -> Tensor:
    """``x`` (n, L, K) times ``matrices`` (n or 1, M, K), each row by itself: (n, L, M)."""
    return torch.bmm(x, matrices.expand(len(x), -1, -1).transpose(1, 2))
