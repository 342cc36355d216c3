"""
Turn a plan and the token pool into a mix: shards that every trainer reads.

    write      plan + pool → shards, links, sidecars, spans.parquet, and `content`
    sums       mix folder → SHA256SUMS
    exports    mix folder → the layouts of trainers that cannot read a shard as it is
    trainers   mix folder → the configuration to paste into a trainer

The layouts are those of docs/format.md §5.
"""

from curate.shards.sums import Sums, sums
from curate.shards.write import write_mix

FORMAT = 1
"""Raised whenever the bytes of a mix change for the same plan and pool."""

__all__ = ["FORMAT", "Sums", "sums", "write_mix"]
