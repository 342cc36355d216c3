"""
Turn the draws of an arm into one stream of spans in which every component keeps its share.

Let T_i be a component's tokens, W their sum, p_i = T_i / W. The span of component i that starts at
its c-th token is *due* at ⌊c·W/T_i⌋, and the mix is all spans by (due, component name, c).

    >>> from curate.mixing.phases import schedules
    >>> def spans(component, *sizes):
    ...     rows = np.zeros(len(sizes), SPAN)
    ...     rows["component"], rows["n_tokens"] = component, sizes
    ...     return iter([rows])
    >>> lines = schedules({"clean": 60, "toxic": 40}, {})
    >>> feeds = [(lines["clean"], spans(0, 30, 30)), (lines["toxic"], spans(1, 20, 20))]
    >>> mixed = np.concatenate(list(interleave(feeds)))
    >>> mixed["component"].tolist(), mixed["n_tokens"].tolist()
    ([0, 1, 0, 1], [30, 20, 30, 20])

**The bound.** Let k components have tokens and let L be the longest span. After every span, at
token E of the stream with e_i tokens of component i among them,

    −(1 − p_i)·(L + p_i)  ≤  p_i·E − e_i  ≤  p_i·((k − 1)·L + 1).

*Proof.* Let D be the due time of the last span taken, and x_i = e_i − p_i·D. Spans come by due
time, so the next span of i, if there is one, is due at ⌊e_i/p_i⌋ ≥ D: x_i ≥ 0; if there is none,
e_i = T_i = p_i·W ≥ p_i·D. The last span of i that was taken started at some c with ⌊c/p_i⌋ ≤ D, so
c < p_i·(D + 1), and e_i ≤ c + L: x_i < L + p_i. Summing over the components, E = D + Σx_j, so
p_i·E − e_i = p_i·Σx_j − x_i = p_i·Σ_{j≠i} x_j − (1 − p_i)·x_i. With 0 ≤ x_j ≤ L + p_j and
Σ_{j≠i} p_j ≤ 1 both sides follow. ∎

**With phases** the line p_i·E is replaced by the schedule F_i(E), and c·W/T_i by its inverse
sup {E : F_i(E) ≤ c}. Let m_i and q_i be the least and greatest slope of F_i, and
x_i = e_i − F_i(D). The same argument gives 0 ≤ x_i < L + f_i with f_i = F_i(D + 1) − F_i(D), which
is at most q_i and sums to 1; as ΣF_j(D) = D, again E = D + Σx_j. F_i(E) − F_i(D) lies between
m_i·Σx_j and q_i·Σx_j, so

    −(1 − m_i)·(L + q_i)  ≤  F_i(E) − e_i  ≤  q_i·((k − 1)·L + 1).

A file read in order has this property; a trainer that shuffles gives it up.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from curate.mixing.draw import SPAN
from curate.mixing.phases import Integers, Schedule
from curate.mixing.scratch import Rows, joined, picked

Feed = tuple[Schedule, Iterator[Rows]]


class _Queue:
    """Spans of one component that are not placed yet, with their due times."""

    def __init__(self, schedule: Schedule, chunks: Iterator[Rows]) -> None:
        self.schedule = schedule
        self.chunks = chunks
        self.spans = np.empty(0, SPAN)
        self.due: Integers = np.empty(0, np.int64)
        self.own = 0
        self.ended = False

    def fill(self) -> None:
        """Have at least two spans at hand, or all that are left."""
        while len(self.spans) < 2 and not self.ended:
            chunk = next(self.chunks, None)
            if chunk is None:
                self.ended = True
            elif len(chunk):
                ends = self.own + np.cumsum(chunk["n_tokens"], dtype=np.int64)
                due = self.schedule.due(ends - chunk["n_tokens"])
                self.own = int(ends[-1])
                self.spans = joined((self.spans, chunk))
                self.due = np.concatenate((self.due, due))

    def release(self, horizon: int | None) -> tuple[Rows, Integers]:
        """The spans due before the horizon; all where there is none."""
        stop = len(self.due) if horizon is None else int(np.searchsorted(self.due, horizon))
        released = self.spans[:stop], self.due[:stop]
        self.spans, self.due = self.spans[stop:], self.due[stop:]
        return released


def interleave(feeds: Sequence[Feed]) -> Iterator[Rows]:
    """
    The spans of all feeds (in the order of their names) by (due, name, c), a chunk at a time.

    Only what is due before the last span at hand of every feed is placed: nothing that is still
    to come can belong before it. Memory: one chunk per feed.
    """
    queues = [_Queue(schedule, chunks) for schedule, chunks in feeds]
    while True:
        for queue in queues:
            queue.fill()
        horizons = [int(queue.due[-1]) for queue in queues if not queue.ended]
        released = [queue.release(min(horizons, default=None)) for queue in queues]
        spans = joined([part for part, _ in released]) if released else np.empty(0, SPAN)
        if len(spans):
            # Stable: equal due times stay in the order of the feeds; within one they rise.
            due = np.concatenate([due for _, due in released])
            yield picked(spans, np.argsort(due, kind="stable"))
        if not horizons:
            return


def one_by_one(feeds: Sequence[Feed]) -> Iterator[Rows]:
    """Layout by-source: every component whole, one after the other."""
    for _, chunks in feeds:
        yield from (chunk for chunk in chunks if len(chunk))
