"""
Turn a recipe, tags and token pools into plans: which documents, in which order, to the token.

    make_plan      recipe + parts → <plan>/{parts,<arm>,holdout}.parquet, plan.json
    assume_plan    recipe + stated pool sizes → the same arithmetic, nothing written
    dropped        plan + parts → why each other document is not in a mix
    render         plan → text

Pure: numbers in, numbers out. The laws are in docs/format.md §4 and tests/test_mixing_laws.py.
"""

from curate.mixing.assume import assume_plan
from curate.mixing.dropped import dropped
from curate.mixing.plan import make_plan
from curate.mixing.render import render

FORMAT = 1
"""Raised whenever a plan changes for the same recipe and parts."""

__all__ = ["FORMAT", "assume_plan", "dropped", "make_plan", "render"]
