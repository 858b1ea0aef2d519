"""Words by which logs name their columns, in English, German and Japanese."""

from __future__ import annotations

import re
import unicodedata

from ...project.reading.names import neutral

_GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})

WORDS = {
    "id": """event_id id uuid message_id row_id log_id ereignis_id vorgang_id
        イベントid 行id""",
    "time": """event_timestamp timestamp event_time time datetime created_at occurred_at shown_at
        ts date day zeitstempel zeitpunkt zeit datum uhrzeit 日時 時刻 日付 タイムスタンプ 時間""",
    "user": """user visitor customer client member person viewer reader listener account cookie
        shopper buyer nutzer benutzer kunde kunden besucher leser mitglied konto
        ユーザー ユーザ 利用者 会員 顧客 お客様 訪問者 読者 視聴者""",
    "item": """item product article content video movie film track song sku asin listing ad post
        news book recipe document artikel produkt inhalt ware titel beitrag buch anzeige rezept
        商品 アイテム 記事 製品 作品 コンテンツ 動画 曲 広告 本""",
    "request": """request session search query slate list page_view pageview visit impression
        anfrage sitzung suche liste besuch リクエスト セッション 検索 要求 訪問""",
    "position": """position rank slot place pos index platz rang stelle 位置 順位 表示順 掲載順""",
    "outcome": """clicked click is_click label converted conversion purchased purchase bought buy
        liked like opened watched played ordered order rating stars score dwell dwell_time
        watch_time reward geklickt klick gekauft kauf bestellt bewertung sterne verweildauer
        クリック 購入 購買 評価 注文 滞在時間 高評価""",
    # numbers that are added up though nobody said so, in a file of outcomes
    "amount": """rating stars dwell dwell_time watch_time reward bewertung sterne verweildauer
        評価 滞在時間""",
    "kind": """event event_type type action event_name kind ereignis aktion art
        イベント 種別 行動 アクション""",
}
SHOWN = {"view", "views", "impression", "show", "shown", "display", "exposure", "seen", "pv"}
FOLLOWED = (
    *("click", "purchase", "transaction", "buy", "order", "addtocart", "add_to_cart"),
    *("cart", "like", "play", "fav", "conversion"),
)
TRUE = {"true", "yes", "y", "t", "1", "ja", "j", "wahr", "はい", "有", "あり"}
FALSE = {"false", "no", "n", "f", "0", "nein", "falsch", "いいえ", "無", "なし"}
# attributes that have no name in SQL's letters
_ATTRIBUTES = {
    "カテゴリ": "category",
    "カテゴリー": "category",
    "分類": "category",
    "ジャンル": "genre",
    "端末": "device",
    "デバイス": "device",
    "機種": "device",
    "価格": "price",
    "値段": "price",
    "国": "country",
    "地域": "region",
    "都道府県": "prefecture",
    "年齢": "age",
    "性別": "gender",
    "言語": "language",
    "題名": "title",
    "タイトル": "title",
    "ブランド": "brand",
    "金額": "amount",
    "数量": "quantity",
    "ページ": "page",
    "曜日": "weekday",
    "評価": "rating",
    "星": "stars",
    "滞在時間": "dwell",
}
# names of columns whose role is known and that have none in SQL's letters
_STANDARD = {"user": "user_id", "item": "item_id", "request": "request_id", "position": "position"}
_SUFFIX = re.compile(r"(_?(id|nr|no|nummer|number|key|code|hash)|id|番号|コード|の)$")


def plain(name: str) -> str:
    """Return a column's name in lower snake case, to be compared with lists of known words.

    The type in a name such as RecBole's `user_id:token` is cut off.
    """
    text = unicodedata.normalize("NFKC", name).strip()
    text = re.sub(r":(token|float|token_seq|float_seq)$", "", text)  # RecBole's types
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text).lower().translate(_GERMAN)
    return re.sub(r"[\W_]+", "_", text).strip("_")


def is_id(name: str) -> bool:
    """Return whether a column's name looks like that of an id, such as `user_id`."""
    return _SUFFIX.search(plain(name)) is not None


def is_outcome_id(name: str) -> bool:
    """Return whether a column's name is that of an outcome's id: `order_id`, but not `paid`."""
    text = plain(name)
    return is_id(name) and (without_id(text) != text or likeness("outcome", name) > 0)


def without_id(name: str) -> str:
    """Return an id column's name without its ending: `item` for `item_id`."""
    return re.sub(r"_(id|nr|no|nummer|number|key|code|hash)$", "", name)


def likeness(role: str, name: str) -> int:
    """Return how well a column's name fits a role, from 0 (not at all) to 3 (exactly)."""
    words, text = WORDS[role].split(), plain(name)
    stem = _SUFFIX.sub("", text)
    if text in words:
        return 3
    if stem in words:
        return 2
    parts = stem.split("_")
    # the last part says what it is: a user_feature is no user; a time may have its zone behind it
    heads = parts if role == "time" else parts[-1:]
    by_part = any(word in heads for word in words if len(word) > 2)
    in_script = any(word in stem for word in words if not word.isascii())
    return int(by_part or in_script)


def attribute_name(name: str, role: str | None = None) -> str:
    """Return the attribute's name in project.yaml for a column, "" if none can be made."""
    text = plain(name)
    if text.isascii():
        return neutral(text)
    if role in _STANDARD:
        return _STANDARD[role]
    return _ATTRIBUTES.get(text) or neutral(unicodedata.normalize("NFKD", text))
