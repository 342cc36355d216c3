"""
Turn an arm into uses: which component takes documents from which pool, in whose place.

A control keeps the components of the arm it is like; one that gives way is stood in for by another,
token for token. If the stand-in is in the arm already, it goes on where that one ends:

    >>> from fractions import Fraction
    >>> from curate.recipe.model import Budget
    >>> clean = Component("clean", "c4", budget=Budget("tokens", Fraction(100)))
    >>> toxic = Component("toxic", "pol", budget=Budget("share", Fraction(1, 10)))
    >>> arm = Arm("more", {}, 7, None, (clean, toxic), "10pct", {"toxic": clean})
    >>> pools = {"c4": Selection(0, 0), "pol": Selection(1, 0)}
    >>> for use in uses(arm, lambda c: pools[c.source], False):
    ...     print([use.name, use.stands_for, use.after])
    ['clean', '', '']
    ['clean-for-toxic', 'toxic', 'clean']
"""

from collections.abc import Callable
from dataclasses import dataclass

from curate.mixing.census import Pool
from curate.mixing.gather import Selection
from curate.recipe.model import Arm, Component


@dataclass(frozen=True)
class Use:
    """
    One component of one arm's mix.

    `component` is as declared, `slot` the component of the arm whose amount and phases it has
    (itself, but for a stand-in), `after` the use in whose stream it goes on.
    """

    name: str
    component: Component
    slot: Component
    pool: Pool
    after: str = ""

    @property
    def stands_for(self) -> str:
        """The component it replaces, or ""."""
        return self.slot.name if self.slot.name != self.component.name else ""


def present(arm: Arm) -> list[Component]:
    """The components that take documents in an arm, each once, in the order of the recipe."""
    kept = [c for c in arm.components if c.name not in arm.replace]
    names = {c.name for c in kept}
    found: dict[str, Component] = {}
    for component in arm.components:
        actual = arm.replace.get(component.name, component)
        if component.name not in arm.replace or actual.name not in names:
            found.setdefault(actual.name, actual)
    return list(found.values())


def uses(arm: Arm, select: Callable[[Component], Selection], first: bool) -> list[Use]:
    """
    The uses of an arm, those that go on in another's stream after it.

    `first`: where documents belong to several components, the first in the recipe has them
    (otherwise overlaps are refused elsewhere).
    """
    pools: dict[str, Pool] = {}
    before: list[Selection] = []
    for component in present(arm):
        selection = select(component)
        pools[component.name] = Pool(selection, tuple(before) if first else ())
        before.append(selection)
    own = [Use(c.name, c, c, pools[c.name]) for c in arm.components if c.name not in arm.replace]
    last = {use.component.name: use.name for use in own}
    names = [c.name for c in arm.replace.values()]
    taken = {c.name for c in (*arm.components, *arm.replace.values())}
    stand_ins = []
    for slot in arm.components:
        if slot.name not in arm.replace:
            continue
        component = arm.replace[slot.name]
        name = component.name
        if name in last or names.count(name) > 1:
            name = f"{component.name}-for-{slot.name}"
            while name in taken:
                name += "-"
        after = last.get(component.name, "")
        stand_ins.append(Use(name, component, slot, pools[component.name], after))
        last[component.name] = name
    return own + stand_ins
