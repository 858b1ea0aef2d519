"""The kinds of resources of the feature store, and their ids."""

from __future__ import annotations

import re

from ....core.resources.standard_methods import ResourceKind

_LONG = (re.compile(r"[a-z_][a-z0-9_]{0,127}"), "up to 128 of a-z, 0-9 and _, the first no digit")
_SHORT = (re.compile(r"[a-z_][a-z0-9_]{0,59}"), "up to 60 of a-z, 0-9 and _, the first no digit")

GROUP = ResourceKind(word="FeatureGroup", collection="featureGroups", ids=_LONG[0], rule=_LONG[1])
FEATURE = ResourceKind(word="Feature", collection="features", ids=_LONG[0], rule=_LONG[1])
STORE = ResourceKind(
    word="FeatureOnlineStore", collection="featureOnlineStores", ids=_SHORT[0], rule=_SHORT[1]
)
VIEW = ResourceKind(word="FeatureView", collection="featureViews", ids=_SHORT[0], rule=_SHORT[1])
SYNC = ResourceKind(
    word="FeatureViewSync", collection="featureViewSyncs", ids=re.compile(r"\d+"), rule="digits"
)
