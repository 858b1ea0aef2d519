"""Exposures as a gateway logs them, with values that are hard to keep."""

from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)


def exposure(number, **fields):
    return {
        "event_id": f"q-{number}",
        "event_timestamp": START + timedelta(minutes=number, milliseconds=number),
        "endpoint": "ranker",
        "unit": f"v{number}",
        "variant": "champion",
        "version": "ranker@1",
        "entity": "item",
        "entity_key": str(number),
        "position": number + 1,
        "score": (0.1 + 0.2) * number,
        "propensity": 5e-324,
        "explored": number % 2 == 0,
        "config": 2**53 + 1,
        "features": '{"rate":0.30000000000000004,"kind":"a \\"b\\"\\n\u3042"}',
        "scored_by": "ranker@1",
        **fields,
    }
