"""Asking many regions side by side, so that the slowest answer is the wait and not the sum of all."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")

# More than the regions times a few lengths; threads that wait for the network cost next to nothing.
MOST_THREADS = 128


def ask_all(
    keys: Iterable[Key], ask: Callable[[Key], Answer], done: Callable[[Key], None] = lambda _: None
) -> tuple[dict[Key, Answer], dict[Key, Exception]]:
    """Calls `ask` once for each key, side by side: the answers and the errors, by key, in the order of keys.

    done is called in the caller's thread after each answer or error.
    """
    ordered = list(dict.fromkeys(keys))
    answers: dict[Key, Answer] = {}
    errors: dict[Key, Exception] = {}
    if not ordered:
        return answers, errors
    with ThreadPoolExecutor(max_workers=min(len(ordered), MOST_THREADS)) as pool:
        running = {pool.submit(ask, key): key for key in ordered}
        try:
            for future in as_completed(running):
                key = running[future]
                error = future.exception()
                if error is None:
                    answers[key] = future.result()
                elif isinstance(error, Exception):
                    errors[key] = error
                else:
                    raise error
                done(key)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return (
        {key: answers[key] for key in ordered if key in answers},
        {key: errors[key] for key in ordered if key in errors},
    )
