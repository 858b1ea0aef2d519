"""A scripted world: an endpoint, its metrics and the stores in memory, on a clock that is moved.

The engine drives it through the ports. Each controller gets `world.ports(calls)` with a CallLog of
its own, where its calls can be stopped, cut and paused: a `listener` is called before every call,
`before` and `after` around the effect of one that changes something. They may raise (a crash, a
fault), move the clock, or let somebody else act.
"""

from .host import Traits, traits_of
from .traffic import VariantBehaviour
from .world import START, World

__all__ = ["START", "Traits", "VariantBehaviour", "World", "traits_of"]
