"""A world of people, titles and tastes of which everything is known: `python world.py` writes it as this example's log, `python world.py 7` another one.

300 people see 240 films over 60 days. A film has a subject, and its title has words of that subject. Whether somebody likes a film depends on
the film, on the person, and above all on whether its subject is one of theirs; half way some people change theirs. New films come out all the
time, and of those only the title is known. Only the standard library: the same seed makes the same world everywhere.
"""
import csv
import sys
from datetime import datetime, timedelta
from math import exp
from pathlib import Path
from random import Random

START, DAYS = datetime(1998, 2, 20), 60
PEOPLE, FILMS, VIEWINGS = 300, 240, 20_000
LIKING, WORTH, TASTE, BASE = 0.5, 0.4, 1.2, -0.1      # the true effects, in log-odds
NEW = 0.4                                             # of the films: they come out while the log runs
CHANGING = 0.3                                        # of the people: half way they have another favourite subject
SUBJECTS = {
    "space": "star orbit galaxy rocket moon planet comet alien",
    "sea": "ocean captain island wave harbour whale storm sail",
    "crime": "detective murder heist witness alibi police verdict thief",
    "love": "wedding kiss letter heart spring promise garden bride",
    "war": "soldier bridge battle general winter trench front siege",
    "music": "piano band opera tour singer violin chorus encore",
}
DATA = Path(__file__).parent / "data"                 # git-ignored
COMMON = "the last night city return story one day house road".split()


def written(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def films(random):
    """Return the films with their true worth; a title is three words of its subject and two that say nothing."""
    made = []
    for number in range(1, FILMS + 1):
        subject = random.choice(list(SUBJECTS))
        words = random.sample(SUBJECTS[subject].split(), 3) + random.sample(COMMON, 2)
        random.shuffle(words)
        out = START - timedelta(days=1) if random.random() >= NEW else START + timedelta(days=random.uniform(1, DAYS - 5))
        made.append({"item_id": number, "title": " ".join(words), "subject": subject, "worth": random.gauss(0, WORTH), "out": out})
    return made


def people(random):
    """Return the people with their true liking, and their favourite subject before and after the half."""
    made = []
    for number in range(1, PEOPLE + 1):
        first, other = random.sample(list(SUBJECTS), 2)
        made.append({"user_id": number, "liking": random.gauss(0, LIKING), "favourites": (first, other if random.random() < CHANGING else first),
                     "age": random.randrange(16, 80), "occupation": random.choice(["student", "writer", "nurse", "engineer"])})
    return made


def chance(person, film, moment):
    """Return the true probability that somebody who sees a film at a moment likes it."""
    favourite = person["favourites"][moment >= START + timedelta(days=DAYS / 2)]
    return 1 / (1 + exp(-(BASE + person["liking"] + film["worth"] + (TASTE if film["subject"] == favourite else -TASTE / 4))))


def world(seed=1):
    """Return the log's tables by name, as `fetch.py` writes them."""
    random = Random(seed)
    all_films, all_people = films(random), people(random)
    often = [random.expovariate(1) for _ in all_people]
    viewings, likes = [], []
    for number, second in enumerate(sorted(random.sample(range(DAYS * 86_400), VIEWINGS))):
        moment = START + timedelta(seconds=second)
        person = random.choices(all_people, often)[0]
        film = random.choice([film for film in all_films if film["out"] <= moment])
        who = {"user_id": person["user_id"], "item_id": film["item_id"]}
        viewings.append({"event_id": f"v{number}", "event_timestamp": written(moment), **who})
        if random.random() < chance(person, film, moment):
            likes.append({"event_id": f"l{number}", "event_timestamp": written(moment + timedelta(seconds=1)), "viewing_id": f"v{number}", **who})
    published = [
        {"event_id": f"i{film['item_id']}", "event_timestamp": written(film["out"]), "item_id": film["item_id"], "title": film["title"]}
        for film in sorted(all_films, key=lambda film: (film["out"], film["item_id"]))
    ]
    users = [{name: person[name] for name in ("user_id", "age", "occupation")} for person in all_people]
    return {"published": published, "viewings": viewings, "likes": likes, "users": users}


def write_tables(tables, folder=DATA):
    """Write tables of rows as CSV files of a folder, and return how many rows each has."""
    folder.mkdir(exist_ok=True)
    for name, table in tables.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(table[0]))
            writer.writeheader()
            writer.writerows(table)
    return ", ".join(f"{len(table):,} {name}" for name, table in tables.items())


def write(folder, seed=1):
    """Write the world's log into a folder: `isthmus init --example ratings` does."""
    return write_tables(world(seed), folder)


if __name__ == "__main__":
    print(write(DATA, *map(int, sys.argv[1:2])))
