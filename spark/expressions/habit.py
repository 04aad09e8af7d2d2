"""Is it somebody's working day? A rhythm of once a day that a person keeps, or starts. No Spark.

A page that is opened each morning comes every 24 hours, and so looks like a timer. But a timer's
jitter adds up from day to day, so that its time of day wanders; and it knows no weekends.
"""

from __future__ import annotations

import numpy as np

from spark.expressions.rhythm import DAY, HOUR, Floats

SHORTEST, LONGEST = 20 * HOUR, 28 * HOUR
"""Seconds of a period that is a day's."""
EXACT, VAGUE = 120.0, 3 * HOUR
"""Standard deviations of the time of day, in seconds: below by a clock, above at no set time."""
WANDERS = 0.9
"""Standard deviation over the root mean square of the steps between days: 0.7 for times that have
nothing to do with those of the day before, and 1.4 or more for twelve days of a timer's."""
WEEK, FREE = 7, 2
MISSED = 3
"""Free days that must lie between first and last time: fewer may be chance."""


def keeps_working_days(times: Floats, period: float) -> bool:
    """Whether ascending times (seconds) with this period are of a person's working days.

    Once a day, at about the same time of day, and never on two neighbouring days of the week.
    """
    if not SHORTEST <= period <= LONGEST or len(times) < WEEK:
        return False
    angles = times * (2 * np.pi / DAY)
    middle = float(np.arctan2(np.sin(angles).mean(), np.cos(angles).mean())) * DAY / (2 * np.pi)
    # Days that begin half a day away from the usual time, so that none is cut in two.
    days, seconds = np.divmod(times - middle + DAY / 2, DAY)
    spread = float(seconds.std())
    steps = float(np.sqrt(np.mean(np.diff(seconds) ** 2)))
    if not EXACT < spread < VAGUE or spread > WANDERS * steps:
        return False
    between = np.arange(days[0], days[-1] + 1)
    used = set((days % WEEK).tolist())
    free = [day for day in range(WEEK) if day not in used]
    side_by_side = len(free) == FREE and (free[1] - free[0]) % WEEK in (1, WEEK - 1)
    return side_by_side and int(np.isin(between % WEEK, free).sum()) >= MISSED
