"""Pure Column helpers and sub-scores: no DataFrame, no session, no clock.

Sub-scores lie in [0, 1] and are null when there is nothing to judge. Times are epoch seconds
(double), intervals are seconds, ratios have no unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from pyspark.sql import Column
from pyspark.sql import functions as F

NO_VALUE = ("", "-", "--", "(null)", "n/a", "na", "nan", "nil", "none", "null", "undefined")
"""Words that logs write where they mean that there is no value."""

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_FOUR_OCTETS = rf"^{_OCTET}(?:\.{_OCTET}){{3}}$"
_PLAIN = rf"^(?!0\.){_OCTET}(?:\.{_OCTET}){{3}}$"
"""What nearly all addresses look like; a quick look, so that only the others are taken apart."""
_IPV4 = (
    r"^(?:(?:::|(?:0{1,4}:){5})ffff:)?(?!0\.0\.0\.0)"
    rf"({_OCTET}(?:\.{_OCTET}){{3}})(?::\d{{1,5}})?$"
)
_IPV6 = r"^\[?((?=[0-9a-f]*:[0-9a-f]*:)[0-9a-f:]{2,39})(?:%[0-9a-z._-]+)?(?:\](?::\d{1,5})?)?$"
_EIGHT_GROUPS = r"^(?!(?:0:){7}0$)(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}$"
_PORT = r"^(?:\[[^\]]*\]|[^:\[\]/]+):(\d{1,5})$"
_HOST = (
    r"^(?:[a-z][a-z0-9+.-]*://)?(?:[^/?#@]*@)?"
    rf"(?!{_OCTET}(?:\.{_OCTET}){{3}}(?:$|[:/?#]))"
    r"([^/?#:@\[\]\s]+?)\.?(?::\d{1,5})?(?:[/?#].*)?$"
)
_PRIVATE_V4 = (
    r"^(?:10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|169\.254\.|"
    r"100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.)"
)
_PRIVATE_V6 = r"^f(?:[cd]|e[89ab])"
_NOT_UNICAST_V4 = r"^(?:0\.|127\.|2(?:2[4-9]|[345]\d)\.)"
_NOT_UNICAST_V6 = r"^(?:ff|0:0:0:0:0:0:0:[01]$)"

SMALLEST_STEP = 0.05
"""Seconds that a clock with fractions is trusted to."""


# --- values -----------------------------------------------------------------------------------


def let(value: Column, use: Callable[[Column], Column]) -> Column:
    """`use(value)`, with the value named once.

    A Column that is used twice is written out twice, and what is made of it again: a few steps
    on, the optimiser chews a tree of thousands of nodes. A lambda's variable is a name.
    """
    return F.get(F.transform(F.array(value), use), F.lit(0))


def words(column: str) -> Column:
    """The text of a column, trimmed; null where the log says in words that there is none."""
    text = F.trim(F.col(column).cast("string"))
    return F.when(~F.lower(text).isin(*NO_VALUE), text)


def found(text: Column, pattern: str) -> Column:
    """What the first group of a pattern matches; null when the text does not match."""
    match = F.regexp_extract(text, pattern, 1)
    return F.when(match != "", match)


def address(column: str | Column) -> Column:
    """The IP address in a column: no port, brackets or zone; IPv6 written out in eight groups.

    Null for host names, words and the unspecified address.
    """
    text = F.trim(column)
    lower = F.lower(text)
    v6 = F.when(lower.contains(":"), _written_out(F.regexp_extract(lower, _IPV6, 1)))
    return F.when(text.rlike(_PLAIN), text).otherwise(F.coalesce(found(lower, _IPV4), v6))


def addresses(text: str) -> Column:
    """Every IP address in a text that strings them together, as answers of DNS do; each once."""
    pieces = F.split(F.col(text), r"[\s,;\"'\[\]]+")
    return F.array_distinct(F.filter(F.transform(pieces, address), F.isnotnull))


def _written_out(v6: Column) -> Column:
    """`fe80::1` as `fe80:0:0:0:0:0:0:1`; null when it has not eight groups then."""
    missing = 8 - F.regexp_count(v6, F.lit("[0-9a-f]+"))
    zeros = F.concat(F.lit(":"), F.lit("0:" * 8).substr(F.lit(1), 2 * missing))
    full = F.trim(F.translate(F.replace(v6, F.lit("::"), zeros), ":", " "))
    short = F.regexp_replace(F.translate(full, " ", ":"), r"(^|:)0+(?=[0-9a-f])", "$1")
    return F.when(short.rlike(_EIGHT_GROUPS), short)


def hostname(column: str) -> Column:
    """The host name in a column that holds a name, `name:port` or a URL; null for addresses."""
    return found(F.lower(words(column)), _HOST)


def parents(name: str) -> Column:
    """A name and its parents of two labels or more, the last nine: a.b.c -> [a.b.c, b.c]."""
    labels = F.split(F.col(name), r"\.")
    first = F.greatest(F.lit(2), F.size(labels) - 9)
    below = F.filter(
        F.transform(
            F.sequence(first, F.greatest(first, F.size(labels) - 1)),
            lambda n: F.when(
                n < F.size(labels), F.array_join(F.slice(labels, n, F.size(labels)), ".")
            ),
        ),
        F.isnotnull,
    )
    return F.when(F.col(name).isNotNull(), F.concat(F.array(F.col(name)), below))


def url(column: str) -> Column:
    """A URL without scheme, user, fragment and last slashes; the host is in lower case."""
    text = F.regexp_replace(words(column), r"(?i)^(?:[a-z][a-z0-9+.-]*://)+(?:[^/?#@]*@)?", "")
    bare = F.regexp_replace(text, r"(?s)/*(?:#.*)?$", "")
    host = F.lower(F.regexp_extract(bare, r"^[^/?]*", 0))
    rest = bare.substr(F.length(host) + 1, F.length(bare))
    return F.when(host != "", F.concat(host, rest))


def port(column: str, beside: str | None = None) -> Column:
    """A port number, or the one written behind an address or a name in the column `beside`."""
    number = F.col(column).cast("int")
    if beside is not None:
        number = F.coalesce(number, F.regexp_extract(F.trim(beside), _PORT, 1).cast("int"))
    return F.when(number.between(0, 65535), number)


def is_private(ip: str) -> Column:
    """True for addresses that are not routed on the internet; null for null."""
    return F.col(ip).rlike(_PRIVATE_V4) | F.col(ip).rlike(_PRIVATE_V6)


def is_unicast(ip: str) -> Column:
    """False for multicast, broadcast, loopback and unspecified addresses; null for null."""
    return ~(F.col(ip).rlike(_NOT_UNICAST_V4) | F.col(ip).rlike(_NOT_UNICAST_V6))


def ipv4_number(ip: Column) -> Column:
    """An IPv4 address as a number, e.g. 10.0.0.1 -> 167772161; null for anything else."""
    octets = F.split(ip, r"\.")
    number = F.aggregate(
        octets, F.lit(0).cast("long"), lambda total, octet: total * 256 + octet.cast("long")
    )
    return F.when(ip.rlike(_FOUR_OCTETS), number)


def is_allowed(entry: str, times: str) -> Column:
    """Whether an allow-list's entry (its columns carry the prefix `entry`) covers a session.

    An entry names a destination, a source or both, a port if it likes, and may have expired
    before the last of the `times`.
    """
    wanted = F.col(f"{entry}port")
    port = wanted.isNull() | (wanted.cast("int") == F.col("DstPortNumber"))
    until = F.col(f"{entry}expires")
    last = F.element_at(times, -1)
    valid = until.isNull() | (until.cast("timestamp").cast("double") > last)
    destination = _names(F.col(f"{entry}destination"), "DstIpAddr", "DstHostname")
    source = _names(F.col(f"{entry}source"), "SrcIpAddr", "SrcHostname")
    says_what = F.coalesce(f"{entry}destination", f"{entry}source").isNotNull()
    return port & valid & destination & source & says_what


def _names(entry: Column, ip: str, name: str) -> Column:
    """Whether an address, an IPv4 network, a name or `*.example.com` means a host; null: any."""
    place = F.lower(F.trim(entry))
    network = F.split(place, "/")
    size = F.pow(F.lit(2), 32 - F.get(network, F.lit(1)).cast("int")).cast("long")
    low = ipv4_number(network[0])
    inside = F.floor(ipv4_number(F.col(ip)) / size) == F.floor(low / size)
    below = place.startswith("*.") & F.col(name).endswith(F.substring(place, 2, 255))
    means = F.array(place == F.col(ip), place == F.col(name), inside, below)
    return entry.isNull() | F.exists(means, lambda match: F.coalesce(match, F.lit(False)))


# --- arrays -----------------------------------------------------------------------------------


def intervals(times: str) -> Column:
    """Differences of neighbours in a sorted array: one element less, none for less than two."""
    steps = F.transform(times, lambda time, n: time - F.get(times, n - 1))
    return F.filter(steps, lambda step: step.isNotNull())


def middle(ordered: str) -> Column:
    """The median of a sorted array: the mean of the two middle elements; null when empty."""
    low = F.get(ordered, F.floor((F.size(ordered) - 1) / 2).cast("int"))
    high = F.get(ordered, F.floor(F.size(ordered) / 2).cast("int"))
    return (low + high) / 2


def deviations(values: str, center: str) -> Column:
    """Sorted absolute distances of an array's elements from a column."""
    return F.sort_array(F.transform(values, lambda value: F.abs(value - F.col(center))))


def mean(values: str) -> Column:
    """The mean of an array; null when empty."""
    total = F.aggregate(values, F.lit(0.0), lambda total, value: total + value)
    return F.when(F.size(values) > 0, total / F.size(values))


def spread(values: str, center: str) -> Column:
    """The standard deviation of an array around a column that holds its mean; null when empty."""
    squares = F.transform(values, lambda value: F.pow(value - F.col(center), 2))
    total = F.aggregate(squares, F.lit(0.0), lambda total, value: total + value)
    return F.when(F.size(values) > 0, F.sqrt(total / F.size(values)))


def commonest(values: str) -> Column:
    """The most frequent element of an array, the greater of two equally frequent; null if none."""
    known = F.filter(values, lambda value: value.isNotNull())
    counted = F.transform(
        F.array_distinct(known),
        lambda one: F.struct(
            F.size(F.filter(known, lambda other: other == one)), one.alias("Value")
        ),
    )
    return F.array_max(counted)["Value"]


def sample(times: str, most: int) -> Column:
    """At most `most` elements of an array, evenly chosen, the first always among them."""
    step = F.greatest(F.size(times) / F.lit(float(most)), F.lit(1.0))
    count = F.least(F.size(times), F.lit(most))
    places = F.transform(F.sequence(F.lit(1), count), lambda n: F.floor((n - 1) * step).cast("int"))
    chosen = F.transform(places, lambda place: F.get(times, place))
    return F.when(count > 0, chosen).otherwise(F.slice(times, 1, 0))


def duration(seconds: str) -> Column:
    """Seconds in words for people: 3.5 s, 5 min, 1.2 h."""
    value = F.col(seconds)
    units = F.when(value < 120, F.struct(value.alias("n"), F.lit("s").alias("unit"))).when(
        value < 7200, F.struct((value / 60).alias("n"), F.lit("min").alias("unit"))
    )
    picked = F.coalesce(units, F.struct((value / 3600).alias("n"), F.lit("h").alias("unit")))
    number = F.regexp_replace(F.format_string("%.1f", picked["n"]), r"\.0$", "")
    return F.concat_ws(" ", number, picked["unit"])


# --- sub-scores -------------------------------------------------------------------------------


def resolution(times: str) -> Column:
    """Seconds that a series' clock is good for: half a second when all times are whole ones."""
    has_fractions = F.exists(times, lambda time: time != F.floor(time))
    return F.when(has_fractions, SMALLEST_STEP).otherwise(0.5)


def relative_spread(mad: str, median: str, gap: float, step: str) -> Column:
    """Median deviation of the intervals over the part of their median that can be seen.

    Events up to `gap` seconds apart were taken for one, so every interval is longer than that:
    without the correction any burst looks regular at four seconds. A deviation smaller than
    the clock's `step` is not believed.
    """
    visible = F.col(median) - gap
    return F.when(visible > 0, F.greatest(F.col(mad), F.col(step)) / visible)


def regularity(relative: str, blind: float) -> Column:
    """1 for a clock, 0 when the relative spread reaches `blind` (0.69 for random arrivals)."""
    return _clip(1 - F.col(relative) / blind)


def steadiness(center: str, deviation: str, blind: float) -> Column:
    """1 when intervals do not vary, 0 when their deviation reaches `blind` times their mean."""
    return F.when(F.col(center) > 0, _clip(1 - F.col(deviation) / F.col(center) / blind))


def surprise(count: str, relative: str) -> Column:
    """How unlikely it is, in nats, that random arrivals look so regular.

    Of `count` intervals, half would have to fall by chance into the band that half of these fall
    into. A band of relative half-width r around the median of an exponential distribution has
    the probability p = (2^r - 2^-r) / 2 = sinh(r ln 2); by Chernoff's bound the chance is at
    most exp(-(count - 1) / 2 * -ln(4 p (1 - p))).
    """
    half_width = F.least(F.col(relative), F.lit(1.0))
    band = F.least(F.sinh(half_width * math.log(2)), F.lit(0.4999))
    return let(band, lambda p: (F.col(count) - 1) / 2 * -F.log(4 * p * (1 - p)))


def evidence(surprise: str, tries: Column, nats: float) -> Column:
    """0 for what chance explains, towards 1 by each further factor e^`nats`.

    With `tries` pairs that could have shown it, chance has as many tries.
    """
    return _clip(1 - F.exp((F.log(tries) - F.col(surprise)) / nats))


def constancy(mad: str, median: str) -> Column:
    """1 when sizes do not vary, 0 when their median deviation reaches a tenth of the median."""
    return F.when(F.col(median) > 0, _clip(1 - F.col(mad) / F.col(median) / 0.1))


def persistence(active: str, total: str) -> Column:
    """Share of the days in the data that a pair was active on; null below three days of data."""
    return F.when(F.col(total) >= 3, _clip(F.col(active) / F.col(total)))


def prevalence(talkers: str, hosts: str, least: int) -> Column:
    """(hosts that talk to a destination - 1) / (hosts - 1); null with fewer than `least` hosts."""
    share = (F.col(talkers) - 1) / (F.col(hosts) - 1)
    return F.when(F.col(hosts) >= least, _clip(share))


def rarity(peers: str, hosts: str, least: int) -> Column:
    """1 when one host shows a rhythm, 0 when a tenth of all hosts and one more show it.

    In between by the logarithm, so that the second host says more than the twentieth. Null
    with fewer than `least` hosts.
    """
    share = F.log(F.col(peers)) / F.log1p(F.col(hosts) / 10)
    return F.when(F.col(hosts) >= least, _clip(1 - share))


def focus(destinations: str) -> Column:
    """1 for a rhythm towards one or two places, 0 from eight on: monitoring, backups, scans."""
    return _clip(1 - F.log(F.col(destinations) / 2) / math.log(4))


def _clip(score: Column) -> Column:
    """A score in [0, 1]. Spark's greatest and least skip nulls: a null stays null here."""
    bounded = F.least(F.greatest(score, F.lit(0.0)), F.lit(1.0))
    return F.when(score.isNotNull() & ~F.isnan(score), bounded)
