"""
Turn places that a take-down leaves empty into the unused documents that fill them, to the token.

A place is filled by the next documents of its own pool, in the order (epoch, rank, key), that no
arm has reached; the last one is cut to what remains. The largest arm is filled first, and a place
that is shorter in another arm gets a prefix of the same documents, so that arms still nest and the
clean part is still the same in all of them:

    >>> sizes([20, 30], 35, least=3), sizes([20, 30], 10, least=3), sizes([20, 30], 21, least=3)
    ([20, 15], [10], [18, 3])
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate import files
from curate.errors import InfeasibleError

if TYPE_CHECKING:
    import polars as pl

    from curate.audit.opened import Opened
    from curate.mixing.planner import Attempt, Planner
    from curate.mixing.streams import Stream
    from curate.run.job import Job


@dataclass(frozen=True, order=True)
class Slot:
    """A span that goes: of which component and document, in which epoch, and how long it is."""

    component: str
    epoch: int
    key: bytes
    n_tokens: int


@dataclass(frozen=True)
class Piece:
    """A span that comes: its row of the pool, and how many of the row's tokens it has."""

    part: int
    row: int
    epoch: int
    n_tokens: int
    n_tokens_whole: int


WORK = ".tmp-remove"
"""Folder in the store for what is made on the way."""

ARM = "substitutes"

Fills = dict[tuple[str, Slot], list[Piece]]
"""(arm, slot) → what fills it."""

Banned = Callable[["pl.DataFrame"], "pl.Series"]
"""Rows with `key`, `group` and `content` of documents → which of them may not be used: Boolean."""


def sizes(wholes: Sequence[int], n_tokens: int, *, least: int) -> list[int]:
    """
    Tokens of each document when `n_tokens` are filled: whole ones, the last cut (DESIGN §2.6).

    `least` are the tokens of a span with two content ids. A size of 0 leaves a document out.
    """
    from curate.mixing.cut import tail

    found: list[int] = []
    left = n_tokens
    for whole in wholes:
        if left == 0:
            break
        if whole <= left:
            found.append(whole)
            left -= whole
            continue
        before, last = tail(found[-1] if found else None, whole, left, least)
        found[-1:] = [before, last] if found else [last]
        left = 0
    return found


def fill(
    job: "Job",
    slots: Mapping[str, Sequence[Slot]],
    used: Mapping[str, "pl.DataFrame"],
    banned: Banned,
    scratch: Path,
) -> Fills:
    """
    What fills every slot of every arm.

    `slots` and `used` are by the arm's name ("" without a sweep); `used` has `key` and `epoch` of
    the arm's spans. Raises InfeasibleError if a pool has too little left.
    """
    from curate.mixing.gather import gather
    from curate.mixing.planner import Planner
    from curate.mixing.resolve import resolve
    from curate.mixing.scratch import Scratch

    room = Scratch(scratch)
    try:
        parts = {source: job.parts(source) for source in job.recipe.sources}
        bos = job.tokenizer.bos_id is not None
        gathered = gather(job.recipe, parts, room, bos=bos, progress=lambda n: None)
        planner = Planner(gathered, resolve(gathered), room)
        attempt = planner.attempt(job.recipe)
        found: Fills = {}
        for pool in _pools(attempt, slots):
            found |= _fill_pool(planner, attempt, pool, used, banned)
        return found
    finally:
        room.close()


@dataclass
class _Wanted:
    """One stream of documents, and the slots of all arms that are filled from it."""

    stream: "Stream"
    start: int  # the first place of the stream that no arm reaches
    limit: int  # the last place that the recipe's max_epochs allows
    slots: dict[str, list[Slot]]  # by arm
    arms: set[str]  # all that draw on it


def _pools(attempt: "Attempt", slots: Mapping[str, Sequence[Slot]]) -> list[_Wanted]:
    found: dict[tuple[Any, int], _Wanted] = {}
    for arm in attempt.arms:
        by_name = {use.name: use for use in arm.uses}
        for name, draw in arm.draws.items():
            identity = (draw.stream.pool, arm.arm.seed)
            limit = ceil(by_name[name].component.epoch_limit) * draw.stream.per_epoch
            pool = found.setdefault(identity, _Wanted(draw.stream, 0, 0, {}, set()))
            pool.arms.add(arm.arm.name)
            pool.start, pool.limit = max(pool.start, draw.stop), max(pool.limit, limit)
            mine = [s for s in slots.get(arm.arm.name, ()) if s.component == name]
            if mine:
                pool.slots.setdefault(arm.arm.name, []).extend(mine)
    return [pool for pool in found.values() if pool.slots]


def _fill_pool(
    planner: "Planner",
    attempt: "Attempt",
    pool: _Wanted,
    used: Mapping[str, "pl.DataFrame"],
    banned: Banned,
) -> Fills:
    """Fill the longest form of every slot in the order of the stream, then each arm's own."""
    import numpy as np

    from curate.mixing.rank import ranks

    longest: dict[tuple[int, bytes], int] = {}
    for mine in pool.slots.values():
        for slot in mine:
            place = (slot.epoch, slot.key)
            longest[place] = max(longest.get(place, 0), slot.n_tokens)
    keys = np.array([list(np.frombuffer(key, "<u8")) for _, key in longest], dtype=np.uint64)
    epochs = [epoch for epoch, _ in longest]
    rank = [
        int(ranks(keys[n : n + 1], pool.stream.seed, epoch)[0]) for n, epoch in enumerate(epochs)
    ]
    order = sorted(zip(epochs, rank, longest, strict=True))
    taken = set()
    for arm in pool.arms & used.keys():
        taken |= set(used[arm].select("epoch", "key").iter_rows())
    queue = _queue(planner, attempt, pool, sum(longest.values()), taken, banned)
    chosen: dict[tuple[int, bytes], list[Piece]] = {}
    for number, (_, _, place) in enumerate(order):
        wholes: list[Piece] = []
        while sum(piece.n_tokens for piece in wholes) < longest[place]:
            piece = next(queue, None)
            if piece is None:
                raise _too_little(pool, number, len(order))
            wholes.append(piece)
        chosen[place] = wholes
    least = planner.gathered.least_tokens + 1
    found: Fills = {}
    for arm, mine in pool.slots.items():
        for slot in mine:
            wholes = chosen[slot.epoch, slot.key]
            own = sizes([piece.n_tokens for piece in wholes], slot.n_tokens, least=least)
            found[arm, slot] = [
                Piece(piece.part, piece.row, piece.epoch, size, piece.n_tokens)
                for piece, size in zip(wholes, own, strict=False)
                if size
            ]
    return found


def _too_little(pool: _Wanted, n_filled: int, n_slots: int) -> InfeasibleError:
    names = sorted({slot.component for mine in pool.slots.values() for slot in mine})
    return InfeasibleError(
        f"the pool of {', '.join(names)} has too few unused documents",
        details=[f"{n_filled:,} of {n_slots:,} places can be filled"],
        hint="Add --close to shorten the mixes instead, or raise max_epochs in the recipe.",
    )


def _queue(
    planner: "Planner",
    attempt: "Attempt",
    pool: _Wanted,
    n_tokens: int,
    taken: set[tuple[int, bytes]],
    banned: Banned,
) -> Iterator[Piece]:
    """The documents of a stream that no arm has reached, as far as the recipe's epochs go."""
    import numpy as np

    from curate.mixing import streams

    at, need = pool.start, n_tokens
    total = attempt.ground.census.pools[pool.stream.pool].tokens
    reach = total * (pool.limit // max(pool.stream.per_epoch, 1))
    before = pool.stream.tape.sum_before("n_tokens", pool.start)
    while at < pool.limit:
        wanted = {
            (pool.stream.pool, pool.stream.seed): streams.Need(tokens=min(before + need, reach))
        }
        made = streams.make(
            attempt.ground.candidates, attempt.ground.census, wanted, planner.scratch
        )
        stream = made[pool.stream.pool, pool.stream.seed]
        stop = min(len(stream.tape), pool.limit)
        if stop > at:
            rows = stream.tape.read(at, stop)
            epochs = np.arange(at, stop) // stream.per_epoch
            allowed = ~banned(_documents(planner, rows)).to_numpy()
            for row, epoch, good in zip(rows, epochs.tolist(), allowed.tolist(), strict=True):
                key = np.array([row["a"], row["b"]], "<u8").tobytes()
                if good and (epoch, key) not in taken:
                    whole = int(row["n_tokens"])
                    yield Piece(int(row["part"]), int(row["row"]), epoch, whole, whole)
        if before + need >= reach:
            return
        at, need = max(at, stop), need * 2


def _documents(planner: "Planner", rows: Any) -> "pl.DataFrame":
    """`key`, `group` and `content` of the documents that rows of a stream are of, in order."""
    import numpy as np
    import polars as pl

    frames = []
    for number in np.unique(rows["part"]).tolist():
        part = planner.gathered.parts[number]
        mine = np.flatnonzero(rows["part"] == number)
        pool = pl.read_parquet(part.pool, columns=["row"])["row"]
        table = pl.read_parquet(part.documents, columns=["key", "group", "content"])
        frames.append(table[pool[rows["row"][mine]]].with_columns(pl.Series("at", mine)))
    found: pl.DataFrame = pl.concat(frames).sort("at").drop("at")
    return found


def written(
    mix: "Opened", job: "Job", rows: "pl.DataFrame", pieces: list[list[Piece]]
) -> tuple["pl.DataFrame", Any]:
    """
    The spans that come, as the writer of mixes makes them, and their ids back to back.

    They are written as a small mix of their own, by the code and under the checks of any other.
    """
    import numpy as np
    import polars as pl

    from curate import shards

    names = [c["name"] for c in mix.content["components"]]
    components = rows["component"].to_list()
    plan = [
        (
            names.index(component),
            p.part,
            p.row,
            p.epoch,
            0,
            p.n_tokens,
            p.n_tokens < p.n_tokens_whole,
            0,
            0,
        )
        for component, mine in zip(components, pieces, strict=True)
        for p in mine
    ]
    kinds = {
        "component": pl.UInt16, "part": pl.UInt32, "row": pl.UInt32, "epoch": pl.UInt32,
        "first": pl.UInt32, "n_tokens": pl.UInt32, "cut": pl.Boolean, "n_inserted": pl.UInt32,
        "shard": pl.UInt32,
    }  # fmt: skip
    folder = job.store.root / WORK
    files.remove(folder)
    files.make_folder(folder)
    try:
        table = pl.DataFrame(plan, schema=kinds, orient="row")
        with files.replacing(folder / f"{ARM}.parquet") as temporary:
            table.write_parquet(temporary)
        content = shards.write_mix(
            plan=folder,
            arm=ARM,
            facts={"components": [_bare(mix, name) for name in names]},
            parts=[part for s in sorted(job.recipe.sources) for part in job.parts(s)],
            tokenizer=job.tokenizer,
            licenses={s.name: s.license for s in job.recipe.sources.values()},
            layout="interleaved",
            seed=mix.content["seed"],
            out=folder / "mix",
        )
        spans = pl.read_parquet(folder / "mix" / "spans.parquet")
        ids = [
            np.fromfile(folder / "mix" / "shards" / f"{s['name']}.npy", dtype=f"<u{mix.width}")
            for s in content["shards"]
        ]
    finally:
        files.remove(folder)
    numbers = [row for row, mine in zip(rows["row"], pieces, strict=True) for _ in mine]
    wholes = [p.n_tokens_whole for mine in pieces for p in mine]
    new = spans.with_columns(
        n_tokens_whole=pl.Series(wholes, dtype=pl.UInt32),
        for_row=pl.Series(numbers, dtype=pl.UInt32),
    )
    return new, np.concatenate(ids) if ids else np.empty(0, dtype=f"<u{mix.width}")


def _bare(mix: "Opened", name: str) -> dict[str, Any]:
    source = mix.origin["components"][name]["source"]
    asked = {"unit": "tokens", "requested": 0, "residual": 0, "epochs": "0/1"}
    return {"name": name, "source": source, **asked}
