"""Amazon SageMaker's optional protocols: options, prices, adoption and more.

Each is imported when it is first used.

They stand above all other folders of the adapter; `ADAPTER` names them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ....endpoints.port import Adopter, VariantSpec
    from ....pipelines.port import StepSpec
    from ....project.reading.shapes import RecordKey
    from ....target import Estimate, FirstAccount, Profile, RunPrices, Target, Untagged
    from ..resources.native import SageMakerObjects


class Options:
    """See target.Configured."""

    def keys(self) -> Mapping[str, RecordKey]:
        """Return the options that a target of this adapter takes in profiles.yaml, by name."""
        from ..options import KEYS

        return KEYS


class Place:
    """See target.Located."""

    def place(self, target: Target) -> str:
        """Return the account, region and bucket as text for a command's first line."""
        from ..session import where

        return where(target)


class Prices:
    """See target.Priced."""

    def estimate(self, profile: Profile, variants: Sequence[VariantSpec]) -> Estimate:
        """Estimate the USD that endpoint variants cost an hour under a profile."""
        from ..resources.prices import estimate

        return estimate(profile, variants)

    def refresh(self, target: Target) -> None:
        """Fetch and cache AWS's own price list for this user, unless that was done this week."""
        from ..resources.price_list import ask

        ask(target)

    def scan_price(self, profile: Profile) -> Decimal | None:
        """Return the USD that a query costs for each TB it reads; None where that is unknown."""
        from ..resources.prices import scanning

        return scanning(profile)

    def count_price(self, profile: Profile) -> Decimal | None:
        """Return the USD for counting a million endpoint answers; None where that is unknown."""
        from ..resources.prices import counting

        return counting(profile)


class JobPrices:
    """See target.JobsPriced."""

    def run_prices(self, profile: Profile, steps: Sequence[StepSpec]) -> RunPrices:
        """Return the USD an hour of each step's machine in the profile's region."""
        from ..resources.job_prices import run_prices

        return run_prices(profile, steps)

    def billed_seconds(self, target: Target, run_id: str) -> Mapping[str, float]:
        """Return the seconds that SageMaker bills of a run's ended jobs, by the step's name."""
        from ..pipelines.billing import billed_seconds

        return billed_seconds(target, run_id)


class Adoption:
    """See target.Adoptable."""

    def adopter(self, target: Target) -> Adopter:
        """Return the object that adopts endpoints that run at SageMaker and were made elsewhere."""
        from ..endpoints.adoption import SageMakerAdopter

        return SageMakerAdopter(target)


class TagSearch:
    """See target.TagsSearched."""

    def untagged(self, target: Target) -> Untagged:
        """Return the AWS resources that bear the project's name and lack its tags."""
        from ..resources.untagged import untagged

        return untagged(target)


class NativeObjects:
    """See target.Native."""

    def objects(self, target: Target) -> SageMakerObjects:
        """Return an accessor of the SageMaker SDK's objects by the project's names."""
        from ..resources.native import SageMakerObjects

        return SageMakerObjects(target)


class AccountChecks:
    """See target.AccountChecked."""

    def first_account(self) -> FirstAccount:
        """Return the checks of an AWS account before its first use, and a trial's settings."""
        from ..resources.first_account import FIRST

        return FIRST
