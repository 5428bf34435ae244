"""Figures with which the simulated pedestrians are calibrated.

Computed from public German pedestrian count statistics (hourly counts of 111 high-street lines, winter; effects and
small-scale arrivals from further public counts), rounded. They are statistics; no count of any place is among them.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a street lives on; it decides the shape of its week."""

    GENERAL = "general"
    SHOPPING = "shopping"
    GASTRONOMY = "gastronomy"


# Mean passages of each hour of the local week, Monday first, in multiples of the mean hour; a day is two lines.
# fmt: off
WEEK: dict[Kind, tuple[tuple[float, ...], ...]] = {
    Kind.GENERAL: (
        (0.04, 0.02, 0.01, 0.01, 0.02, 0.04, 0.12, 0.33, 0.47, 0.76, 1.34, 1.82,
         2.28, 2.41, 2.22, 2.25, 2.29, 2.17, 1.67, 0.98, 0.43, 0.25, 0.16, 0.08),
        (0.04, 0.02, 0.01, 0.01, 0.01, 0.04, 0.13, 0.37, 0.53, 0.81, 1.30, 1.79,
         2.21, 2.37, 2.15, 2.22, 2.24, 2.22, 1.72, 1.04, 0.47, 0.28, 0.18, 0.09),
        (0.03, 0.08, 0.05, 0.04, 0.04, 0.05, 0.13, 0.34, 0.47, 0.74, 1.19, 1.60,
         2.06, 2.15, 1.98, 2.04, 2.14, 2.08, 1.67, 1.03, 0.47, 0.27, 0.19, 0.10),
        (0.05, 0.02, 0.01, 0.01, 0.02, 0.04, 0.12, 0.37, 0.51, 0.81, 1.38, 1.84,
         2.37, 2.53, 2.38, 2.54, 2.65, 2.48, 1.93, 1.18, 0.53, 0.30, 0.21, 0.13),
        (0.07, 0.04, 0.02, 0.02, 0.02, 0.04, 0.12, 0.31, 0.49, 0.87, 1.53, 2.10,
         2.56, 2.79, 2.81, 2.99, 3.12, 2.96, 2.46, 1.70, 0.84, 0.54, 0.47, 0.34),
        (0.23, 0.16, 0.10, 0.07, 0.06, 0.05, 0.05, 0.08, 0.19, 0.63, 1.63, 2.81,
         3.75, 4.46, 4.90, 5.15, 4.95, 4.19, 2.96, 1.95, 0.95, 0.61, 0.53, 0.41),
        (0.28, 0.21, 0.13, 0.10, 0.07, 0.06, 0.03, 0.04, 0.07, 0.14, 0.26, 0.40,
         0.52, 0.70, 0.81, 0.89, 0.94, 0.79, 0.58, 0.44, 0.29, 0.20, 0.13, 0.07),
    ),
    Kind.SHOPPING: (
        (0.02, 0.01, 0.01, 0.01, 0.01, 0.03, 0.09, 0.30, 0.46, 0.79, 1.36, 1.84,
         2.42, 2.56, 2.39, 2.44, 2.46, 2.25, 1.65, 0.90, 0.34, 0.16, 0.10, 0.05),
        (0.03, 0.01, 0.01, 0.01, 0.01, 0.03, 0.10, 0.31, 0.51, 0.88, 1.40, 1.83,
         2.41, 2.54, 2.25, 2.32, 2.35, 2.29, 1.74, 0.94, 0.34, 0.18, 0.12, 0.06),
        (0.02, 0.04, 0.03, 0.02, 0.02, 0.04, 0.10, 0.29, 0.45, 0.78, 1.31, 1.75,
         2.27, 2.34, 2.06, 2.13, 2.21, 2.18, 1.71, 0.94, 0.37, 0.19, 0.12, 0.06),
        (0.03, 0.01, 0.01, 0.01, 0.01, 0.03, 0.10, 0.30, 0.50, 0.91, 1.47, 1.98,
         2.58, 2.74, 2.55, 2.67, 2.75, 2.53, 1.86, 1.05, 0.40, 0.19, 0.13, 0.07),
        (0.04, 0.02, 0.01, 0.01, 0.01, 0.03, 0.10, 0.31, 0.50, 0.97, 1.70, 2.26,
         2.79, 2.99, 2.97, 3.14, 3.20, 3.04, 2.37, 1.43, 0.61, 0.35, 0.28, 0.18),
        (0.11, 0.08, 0.05, 0.03, 0.02, 0.03, 0.04, 0.09, 0.19, 0.74, 1.87, 3.27,
         4.31, 4.76, 5.12, 5.31, 4.96, 4.25, 2.96, 1.57, 0.73, 0.36, 0.30, 0.20),
        (0.14, 0.09, 0.06, 0.04, 0.03, 0.02, 0.02, 0.03, 0.04, 0.10, 0.18, 0.31,
         0.39, 0.52, 0.61, 0.68, 0.69, 0.58, 0.44, 0.29, 0.19, 0.12, 0.08, 0.04),
    ),
    Kind.GASTRONOMY: (
        (0.06, 0.03, 0.02, 0.02, 0.03, 0.05, 0.12, 0.38, 0.64, 0.86, 1.12, 1.48,
         1.90, 2.18, 1.94, 2.01, 2.08, 1.97, 1.75, 1.14, 0.64, 0.41, 0.30, 0.15),
        (0.07, 0.03, 0.02, 0.02, 0.02, 0.05, 0.15, 0.42, 0.68, 0.94, 1.11, 1.51,
         2.04, 2.35, 1.94, 1.94, 1.95, 2.06, 1.81, 1.23, 0.67, 0.42, 0.34, 0.18),
        (0.07, 0.16, 0.09, 0.07, 0.06, 0.07, 0.15, 0.39, 0.63, 0.85, 0.97, 1.38,
         1.88, 2.12, 1.89, 1.92, 1.96, 1.97, 1.68, 1.17, 0.69, 0.43, 0.33, 0.20),
        (0.10, 0.04, 0.02, 0.02, 0.03, 0.05, 0.15, 0.41, 0.69, 0.94, 1.25, 1.68,
         2.29, 2.47, 2.23, 2.37, 2.38, 2.28, 1.96, 1.37, 0.75, 0.46, 0.38, 0.24),
        (0.12, 0.07, 0.04, 0.04, 0.03, 0.05, 0.13, 0.39, 0.64, 0.98, 1.34, 1.83,
         2.35, 2.66, 2.57, 2.71, 2.89, 2.73, 2.38, 1.86, 1.15, 0.86, 0.84, 0.67),
        (0.41, 0.28, 0.19, 0.14, 0.10, 0.08, 0.07, 0.10, 0.23, 0.63, 1.44, 2.38,
         3.35, 4.03, 4.29, 4.36, 4.00, 3.43, 2.82, 2.08, 1.28, 0.96, 0.93, 0.75),
        (0.54, 0.36, 0.24, 0.18, 0.13, 0.09, 0.05, 0.05, 0.08, 0.18, 0.32, 0.50,
         0.67, 0.89, 1.10, 1.18, 1.18, 0.98, 0.82, 0.68, 0.51, 0.34, 0.23, 0.12),
    ),
}
# fmt: on

DAILY_MEAN = 17_000
"""Passages per day of the median line, all days of the week taken together."""


@dataclass(frozen=True, slots=True)
class Variation:
    """How far the passages of an hour or a day stray from what is usual there at that time.

    The hourly law is variance = `poisson` * mean + `proportional` * mean**2, with the day's level given.
    """

    poisson: float = 2.3
    proportional: float = 0.02
    hour_correlation: tuple[float, ...] = (0.64, 0.43, 0.27)
    """Of the deviations of hours that are 1, 2 and 3 apart."""
    same_hour_next_day: float = 0.13
    same_hour_next_week: float = 0.07
    day_log_sd: float = 0.10
    sunday_log_sd: float = 0.13
    day_correlation: float = 0.25
    within_city: float = 0.8
    """Correlation of the day factors of two lines in one city."""


VARIATION = Variation()

HOLIDAY_FACTOR = 0.45
"""A public holiday against the same day of the week."""

IN_SHARE_RANGE = (0.47, 0.54)
DIRECTION_DISPERSION = (1.65, 2.8)
"""Variance of the passages in one direction against independent choices (people walk in groups)."""
DIRECTION_DRIFT = (0.10, -0.11)
"""Share of the morning's direction above its mean at 6 h and at 23 h, at the place where it is strongest."""

CHILD_SHARE = 0.04
CYCLIST_SHARE = 0.03
WHEELCHAIR_SHARE = 0.003
PRAM_SHARE = 0.012
"""The last two are estimates: no public count tells them apart."""

VARIANCE_IN_5_S = (1.5, 2.6)
"""Variance over mean of the passages in 5 seconds."""
GAPS_BELOW_1_S = (0.42, 0.53)
"""Share of the gaps between passages that are shorter than a second, in a busy street."""
PERSONS_IN_GROUPS = (0.22, 0.46)

OUTAGES_PER_YEAR = 0.32
OUTAGE_DAYS = ((0.0, 0.2), (0.25, 1.0), (0.5, 2.0), (0.75, 7.0), (0.9, 28.4), (0.95, 45.8), (0.99, 65.0), (1.0, 123.0))
"""Quantiles of an outage's length in days: (share of the outages that are shorter, days)."""
