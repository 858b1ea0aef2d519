"""A small shop with people, of which everything is known: `isthmus init NAME` runs it; `python world.py 7` makes another one.

200 visitors come for 28 days, a few of them often. A session shows 5 to 20 of 120 items, all at once, in random order. Whether a row is
clicked depends on the visitor (some like everything), on the item, on their tastes, and on the place; a click comes within minutes, and
some clicks become purchases within days. Whoever clicks stays for a while: long at most items, seconds at bait, which is clicked much. Only
the standard library: the same seed makes the same shop everywhere.
"""
import csv
import sys
from datetime import datetime, timedelta
from math import exp, log
from pathlib import Path
from random import Random

START, DAYS = datetime(2026, 2, 1), 28
VISITORS, ITEMS, CATEGORIES = 200, 120, 6
LIKING, WORTH, TASTE = 1.2, 0.6, 0.8     # the true effects, in log-odds: spread of visitors, spread of items, a favourite category
BASE, PLACE = -2.2, -0.03                # log-odds of a click in the first place, and what each place further down takes off
KINDS = {"organic": 0.85, "ad": 0.12, "recalled": 0.03}                     # of items; a recalled item is shown and should not be
BAIT = 0.6                               # of the items whose worth is above half a spread: much clicked and soon left
STAY, BAIT_STAY, LONGEST = 45, 6, 1200   # seconds that a click leads to: the medians, and what no stay exceeds
ITEM_SPREAD, STAY_SPREAD = 0.5, 1.1      # of the logarithm of a stay: of the items' medians, and of one item's stays
COUNTRIES = {"JP": 0.6, "TW": 0.25, "US": 0.15}


def logistic(score):
    return 1 / (1 + exp(-score))


def draw(random, shares):
    return random.choices(list(shares), weights=shares.values())[0]


def items(random):
    return [
        {"item_id": number, "category": number % CATEGORIES, "price": round(random.lognormvariate(3, 0.5), 2), "item_kind": draw(random, KINDS),
         "worth": random.gauss(0, WORTH)}
        for number in range(ITEMS)
    ]


def stays(catalogue, random):
    """The true median stay at each item in seconds, by item: nobody sees before a click which items are bait."""
    return {
        item["item_id"]: random.lognormvariate(0, ITEM_SPREAD)
        * (BAIT_STAY if item["worth"] > WORTH / 2 and random.random() < BAIT else STAY)
        for item in catalogue
    }


def visitors(random, count=VISITORS, prefix="v"):
    return [
        {"visitor_id": f"{prefix}{number:03d}", "country": draw(random, COUNTRIES), "liking": random.gauss(0, LIKING),
         "favourite": random.randrange(CATEGORIES), "sessions": 1 + int(random.expovariate(1 / 8))}
        for number in range(count)
    ]


def chance(visitor, item, position):
    """The true probability of a click."""
    taste = TASTE * (item["category"] == visitor["favourite"])
    return logistic(BASE + visitor["liking"] + item["worth"] + taste + PLACE * (position - 1))


def world(seed=0):
    """(items, impressions, clicks, purchases, stays), as lists of dicts; events in the order of their time."""
    random, apart = Random(seed), Random(f"stays {seed}")     # what stays draw changes nothing of the rest
    catalogue = items(random)
    medians = stays(catalogue, apart)
    impressions, clicks, purchases, left = [], [], [], []
    for visitor in visitors(random):
        for number in range(visitor["sessions"]):
            begin = START + timedelta(seconds=random.randrange(DAYS * 86_400 - 3600))
            session = f"{visitor['visitor_id']}-{number}"
            for position, item in enumerate(random.sample(catalogue, random.randint(5, 20)), 1):
                shown = {"event_id": f"{session}-{position}", "event_timestamp": begin, "visitor_id": visitor["visitor_id"],
                         "session_id": session, "item_id": item["item_id"], "position": position, "item_kind": item["item_kind"],
                         "country": visitor["country"]}
                impressions.append(shown)
                if random.random() >= chance(visitor, item, position):
                    continue
                clicked = begin + timedelta(seconds=1 + int(random.expovariate(1 / 60)))
                clicks.append({"event_id": f"c-{shown['event_id']}", "event_timestamp": clicked, "impression_id": shown["event_id"]})
                seconds = round(min(apart.lognormvariate(log(medians[item["item_id"]]), STAY_SPREAD), LONGEST), 1)
                left.append({"event_id": f"s-{shown['event_id']}", "event_timestamp": clicked + timedelta(seconds=seconds),
                             "impression_id": shown["event_id"], "seconds": seconds})
                bought = clicked + timedelta(seconds=int(random.expovariate(1 / 40_000)))
                if random.random() < 0.1 and bought < START + timedelta(days=DAYS):
                    purchases.append({"event_id": f"p-{shown['event_id']}", "event_timestamp": bought, "impression_id": shown["event_id"],
                                      "visitor_id": visitor["visitor_id"], "item_id": item["item_id"], "amount": item["price"]})
    logs = (sorted(events, key=lambda event: event["event_timestamp"]) for events in (impressions, clicks, purchases, left))
    return catalogue, *logs


def write(folder, seed=0):
    """data/items.csv and the four logs. The true worth of an item is nobody's to know, so it is not written."""
    catalogue, *logs = world(seed)
    shelf = [{name: value for name, value in item.items() if name != "worth"} for item in catalogue]
    folder.mkdir(exist_ok=True)
    for name, rows in zip(("items", "impressions", "clicks", "purchases", "stays"), (shelf, *logs)):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, rows[0])
            table.writeheader()
            table.writerows(rows)


if __name__ == "__main__":
    write(Path(__file__).parent / "data", int(sys.argv[1]) if len(sys.argv) > 1 else 0)
