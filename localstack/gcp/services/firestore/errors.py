"""Firestore's errors."""

from __future__ import annotations

from ...core.errors import GcpError, invalid


def bad_field_path(text: str) -> GcpError:
    """Return the error for a text that is not a valid field path."""
    return invalid(
        f'Invalid property path "{text}". Unquoted property names must match regex '
        "([a-zA-Z_][a-zA-Z_0-9]*), and quoted property names must"
        r" match regex (`(?:[^`\\]|(?:\\.))+`)"
    )


def no_database(name: str) -> GcpError:
    """Return the error for a database that does not exist."""
    _, project, _, database = name.split("/")
    return GcpError(
        "NOT_FOUND",
        f"The database {database} does not exist for project {project} Please visit"
        f" https://console.cloud.google.com/datastore/setup?project={project} to add a Cloud "
        "Datastore or Cloud Firestore database. ",
    )
