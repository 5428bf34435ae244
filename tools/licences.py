"""Write the licence of every package that is deployed, and refuse what does not go with the EUPL-1.2.

Run by ``make licences``; a test runs it, too. Accepted is what `PERMISSIVE` has, and for single packages what
`EXCEPTIONS` has with the reason. A package that does not say its licence in SPDX's words is refused until somebody has
read it and written into `READ` what it means; one that carries shared libraries of others, until they are in `CARRIED`.
A new version that says or carries something else is refused again.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import license_expression

import deployed
from deployed import Package

SPDX = license_expression.get_spdx_licensing()

PERMISSIVE = frozenset(
    {
        *("0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC"),
        *("MIT", "MIT-0", "OLDAP-2.8", "PostgreSQL", "PSF-2.0", "Unicode-3.0", "Unicode-DFS-2016", "Zlib"),
    }
)
"""They ask for no more than to be named; what is licensed so may be part of a work under any licence."""


class Exemption(NamedTuple):
    """Licences that are accepted for one package, and why."""

    licences: frozenset[str]
    reason: str


_LIBRARY_BESIDE = (
    "a library of its own that runs unchanged beside footfall and can be replaced by another version; the EUPL's "
    "appendix names the LGPL as compatible"
)
EXCEPTIONS: dict[str, Exemption] = {
    "psycopg": Exemption(frozenset({"LGPL-3.0-only"}), _LIBRARY_BESIDE),
    "psycopg-binary": Exemption(
        frozenset({"LGPL-3.0-only", "LGPL-2.1-or-later", "BSD-Attribution-HPND-disclaimer"}),
        _LIBRARY_BESIDE + "; the same goes for keyutils and libcrypt in it; Cyrus SASL asks to be named",
    ),
    "psycopg-pool": Exemption(frozenset({"LGPL-3.0-only"}), _LIBRARY_BESIDE),
    "numpy": Exemption(
        frozenset({"GPL-3.0-or-later WITH GCC-exception-3.1", "LGPL-2.1-or-later"}),
        "run-time libraries of the compiler, unchanged; their exception is made for programs under any licence",
    ),
    "shapely": Exemption(frozenset({"LGPL-2.1-or-later"}), "GEOS is " + _LIBRARY_BESIDE),
}


class Reading(NamedTuple):
    """What a package's own words mean in SPDX's; it holds for these words only."""

    words: tuple[str, ...]
    expression: str


READ: dict[str, Reading] = {
    "jinja2": Reading(("BSD License",), "BSD-3-Clause"),
    "pyserial": Reading(("BSD", "BSD License"), "BSD-3-Clause"),
    "python-dateutil": Reading(
        ("Dual License", "BSD License", "Apache Software License"), "Apache-2.0 OR BSD-3-Clause"
    ),
}
"""What the words mean: read in the licence text that the package brings, or in its sources."""


class Carried(NamedTuple):
    """Software of others that is compiled into a package; `files`: the shared libraries that it is, none: linked in."""

    name: str
    expression: str
    files: tuple[str, ...] = ()


CARRIED: dict[str, tuple[Carried, ...]] = {
    "cryptography": (Carried("OpenSSL", "Apache-2.0"),),
    "numpy": (
        Carried("OpenBLAS", "BSD-3-Clause", ("libscipy_openblas64_",)),
        Carried("libgfortran", "GPL-3.0-or-later WITH GCC-exception-3.1", ("libgfortran",)),
        Carried("libquadmath", "LGPL-2.1-or-later", ("libquadmath",)),
    ),
    "psycopg-binary": (
        Carried("libpq", "PostgreSQL", ("libpq",)),
        Carried("OpenSSL", "Apache-2.0", ("libcrypto", "libssl")),
        Carried("MIT Kerberos", "MIT", ("libgssapi_krb5", "libk5crypto", "libkrb5", "libkrb5support")),
        Carried("OpenLDAP", "OLDAP-2.8", ("liblber", "libldap")),
        Carried("Cyrus SASL", "BSD-Attribution-HPND-disclaimer", ("libsasl2",)),
        Carried("libcom_err", "MIT", ("libcom_err",)),
        Carried("libcrypt", "LGPL-2.1-or-later", ("libcrypt",)),
        Carried("keyutils", "LGPL-2.1-or-later", ("libkeyutils",)),
    ),
    "shapely": (Carried("GEOS", "LGPL-2.1-or-later", ("libgeos", "libgeos_c")),),
}
"""Read in the licence texts that the packages bring. pyarrow names no single parts: all of theirs are permissive."""


class UnlicensedError(Exception):
    """A package says nothing about its licence that is understood; the message says what to do."""


def expression_of(package: Package) -> str:
    """Its licence in SPDX's words: as it says itself, else as it was read.

    Raises:
        UnlicensedError: it says nothing that is understood.
    """
    if package.expression:
        return _normal(package.expression)
    for word in package.words:
        if _is_spdx(word):
            return _normal(word)
    reading = READ.get(package.name)
    if reading is None or reading.words != package.words:
        said = " / ".join(package.words) or "nothing"
        raise UnlicensedError(
            f"{package.name} {package.version} says {said} of its licence. Read its licence text, and write what it "
            "means into READ in tools/licences.py"
        )
    return reading.expression


def _is_spdx(word: str) -> bool:
    return not SPDX.validate(word).errors


def _normal(expression: str) -> str:
    return str(SPDX.parse(expression, validate=True))


def accepts(expression: str, allowed: frozenset[str]) -> bool:
    """Whether what is allowed is enough: of licences joined by OR one, of those joined by AND each."""
    return _holds(SPDX.parse(expression), allowed)


def _holds(node: Any, allowed: frozenset[str]) -> bool:
    parts = [_holds(part, allowed) for part in getattr(node, "args", ())]
    if isinstance(node, SPDX.AND):
        return all(parts)
    if isinstance(node, SPDX.OR):
        return any(parts)
    return str(node) in allowed


def complaints(package: Package) -> Iterator[str]:
    """What speaks against deploying it, each a sentence with the way out."""
    exemption = EXCEPTIONS.get(package.name)
    allowed = PERMISSIVE | (exemption.licences if exemption else frozenset())
    try:
        found = [(package.name, expression_of(package))]
    except UnlicensedError as error:
        yield str(error)
        found = []
    carried = CARRIED.get(package.name, ())
    found += [(f"{one.name} in {package.name}", one.expression) for one in carried]
    found += [(f"a part of {package.name}", expression) for expression in package.inside]
    for name, expression in found:
        if not accepts(expression, allowed):
            yield (
                f"{name} is under {expression}, which is not accepted. Do without it; or, if it goes with the "
                "EUPL-1.2, say why in EXCEPTIONS in tools/licences.py"
            )
    known = {file for one in carried for file in one.files}
    for library in package.libraries:
        if library not in known:
            yield (
                f"{package.name} {package.version} carries {library}, of which nothing is known. Read its licence "
                "text, and write it into CARRIED in tools/licences.py"
            )


def table(deployables: dict[str, list[Package]]) -> str:
    """The list for people, as Markdown: package, version, licence, and on which machines it is."""
    places: dict[Package, list[str]] = {}
    for name, packages in deployables.items():
        for package in packages:
            places.setdefault(package, []).append(name)
    rows = sorted(places, key=lambda package: (package.kind, package.name, package.version))
    lines = [
        "# Licences of what is deployed",
        "",
        "footfall itself is under the EUPL-1.2. The texts lie in each package; those of the web page's JavaScript in",
        "`footfall_api/static/vendor/LICENCES.txt`.",
        "",
        "| package | version | licence | on |",
        "|---|---|---|---|",
        *(f"| {_label(row)} | {row.version} | {expression_of(row)} | {', '.join(places[row])} |" for row in rows),
        "",
        "## Compiled in",
        "",
        "| in | software | licence |",
        "|---|---|---|",
        *(f"| {row.name} | {one.name} | {one.expression} |" for row in rows for one in CARRIED.get(row.name, ())),
        "",
        "## Accepted for a reason",
        "",
        *(f"- {row.name}: {EXCEPTIONS[row.name].reason}." for row in rows if row.name in EXCEPTIONS),
    ]
    return "\n".join(lines) + "\n"


def _label(package: Package) -> str:
    return package.name if package.kind == "pypi" else f"{package.name} (JavaScript)"


def main(argv: Sequence[str] | None = None) -> int:
    """Write the list; 0, or 1 with a sentence for each package that is refused."""
    parser = argparse.ArgumentParser(description="List the licences of what is deployed; refuse what may not be.")
    parser.add_argument("--out", type=Path, default=deployed.ROOT / "dist" / "licences.md", help="the file to write")
    words = parser.parse_args(argv)
    try:
        found = {one.name: deployed.packages(one) for one in deployed.DEPLOYABLES}
    except deployed.DeployedError as error:
        sys.stderr.write(f"licences: {error}\n")
        return 1
    every = {package for packages in found.values() for package in packages}
    against = sorted({said for package in every for said in complaints(package)})
    if against:
        sys.stderr.write("".join(f"licences: {said}\n" for said in against))
        return 1
    words.out.parent.mkdir(parents=True, exist_ok=True)
    words.out.write_text(table(found), encoding="utf-8")
    print(f"licences: {len(every)} packages, each accepted; the list is {words.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
