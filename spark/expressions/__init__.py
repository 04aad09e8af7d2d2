"""Pure Column helpers and sub-scores: no DataFrame, no session, no clock.

Arithmetic per pair goes over Arrow batches: `series`, with `rhythm` and `pools`.

Sub-scores lie in [0, 1] and are null when there is nothing to judge. Times are epoch seconds
(double), intervals are seconds, ratios have no unit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from operator import or_

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
_URL_PORT = (
    r"(?i)^(?:[a-z][a-z0-9+.-]*://)?(?:[^/?#@]*@)?(?:\[[^\]]*\]|[^/?#:@\[\]\s]+)"
    r":(\d{1,5})(?:[/?#].*)?$"
)
_HOST = (
    r"^(?:[a-z][a-z0-9+.-]*://)?(?:[^/?#@]*@)?"
    rf"(?!{_OCTET}(?:\.{_OCTET}){{3}}(?:$|[:/?#]))"
    r"([^/?#:@\[\]\s]+?)\.?(?::\d{1,5})?(?:[/?#].*)?$"
)
_PRIVATE = ("10.", "192.168.", "169.254.")
_MAYBE_PRIVATE = ("172.", "100.", "f")
_PRIVATE_AMONG = (
    r"^(?:172\.(?:1[6-9]|2\d|3[01])\.|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|f(?:[cd]|e[89ab]))"
)
"""Of those that may be private the ones that are: an expression is asked about few addresses."""
_MAYBE_NOT_UNICAST = ("0", "127.", "2", "ff")
_NOT_UNICAST = r"^(?:0\.|127\.|2(?:2[4-9]|[345]\d)\.|ff|0:0:0:0:0:0:0:[01]$)"


# --- values -----------------------------------------------------------------------------------


def words(column: str | Column) -> Column:
    """The text of a column, trimmed; null where the log says in words that there is none."""
    named = F.col(column) if isinstance(column, str) else column
    text = F.trim(named.cast("string"))
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


def hostname(column: str | Column) -> Column:
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


def url_port(column: str) -> Column:
    """The port that a URL names, or else that of http or https; null for other schemes."""
    text = words(column)
    own = F.regexp_extract(text, _URL_PORT, 1).cast("int")
    scheme = F.lower(F.regexp_extract(text, r"^(\w+)://", 1))
    known = F.when(scheme == "https", 443).when(scheme == "http", 80)
    return F.when(own.between(0, 65535), own).when(own.isNull(), known)


def is_private(ip: str) -> Column:
    """True for addresses that are not routed on the internet; null for null."""
    among = _begins(ip, _MAYBE_PRIVATE) & F.col(ip).rlike(_PRIVATE_AMONG)
    return _begins(ip, _PRIVATE) | among


def is_unicast(ip: str) -> Column:
    """False for multicast, broadcast, loopback and unspecified addresses; null for null."""
    return ~(_begins(ip, _MAYBE_NOT_UNICAST) & F.col(ip).rlike(_NOT_UNICAST))


def _begins(text: str, starts: Sequence[str]) -> Column:
    return reduce(or_, (F.col(text).startswith(start) for start in starts))


def ipv4_number(ip: Column) -> Column:
    """An IPv4 address as a number, e.g. 10.0.0.1 -> 167772161; null for anything else."""
    octets = F.split(ip, r"\.")
    number = F.aggregate(
        octets, F.lit(0).cast("long"), lambda total, octet: total * 256 + octet.cast("long")
    )
    return F.when(ip.rlike(_FOUR_OCTETS), number)


def is_allowed(entry: str, last: str) -> Column:
    """Whether an allow-list's entry (its columns carry the prefix `entry`) covers a session.

    An entry names a destination, a source or both, a port if it likes, and may have expired
    before the time in `last` (epoch seconds).
    """
    wanted = F.col(f"{entry}port")
    port = wanted.isNull() | (wanted.cast("int") == F.col("DstPortNumber"))
    until = F.col(f"{entry}expires")
    valid = until.isNull() | (until.cast("timestamp").cast("double") > F.col(last))
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


def direction(source: str, destination: str) -> Column:
    """outbound, inbound, inside or outside, by the addresses; a name in place of one is outside."""
    from_inside = F.coalesce(is_private(source), F.lit(False))
    to_inside = F.coalesce(is_private(destination), F.lit(False))
    from_outside = F.when(to_inside, "inbound").otherwise("outside")
    return F.when(from_inside, F.when(to_inside, "inside").otherwise("outbound")).otherwise(
        from_outside
    )


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


def regularity(jitter: str) -> Column:
    """1 for a clock, 0 when intervals are off the period by all of it."""
    return _clip(1 - F.col(jitter))


def evidence(surprise: str, tries: Column, nats: float) -> Column:
    """0 for what life explains, towards 1 by each further factor e^`nats` of a likelihood.

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
    """1 / hosts that show a rhythm: the second says most. Null with fewer than `least` hosts."""
    return F.when(F.col(hosts) >= least, _clip(1 / F.col(peers)))


def focus(destinations: str) -> Column:
    """1 for a rhythm towards up to four places, 0 from sixteen on: monitoring, backups, scans."""
    return _clip(1 - F.log(F.col(destinations) / 4) / math.log(4))


def novelty(first: str, begin: str, days: float) -> Column:
    """0 for what has been there since the data began, 1 from `days` after that on."""
    return F.coalesce(_clip((F.col(first) - F.col(begin)) / (days * 86_400)), F.lit(0.0))


def _clip(score: Column) -> Column:
    """A score in [0, 1]. Spark's greatest and least skip nulls: a null stays null here."""
    bounded = F.least(F.greatest(score, F.lit(0.0)), F.lit(1.0))
    return F.when(score.isNotNull() & ~F.isnan(score), bounded)
