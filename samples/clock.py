"""Turns seconds since 1970 into New York time as 4chan prints it.

There need not be a time zone database.

>>> eastern(1561939200)
'06/30/19(Sun)20:00:00'
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

# Written out because the names of `strftime` follow the locale.
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def sunday(year: int, month: int, nth: int) -> datetime:
    """Return midnight UTC of the nth Sunday of a month."""
    first = datetime(year, month, 1, tzinfo=UTC)
    return first + timedelta(days=(6 - first.weekday()) % 7 + 7 * (nth - 1))


def eastern(seconds: int) -> str:
    """Return "MM/DD/YY(Day)HH:MM:SS"; summer time by the United States rule of 2007."""
    moment = datetime.fromtimestamp(seconds, UTC)
    begins = sunday(moment.year, 3, 2) + timedelta(hours=7)
    ends = sunday(moment.year, 11, 1) + timedelta(hours=6)
    local = moment - timedelta(hours=4 if begins <= moment < ends else 5)
    return f"{local:%m/%d/%y}({DAYS[local.weekday()]}){local:%H:%M:%S}"
