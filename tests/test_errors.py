"""Errors pass from process to process."""

import pickle

import pytest

from limner import errors

MORE = {
    errors.InvalidInput: (("steps", "steps is 0"), {}),
    errors.UnknownScheduler: (("scheduler", "no such scheduler"), {}),
    errors.UnknownModel: (("model", "no such model"), {}),
    errors.AmbiguousModel: (("model", "several models"), {}),
    errors.UnusableModel: (("model", "a damaged model"), {}),
    errors.TooCostly: (("image", "too large"), {}),
    errors.InsufficientCredits: (("too little",), {"available_micro": 3, "price_micro": 5}),
    errors.NotAllowed: (("no",), {"allow": "POST"}),
    errors.LimitExceeded: (("slowly",), {"retry_after_s": 7}),
    errors.QueueFull: (("full",), {"retry_after_s": 9}),
}


def kinds(base=errors.LimnerError):
    return [base, *(found for kind in base.__subclasses__() for found in kinds(kind))]


@pytest.mark.parametrize("kind", [k for k in kinds() if k.__module__ == "limner.errors"])
def test_a_pickled_error_comes_back_whole(kind):
    arguments, named = MORE.get(kind, (("a sentence",), {}))
    error = kind(*arguments, **named)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error) == arguments[-1]
    assert vars(again) == vars(error)
