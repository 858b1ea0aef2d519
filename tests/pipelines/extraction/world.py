"""A small project with titles, in files of CSV: articles on three subjects, and who clicked them."""

import csv
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

SUBJECTS = {
    "garden": ["rose", "soil", "seed", "tulip", "compost", "hedge", "lawn", "orchid"],
    "space": ["rocket", "orbit", "lunar", "comet", "probe", "nebula", "telescope", "saturn"],
    "kitchen": ["bread", "butter", "roast", "spice", "noodle", "ginger", "oven", "pastry"],
}
PROJECT = """name: reader
now: 2026-02-01T00:00:00Z
entities:
  item: {key: item_id, type: int}
  user: {key: user_id, type: string}
events:
  item_published:
    max_lateness: 90d
    attributes: {item_id: {type: int}, title: {type: string, required: false}}
  click: {max_lateness: 90d, attributes: {user_id: {type: string}, item_id: {type: int}}}
feature_views:
  item_text: {entity: item, extract: {from: item_published, reads: [title], with: isthmus.text, parameters: {dimensions: 4}}}
  user_taste: {entity: user, profile: {of: item_text, by: click, window: 3d}}
"""
START = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = {
    "item_published": ("event_id", "event_timestamp", "item_id", "title"),
    "click": ("event_id", "event_timestamp", "user_id", "item_id"),
}


def moment(minutes):
    """Return a time so many minutes after the log's start, as a file of CSV has it."""
    return f"{START + timedelta(minutes=minutes):%Y-%m-%d %H:%M:%S}"


def title(chance, subject):
    """Return three words on a subject."""
    return " ".join(chance.sample(SUBJECTS[subject], 3))


def items(count, seed=1):
    """Return events of published items, and each item's subject."""
    chance = random.Random(seed)
    subjects = [chance.choice(list(SUBJECTS)) for _ in range(count)]
    rows = [
        (f"p{number}", moment(number), number, title(chance, subject))
        for number, subject in enumerate(subjects)
    ]
    return rows, subjects


def clicks(count, published, seed=2):
    """Return clicks of ten people on items, some of them before the item was published."""
    chance = random.Random(seed)
    return [
        (
            f"c{number}",
            moment(chance.randrange(20_000)),
            f"u{chance.randrange(10)}",
            chance.randrange(published),
        )
        for number in range(count)
    ]


def write(folder, event, rows):
    """Write an event's rows as the file that its source reads."""
    with Path(folder, "data", f"{event}.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS[event], *rows])


def create(folder, project=PROJECT, published=300, clicked=400):
    """Write the project with its sources and events into a folder."""
    for part in ("data", "sources"):
        (folder / part).mkdir(parents=True)
    (folder / "project.yaml").write_text(project)
    for event, names in COLUMNS.items():
        read = ", ".join(
            "event_timestamp AT TIME ZONE 'UTC' AS event_timestamp"
            if name == "event_timestamp"
            else name
            for name in names
        )
        (folder / "sources" / f"{event}.sql").write_text(
            f"SELECT {read} FROM read_csv('data/{event}.csv', types = {{'event_id': 'VARCHAR'}})\n"
        )
    write(folder, "item_published", items(published)[0])
    write(folder, "click", clicks(clicked, published))
    return folder
