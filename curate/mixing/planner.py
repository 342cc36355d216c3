"""
Turn a recipe and gathered rows into draws: every arm's components, located and cut.

    rows ──hold-out──▶ candidates ──census──▶ pools ──budget──▶ amounts ──streams──▶ draws

Whatever cannot be had is a `Problem`; a recipe changed by one line can be tried on the same rows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from math import ceil

from curate.mixing import budget, census, shortage, streams
from curate.mixing.amounts import Amount
from curate.mixing.census import UNITS, Candidates, Census, Count, Pool
from curate.mixing.draw import Draw, take
from curate.mixing.gather import Gathered, Selection
from curate.mixing.holdout import Chooser, Groups
from curate.mixing.phases import Schedule, schedules
from curate.mixing.problem import Edit, Problem, grouped
from curate.mixing.resolve import Tally
from curate.mixing.scratch import Rows, Scratch, picked
from curate.mixing.streams import Need, Stream
from curate.mixing.uses import Use, present, uses
from curate.recipe.model import Arm, Component, Holdout, Recipe


@dataclass
class ArmDraws:
    """An arm with what its components take, by name of the use, and when it is due."""

    arm: Arm
    uses: list[Use]
    amounts: dict[str, Amount]
    draws: dict[str, Draw]
    lines: dict[str, Schedule]


@dataclass
class Ground:
    """Candidates under one hold-out, and all that was found out about them so far."""

    candidates: Candidates
    held: Rows
    census: Census = field(default_factory=Census)
    streams: dict[tuple[Pool, int], tuple[Need, Stream]] = field(default_factory=dict)


@dataclass
class Attempt:
    """A recipe tried on the rows: the ground it stands on and the draws of every arm."""

    recipe: Recipe
    ground: Ground
    arms: list[ArmDraws]


@dataclass
class Planner:
    """Rows that recipes can be tried on; what one attempt counted the next one need not."""

    gathered: Gathered
    tally: Tally
    scratch: Scratch
    whole: list[Count] = field(default_factory=list)
    """Per source, what a hold-out chooses from."""
    grounds: dict[tuple[Holdout | None, int], Ground] = field(default_factory=dict)

    def attempt(self, recipe: Recipe) -> Attempt:
        """Every arm's draws; Problem if an arm cannot be had."""
        ground = self._ground(recipe)
        counted = ground.census
        first = recipe.mix.overlap == "first"
        all_uses = {arm.name: uses(arm, self._select, first) for arm in recipe.arms()}
        self._count(recipe, ground, all_uses)
        if not first:
            self._refuse_overlaps(recipe, counted)
        amounts = self._all_amounts(recipe, all_uses, ground)
        shortage.check(recipe, all_uses, amounts, counted)
        needs: dict[tuple[Pool, int], Need] = {}
        for arm in recipe.arms():
            _add_needs(needs, arm.seed, all_uses[arm.name], amounts[arm.name], counted)
        self._make_streams(ground, needs)
        arms = []
        for arm in recipe.arms():
            draws = self._draws(recipe, arm, all_uses[arm.name], amounts[arm.name], ground)
            _refuse_long(recipe, ground, draws.values())
            lines = schedules(
                {name: draw.n_tokens for name, draw in draws.items()},
                {use.name: use.slot.phases for use in all_uses[arm.name]},
            )
            arms.append(ArmDraws(arm, all_uses[arm.name], amounts[arm.name], draws, lines))
        return Attempt(recipe, ground, arms)

    def _all_amounts(
        self, recipe: Recipe, all_uses: Mapping[str, list[Use]], ground: Ground
    ) -> dict[str, dict[str, Amount]]:
        """What each use of each arm asks for; a stand-in, the tokens of what it stands for."""
        amounts: dict[str, dict[str, Amount]] = {}
        tokens: dict[str, dict[str, int]] = {}
        for arm in recipe.arms():
            if not arm.replace:
                amounts[arm.name], tokens[arm.name] = self._amounts(
                    recipe, arm, all_uses[arm.name], ground
                )
        for arm in recipe.arms():
            if arm.replace:
                amounts[arm.name] = {
                    use.name: Amount("tokens", tokens[arm.like][use.slot.name])
                    if use.stands_for
                    else amounts[arm.like][use.slot.name]
                    for use in all_uses[arm.name]
                }
        return amounts

    def _select(self, component: Component) -> Selection:
        return self.gathered.selection(component.source, component.where)

    def _ground(self, recipe: Recipe) -> Ground:
        identity = (recipe.holdout, recipe.seed)
        if identity not in self.grounds:
            candidates = Candidates(self.gathered, self._groups(recipe))
            self.grounds[identity] = Ground(candidates, candidates.held_out())
        return self.grounds[identity]

    def _groups(self, recipe: Recipe) -> Groups | None:
        if recipe.holdout is None:
            return None
        names = self.gathered.sources
        held = [names.index(name) for name in recipe.holdout.sources]
        chooser = Chooser(held, tokens=recipe.holdout.tokens, seed=recipe.seed)
        self.whole = [Count() for _ in names]
        for number in range(len(self.gathered.buckets)):
            rows = self.gathered.buckets.read(number)
            chooser.add(rows)
            for source, total in enumerate(self.whole):
                census.add(total, picked(rows, rows["source"] == source))
        return chooser.chosen(names)

    def _count(
        self,
        recipe: Recipe,
        ground: Ground,
        all_uses: Mapping[str, list[Use]],
    ) -> None:
        pools: dict[tuple[Pool, int], None] = {}
        pairs: dict[tuple[Selection, Selection], None] = {}
        unions: dict[tuple[Selection, ...], None] = {}
        for arm in recipe.arms():
            pools |= {(use.pool, arm.seed): None for use in all_uses[arm.name]}
            chosen = [self._select(component) for component in present(arm)]
            if recipe.mix.overlap != "first":
                pairs |= dict.fromkeys(combinations(chosen, 2))
            for source in range(len(self.gathered.sources)):
                union = tuple(dict.fromkeys(s for s in chosen if s.source == source))
                unions |= {union: None} if union else {}
        census.count(
            ground.candidates,
            ground.census,
            pools=list(pools),
            pairs=list(pairs),
            unions=list(unions),
        )

    def _refuse_overlaps(self, recipe: Recipe, counted: Census) -> None:
        for arm in recipe.arms():
            for one, other in combinations(present(arm), 2):
                shared = counted.overlaps[self._select(one), self._select(other)]
                if shared:
                    of = f" in arm {arm.name}" if arm.name else ""
                    raise Problem(
                        f"{shared:,} documents belong to both {one.name} and {other.name}{of}",
                        ["in one arm a document belongs to one component"],
                        [Edit("mix", "overlap", '"first"')],
                    )

    def _amounts(
        self,
        recipe: Recipe,
        arm: Arm,
        arm_uses: list[Use],
        ground: Ground,
    ) -> tuple[dict[str, Amount], dict[str, int]]:
        """What each use of a base arm asks for, and its tokens."""
        counted = ground.census
        asked: dict[str, Amount] = {}
        needs: dict[tuple[Pool, int], Need] = {}
        for use in arm_uses:
            told = use.component.budget
            if told is None or told.kind in ("share", "rest"):
                continue
            if told.kind == "epochs":
                eligible = counted.pools[use.pool].tokens
                asked[use.name] = Amount("tokens", budget.rounded(told.amount * eligible))
            else:
                asked[use.name] = Amount(told.kind, int(told.amount))
        counts = [use for use in arm_uses if use.name in asked and asked[use.name].unit != "tokens"]
        shortage.check(recipe, {arm.name: counts}, {arm.name: asked}, counted)
        _add_needs(needs, arm.seed, counts, asked, counted)
        self._make_streams(ground, needs)
        known = {name: amount.requested for name, amount in asked.items()}
        for use in counts:
            stream = ground.streams[use.pool, arm.seed][1]
            unit, requested = asked[use.name].unit, asked[use.name].requested
            draw = take(stream, start=0, unit=unit, amount=requested, exact=False, least=0)
            if draw is None:
                raise ValueError(f"{use.name} was found sufficient and is not")
            known[use.name] = draw.n_tokens
        tokens = budget.solve(arm.components, arm.total, known)
        for use in arm_uses:
            asked.setdefault(use.name, Amount("tokens", tokens[use.name]))
        return asked, tokens

    def _make_streams(self, ground: Ground, needs: Mapping[tuple[Pool, int], Need]) -> None:
        lacking = {}
        for key, need in needs.items():
            have = ground.streams.get(key)
            if have is None or any(have[0].of(unit) < need.of(unit) for unit in UNITS):
                lacking[key] = need
        if lacking:
            made = streams.make(ground.candidates, ground.census, lacking, self.scratch)
            for key, stream in made.items():
                ground.streams[key] = (lacking[key], stream)

    def _draws(
        self,
        recipe: Recipe,
        arm: Arm,
        arm_uses: list[Use],
        amounts: Mapping[str, Amount],
        ground: Ground,
    ) -> dict[str, Draw]:
        found: dict[str, Draw] = {}
        for use in arm_uses:
            stream = ground.streams[use.pool, arm.seed][1]
            amount = amounts[use.name]
            draw = take(
                stream,
                start=found[use.after].stop if use.after else 0,
                unit=amount.unit,
                amount=amount.requested,
                exact=recipe.mix.layout == "interleaved",
                least=self.gathered.least_tokens + 1,
            )
            limit = ceil(use.component.epoch_limit) * stream.per_epoch
            if draw is None or draw.stop > limit:
                # What a cut leaves of a document is lost to what goes on after it.
                raise shortage.after_cut(use, amount.requested)
            found[use.name] = draw
        return found


def _refuse_long(recipe: Recipe, ground: Ground, draws: Iterable[Draw]) -> None:
    """A span lies whole in one shard."""
    held = int(ground.held["n_tokens"].max(initial=0))
    longest = max([held, *(draw.longest(recipe.mix.shard_tokens) for draw in draws)])
    if longest > recipe.mix.shard_tokens:
        raise Problem(
            f"a document of {longest:,} tokens does not fit in a shard",
            [f"shard_tokens is {recipe.mix.shard_tokens:,}"],
            [Edit("mix", "shard_tokens", grouped(longest))],
        )


def _add_needs(
    needs: dict[tuple[Pool, int], Need],
    seed: int,
    arm_uses: list[Use],
    amounts: Mapping[str, Amount],
    counted: Census,
) -> None:
    """How far the streams of an arm must reach: the sum of what is taken one after the other."""
    asked: dict[Pool, Need] = {}
    for use in arm_uses:
        longest = counted.pools[use.pool].longest
        need = asked.setdefault(use.pool, Need())
        amount = amounts[use.name]
        if amount.unit == "documents":
            need.documents += amount.requested
        elif amount.unit == "bytes":
            need.bytes += amount.requested
        elif use.after:
            # Where it begins is not known yet: at most two documents beyond the one before.
            need.tokens += amount.requested + 2 * longest
        else:
            need.tokens += amount.requested
    for pool, need in asked.items():
        total = needs.setdefault((pool, seed), Need())
        total.documents = max(total.documents, need.documents)
        total.tokens = max(total.tokens, need.tokens)
        total.bytes = max(total.bytes, need.bytes)
