"""Twelve logs of twelve shapes, of one simulated site whose truth is known.

`python -m isthmus.tests.lifecycle.start.sample_logs FOLDER` writes them all.
"""

import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

SEED = 26
REQUESTS, LIST = 700, 5
CATEGORIES = ("sport", "politics", "culture", "travel")
DEVICES = ("phone", "desktop")
GERMAN = {
    "request_id": "sitzung",
    "user_id": "kunden_nr",
    "item_id": "Artikel-Nr",
    "ts": "Zeitpunkt",
    "category": "kategorie",
    "device": "gerät",
    "position": "rang",
    "price": "preis",
    "clicked": "geklickt",
}
JAPANESE = {
    "request_id": "セッションID",
    "user_id": "利用者ID",
    "item_id": "商品ID",
    "ts": "日時",
    "category": "カテゴリ",
    "device": "端末",
    "position": "表示順",
    "clicked": "クリック",
}


def site(seed=SEED):
    """Return the log of the site: a row for each article that was shown in a list."""
    random = np.random.default_rng(seed)
    worth = random.normal(0, 0.8, 40)
    category = random.integers(0, len(CATEGORIES), 40)
    rows = []
    begins = pd.Timestamp("2025-03-01T06:00:00Z")
    for request in range(REQUESTS):
        user, device = int(random.integers(0, 60)), int(random.integers(0, 2))
        shown = begins + pd.Timedelta(seconds=int(request * 2400 + random.integers(0, 2000)))
        for position, item in enumerate(random.choice(40, LIST, replace=False), 1):
            logit = -1.1 + worth[item] - 0.15 * position + 0.4 * device * (category[item] == 0)
            clicked = int(random.random() < 1 / (1 + np.exp(-logit)))
            rows.append(
                {
                    "request_id": f"r{request:05d}",
                    "user_id": f"u{user}",
                    "item_id": f"a{item}",
                    "ts": shown,
                    "category": CATEGORIES[category[item]],
                    "device": DEVICES[device],
                    "position": position,
                    "price": round(1 + item / 4, 2),
                    "clicked": clicked,
                }
            )
    return pd.DataFrame(rows)


def iso(times):
    return times.dt.strftime("%Y-%m-%dT%H:%M:%SZ")


def english_csv(folder):
    log = site().drop(columns="price")
    log["ts"] = iso(log["ts"])
    return [_csv(log, folder / "views.csv")]


def english_parquet_in_another_order(folder):
    log = site()[["clicked", "device", "ts", "item_id", "user_id", "category", "request_id"]]
    path = folder / "log.parquet"
    log.assign(clicked=log["clicked"].astype(bool)).to_parquet(path)
    return [path]


def english_json_lines_packed(folder):
    log = site()
    log["ts"] = log["ts"].astype("int64") // 10 ** (9 if log["ts"].dt.unit == "ns" else 6)
    path = folder / "events.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in log.to_dict("records"))
    return [path]


def german_csv_with_commas_and_local_times(folder):
    log = site().rename(columns=GERMAN)
    log["Zeitpunkt"] = log["Zeitpunkt"].dt.strftime("%d.%m.%Y %H:%M")
    log["preis"] = log["preis"].map(lambda price: f"{price:.2f}".replace(".", ","))
    log["geklickt"] = log["geklickt"].map({0: "nein", 1: "ja"})
    return [_csv(log, folder / "protokoll.csv", sep=";", encoding="cp1252")]


def japanese_csv_of_shift_jis(folder):
    log = site().drop(columns="price").rename(columns=JAPANESE)
    log["日時"] = log["日時"].dt.strftime("%Y年%m月%d日 %H:%M")
    log["カテゴリ"] = log["カテゴリ"].map(
        dict(zip(CATEGORIES, ("スポーツ", "政治", "文化", "旅行"), strict=True))
    )
    return [_csv(log, folder / "表示ログ.csv", encoding="shift_jis")]


def japanese_tsv_of_utf_16(folder):
    log = site().drop(columns="price").rename(columns=JAPANESE)
    log["日時"] = log["日時"].dt.strftime("%Y/%m/%d %H:%M:%S")
    return [_csv(log, folder / "log.tsv", sep="\t", encoding="utf-16")]


def epoch_milliseconds_without_lists(folder):
    log = site()[["user_id", "item_id", "ts", "device", "clicked"]]
    unit = 10**6 if log["ts"].dt.unit == "ns" else 10**3
    log = log.assign(ts=log["ts"].astype("int64") // unit).rename(
        columns={"ts": "timestamp", "user_id": "visitor", "item_id": "sku", "clicked": "label"}
    )
    return [_csv(log, folder / "impressions.csv")]


def clicks_in_a_second_file(folder):
    log = site()
    log["ts"] = iso(log["ts"])
    log.insert(0, "impression_id", [f"i{n}" for n in range(len(log))])
    clicks = log[log["clicked"] == 1]
    later = pd.to_datetime(clicks["ts"]) + pd.Timedelta(seconds=40)
    clicks = pd.DataFrame({"impression_id": clicks["impression_id"], "clicked_at": iso(later)})
    return [
        _csv(log.drop(columns="clicked"), folder / "impressions.csv"),
        _csv(clicks, folder / "clicks.csv"),
    ]


def purchases_of_a_second_file_by_user_and_item(folder):
    log = site().drop(columns="request_id")
    bought = log[log["clicked"] == 1]
    orders = pd.DataFrame(
        {
            "customer": bought["user_id"],
            "product": bought["item_id"],
            "date": iso(bought["ts"] + pd.Timedelta(hours=5)),
            "amount": bought["price"],
        }
    )
    views = log.drop(columns="clicked").rename(
        columns={"user_id": "customer", "item_id": "product"}
    )
    views.to_parquet(folder / "views.parquet")
    return [folder / "views.parquet", _csv(orders, folder / "orders.csv")]


def kinds_of_events_in_one_file(folder):
    log = site()
    seen = log.assign(event="view")[["ts", "user_id", "event", "item_id", "category"]]
    hits = log[log["clicked"] == 1].assign(event="transaction")
    hits = hits.assign(ts=hits["ts"] + pd.Timedelta(minutes=7))[seen.columns]
    events = pd.concat([seen, hits]).sort_values("ts", kind="stable")
    events["ts"] = iso(events["ts"])
    return [_csv(events, folder / "events.csv")]


def stars_as_grades(folder):
    log = site()
    random = np.random.default_rng(SEED + 1)
    stars = np.where(
        log["clicked"] == 1, random.integers(4, 6, len(log)), random.integers(1, 5, len(log))
    )
    log = log.assign(rating=stars)[["user_id", "item_id", "ts", "category", "rating"]]
    log["ts"] = iso(log["ts"])
    return [_csv(log.rename(columns={"item_id": "movie_id"}), folder / "ratings.csv")]


def broken_lines_and_a_bad_time(folder):
    log = site().drop(columns="price")
    log["ts"] = iso(log["ts"])
    path = _csv(log, folder / "views.csv")
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[100] = lines[100].rpartition(",")[0]  # a field is missing
    lines[200] = lines[200].replace("2025-", "yesterday-", 1)
    lines[300] = '"' + lines[300]  # a quote that is never closed
    path.write_text("\ufeff" + "\r\n".join(lines) + "\r\n", encoding="utf-8")
    return [path]


def _csv(log, path, *, sep=",", encoding="utf-8"):
    log.to_csv(path, index=False, sep=sep, encoding=encoding, lineterminator="\n")
    return path


SHAPES = {
    shape.__name__: shape
    for shape in (
        english_csv,
        english_parquet_in_another_order,
        english_json_lines_packed,
        german_csv_with_commas_and_local_times,
        japanese_csv_of_shift_jis,
        japanese_tsv_of_utf_16,
        epoch_milliseconds_without_lists,
        clicks_in_a_second_file,
        purchases_of_a_second_file_by_user_and_item,
        kinds_of_events_in_one_file,
        stars_as_grades,
        broken_lines_and_a_bad_time,
    )
}

if __name__ == "__main__":
    for name, write in SHAPES.items():
        place = Path(sys.argv[1], name)
        place.mkdir(parents=True)
        print(*write(place))
