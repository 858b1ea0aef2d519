"""Generate the SELECT of a feature view with `extract:` or `profile:`, in the neutral subset."""

from __future__ import annotations

from ..specs.content import Extract, Profile, extracted_name, vector_columns

# A profile counts what happened now only a moment later: an exposure at the same time as its own
# outcome must not see it.
_KNOWN_AFTER = "INTERVAL 1 SECOND"


def extract_sql(view: str, extract: Extract, key: str) -> str:
    """Return the SELECT of a view of vectors: the vector of each event, of the entity's `key`."""
    columns = "".join(f", {name}" for name in vector_columns(view, extract.dimensions))
    return (
        f"SELECT {key}, event_timestamp, created_timestamp{columns}\nFROM {extracted_name(view)}\n"
    )


def profile_sql(
    view: str, profile: Profile, extract: Extract, *, key: str, content_key: str
) -> str:
    """Return the SELECT of a profile: the mean vector of what an entity did, and how often.

    Each event of `profile.event` counts with the newest vector that its content had by then; one
    without a vector does not count.

    Args:
        view: The profile's name.
        profile: Its section of project.yaml.
        extract: The section `extract` of the view whose vectors are averaged.
        key: The key of the profile's entity.
        content_key: The key of that view's entity.
    """
    vectors = vector_columns(profile.view, extract.dimensions)
    means = ",\n       ".join(
        f"avg({vector}) OVER recent AS {mean}"
        for vector, mean in zip(vectors, vector_columns(view, extract.dimensions), strict=True)
    )
    columns = ", ".join(vectors)
    seconds = int(profile.window.total_seconds())
    return f"""WITH paired AS (
  SELECT done.{key}, done.event_timestamp, done.event_id,
         {", ".join(f"content.{vector}" for vector in vectors)},
         row_number() OVER (PARTITION BY done.event_id, done.event_timestamp
                            ORDER BY content.event_timestamp DESC,
                                     content.created_timestamp DESC, content.event_id) AS age
  FROM events_{profile.event} AS done
  JOIN {extracted_name(profile.view)} AS content
    ON content.{content_key} = done.{content_key}
   AND content.event_timestamp <= done.event_timestamp
   AND content.created_timestamp <= done.event_timestamp
), counted AS (
  SELECT {key}, event_timestamp, {columns}
  FROM paired
  WHERE age = 1 AND {vectors[0]} IS NOT NULL
)
SELECT {key}, event_timestamp, event_timestamp + {_KNOWN_AFTER} AS created_timestamp,
       count(*) OVER recent AS {view}_count,
       {means}
FROM counted
WINDOW recent AS (PARTITION BY {key} ORDER BY event_timestamp
                  RANGE BETWEEN INTERVAL {seconds} SECOND PRECEDING AND CURRENT ROW)
"""
