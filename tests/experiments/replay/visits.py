"""What a gateway shows to visitors who ask once each."""

from random import Random

from isthmus.endpoints.gateway.gateway import Gateway


def shown_to(project, request, *, visitors, at):
    """Ask `ranker` for each visitor, and return an impression of each item that was shown."""
    with Gateway(project, "ranker", rng=Random(11)) as gateway:
        answers = [
            gateway.rank({**request, "visitor_id": f"v{number}"}) for number in range(visitors)
        ]
    about = {"event_timestamp": at, "segment_id": "a", "position": 1}
    return [
        {"event_id": f"i-{exposure}", "exposure_id": exposure, "item_id": item, **about}
        for answer in answers
        for item, exposure in zip(answer.items, answer.exposures, strict=True)
    ]
