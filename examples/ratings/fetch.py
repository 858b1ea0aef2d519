"""Take MovieLens 100K out of a package of your index, and write it as this example's log: `python fetch.py`.

The data is the GroupLens project's. Its terms forbid redistribution and commercial use, so it is not in this repository; the package
recbole 1.2.1 carries a copy. Nothing is written before you have agreed (`--yes` agrees).
"""
import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from world import DATA, write_tables, written

PACKAGE, DIGEST = "recbole==1.2.1", "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
INSIDE = "recbole/dataset_example/ml-100k/ml-100k."
TERMS = """MovieLens 100K: 100,000 ratings of 1,682 films by 943 people, 1997-1998, collected by the GroupLens Research Project at the
University of Minnesota. Its terms: use it for research; acknowledge it; do not redistribute it; no commercial or revenue-bearing use
without permission. F. Maxwell Harper and Joseph A. Konstan, 2015, The MovieLens Datasets, ACM TiiS 5(4), doi 10.1145/2827872."""
LIKED = 4                                # stars, of five, from which a rating counts as a like


def download(folder):
    """Download the package's wheel into a folder by pip, and return its path once its digest is right."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:",
               "--dest", str(folder), PACKAGE]
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"pip could not download {PACKAGE}: its words are above")
    wheel = next(folder.glob("*.whl"))
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != DIGEST:
        sys.exit(f"{wheel.name} has the digest {digest}, not {DIGEST}: it is another file, and nothing was written")
    return wheel


def rows(archive, name):
    """Return the rows of one of the data set's tables, which are separated by tabs and have types in their heads."""
    head, *lines = archive.read(f"{INSIDE}{name}").decode().splitlines()
    names = [column.partition(":")[0] for column in head.split("\t")]
    return [dict(zip(names, line.split("\t"), strict=True)) for line in lines]


def convert(archive):
    """Return the example's tables by name: each rating is a viewing, and one of four stars or more a like a second later."""
    ratings = sorted(rows(archive, "inter"), key=lambda row: (float(row["timestamp"]), int(row["user_id"]), int(row["item_id"])))
    viewings, likes = [], []
    for number, row in enumerate(ratings):
        at = datetime.fromtimestamp(float(row["timestamp"]), UTC)
        who = {"user_id": row["user_id"], "item_id": row["item_id"]}
        viewings.append({"event_id": f"v{number}", "event_timestamp": written(at), **who})
        if float(row["rating"]) >= LIKED:
            likes.append({"event_id": f"l{number}", "event_timestamp": written(at + timedelta(seconds=1)), "viewing_id": f"v{number}", **who})
    before = written(datetime.fromtimestamp(float(ratings[0]["timestamp"]), UTC) - timedelta(days=1))
    published = [
        {"event_id": f"i{row['item_id']}", "event_timestamp": before, "item_id": row["item_id"],
         "title": " ".join(filter(None, (row["movie_title"], row["class"])))}
        for row in rows(archive, "item")
    ]
    users = [{"user_id": row["user_id"], "age": row["age"], "occupation": row["occupation"]} for row in rows(archive, "user")]
    return {"published": published, "viewings": viewings, "likes": likes, "users": users}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--yes", action="store_true", help="agree to the terms without being asked")
    agreed = parser.parse_args().yes
    print(TERMS)
    if not agreed and input("Download it and use it under these terms? [y/N] ").strip().lower() not in {"y", "yes"}:
        sys.exit("nothing was downloaded; `python world.py` makes a world of its own instead")
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(download(Path(folder))) as archive:
        print(write_tables(convert(archive)))


if __name__ == "__main__":
    main()
