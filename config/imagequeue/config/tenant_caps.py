"""What one tenant may spend, as the configuration says it."""

from pydantic import BaseModel, ConfigDict

from imagequeue.config.money import NanoUsd, parse_usd
from imagequeue.config.orgs import Dollars


class TenantCaps(BaseModel):
    """What one tenant may spend: per UTC day, per calendar month, for ever, and on any one job. None is no cap."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    day_usd: Dollars | None = None
    month_usd: Dollars | None = None
    total_usd: Dollars | None = None
    job_usd: Dollars | None = None

    @property
    def day_nano_usd(self) -> NanoUsd | None:
        """The cap per day in nano-dollars."""
        return None if self.day_usd is None else parse_usd(self.day_usd)

    @property
    def month_nano_usd(self) -> NanoUsd | None:
        """The cap per month in nano-dollars."""
        return None if self.month_usd is None else parse_usd(self.month_usd)

    @property
    def total_nano_usd(self) -> NanoUsd | None:
        """The cap over all time in nano-dollars."""
        return None if self.total_usd is None else parse_usd(self.total_usd)

    @property
    def job_nano_usd(self) -> NanoUsd | None:
        """The most that one job may cost with all its attempts, in nano-dollars."""
        return None if self.job_usd is None else parse_usd(self.job_usd)
