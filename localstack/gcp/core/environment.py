"""The project and the account of every stack, and the ways into one as variables."""

from __future__ import annotations

import msgspec

# ours: Google's SDKs have no variable for all services. `isthmus ... --offline` uses the stack that
# it names
STACK = "GCP_ENDPOINT_URL"
PROJECT = "offline-project"
ACCOUNT = (
    f"offline@{PROJECT}.iam.gserviceaccount.com"  # who every caller is: the made-up service account
)


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """The ways into a stack, as variables."""

    door: dict[str, str]  # nothing in the code: these lead every client through the stack's door
    emulators: dict[str, str]  # the SDKs' own variables
    grpc_address: str
