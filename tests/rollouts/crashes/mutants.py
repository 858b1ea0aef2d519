"""The engine without one of its precautions.

The simulation must see each: else it would not see the precaution missing either.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from datetime import timedelta
from unittest.mock import patch

import msgspec
from msgspec.structs import replace

from isthmus.core import lease
from isthmus.errors import Conflict
from isthmus.rollouts import controller
from isthmus.rollouts.evidence import guardrails
from isthmus.rollouts.evidence import judgement as judging
from isthmus.rollouts.phases import baking
from isthmus.rollouts.phases import shifting as before
from isthmus.rollouts.state import documents
from isthmus.rollouts.state import transitions as moves

_judge, _judged, _standing, _take, _write = (
    guardrails.judge,
    judging.judge,
    judging.overall_verdict,
    lease.take,
    documents.write,
)


def _untouched(held, holder, now):
    return replace(_take(held, holder, now), touched=True)


def _believes(state, *_seen):
    return state.sent > 0 or state.phase != "shifting"


def _nothing_bad(*args, **options):
    return tuple(
        replace(check, verdict="pass") if check.verdict == "no data" else check
        for check in _judge(*args, **options)
    )


def _no_data_passes(state, now):
    return "pass" if _standing(state, now) in ("no data", "unread") else _standing(state, now)


def _acts_first(ports, stored, decided, actions, *, observation, clock):
    for action in actions:
        controller._act(ports, replace(stored, state=decided), action, clock)
    return _carried_out(ports, stored, decided, (), observation=observation, clock=clock)


_carried_out = controller._carry_out


def _to_the_bakes_end(state, seen, now, **options):
    if (
        state.phase in ("baking", "waiting")
        and seen.settled is not None
        and state.bake_until is not None
    ):
        seen = replace(seen, settled=min(seen.settled, state.bake_until))
    return _judged(state, seen, now, **options)


def _never_behind(_state, _seen):
    return False


def _stands_to_the_bakes_end(state, now):
    end = state.bake_until + state.plan.metrics_delay if state.bake_until else now
    return _standing(state, min(now, end))


def _straight_to_the_history(store, state, *, expect):
    stored = _write(store, replace(state, outbox=()), expect=expect)
    for entry in state.outbox:
        try:
            store.put(
                documents.history_key(state, entry.seq), msgspec.json.encode(entry), expect=None
            )
        except Conflict:
            continue
    return stored


def _whatever_is_there(store, state, *, expect):
    document = store.get(documents.key(state.endpoint))
    return _write(store, state, expect=document.token if document else expect)


# what is left out -> how: (module, name, what is there instead)
MUTANTS: Mapping[str, tuple[tuple[object, str, object], ...]] = {
    "without touch": ((lease, "take", _untouched),),
    "without watch": ((moves, "WATCH", timedelta(0)),),
    "without the read-back": (
        (before, "is_converged", _believes),
        (baking, "is_converged", _believes),
        (baking, "is_served", _believes),
    ),
    "no data as good": (
        (guardrails, "judge", _nothing_bad),
        (baking, "overall_verdict", _no_data_passes),
    ),
    "acting before writing": ((controller, "_carry_out", _acts_first),),
    "judging to the bake's end only": (
        (baking, "judge", _to_the_bakes_end),
        (baking, "is_behind", _never_behind),
        (baking, "overall_verdict", _stands_to_the_bakes_end),
    ),
    "history without the outbox": ((documents, "write", _straight_to_the_history),),
    "lease without compare-and-swap": ((documents, "write", _whatever_is_there),),
}


def mutated(name: str) -> AbstractContextManager[ExitStack]:
    stack = ExitStack()
    for module, attribute, instead in MUTANTS[name]:
        stack.enter_context(patch.object(module, attribute, instead))
    return stack
