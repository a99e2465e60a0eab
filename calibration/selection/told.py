"""What a user tells of the frames' sites: `--telemetry SITE=FILE` and `--season SITE=NAME`."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from calibration.selection.request import ImageSource, named
from edge.errors import UsageError


def with_told(
    sources: tuple[ImageSource, ...], telemetry: Sequence[str], seasons: Sequence[str]
) -> tuple[ImageSource, ...]:
    """The sources with telemetry and season of their sites.

    A season is of all sources of its site. Frames are known to telemetry by their number in one
    flight, so a site of several sources takes one file for each, in their order.

    Args:
        sources: of frames.
        telemetry: texts SITE=FILE.
        seasons: texts SITE=NAME.

    Raises:
        UsageError: a text of another form, a site that no source has, a second season of a site, or
            another number of files than a site has sources.
    """
    sites = [source.site for source in named(sources)]
    files = _by_site("--telemetry", "FILE", telemetry, sites)
    of_site = _by_site("--season", "NAME", seasons, sites)
    for site, values in of_site.items():
        if len(values) > 1:
            raise UsageError(
                f"the site {site} has more than one season",
                expected="one --season for each site",
                found=", ".join(values),
                do=f"give each flight of {site} a name of its own: --frames NAME=PATH",
            )
    for site, values in files.items():
        count = sites.count(site)
        if len(values) != count:
            raise UsageError(
                f"the telemetry of the site {site} does not fit its sources",
                expected=f"one file for each --frames of the site ({count}), in their order",
                found=", ".join(values),
                do=f"give --telemetry {site}=FILE {count} times"
                if count > 1
                else f"give one --telemetry {site}=FILE",
            )
    made = []
    for site, source in zip(sites, sources, strict=True):
        table = Path(files[site].pop(0)) if site in files else source.telemetry
        season = of_site[site][0] if site in of_site else source.season
        made.append(replace(source, telemetry=table, season=season))
    return tuple(made)


def _by_site(
    option: str, value_name: str, texts: Sequence[str], sites: Sequence[str]
) -> dict[str, list[str]]:
    """Values by site, in the order they were given in."""
    found: dict[str, list[str]] = {}
    for text in texts:
        # A site may be a path's two last parts, and its name may hold an equals sign.
        fitting = [site for site in sites if text.startswith(f"{site}=")]
        site = max(fitting, key=len, default=text.partition("=")[0])
        value = text[len(site) + 1 :]
        if not value or "=" not in text:
            raise UsageError(
                f"{option} cannot be read",
                expected=f"SITE={value_name}, where SITE is one of: {_shown(sites)}",
                found=repr(text),
                do=f"give a site before and a {value_name.lower()} behind the equals sign",
            )
        if not fitting:
            raise UsageError(
                f"{option} names a site that no frames are of",
                expected=f"one of: {_shown(sites)}",
                found=site,
                do=_advice(option, value, site, sites),
            )
        found.setdefault(site, []).append(value)
    return found


def _advice(option: str, value: str, site: str, sites: Sequence[str]) -> str:
    if not sites:
        return "give --frames SITE=PATH"
    near = difflib.get_close_matches(site, list(dict.fromkeys(sites)), n=1, cutoff=0.0)[0]
    return f"{option} {near}={value}, or name the site so: --frames {site}=PATH"


def _shown(sites: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(sites)) or "none, since there are no --frames"
