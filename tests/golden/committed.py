"""Golden values that are committed: made anew they are compared, so that a run leaves the checkout as it was.

A script gives its values to `settle`. Run with `--write` it replaces the committed file; otherwise what it made lies under
$CYTOBOX_GOLDEN, and must agree. Run by itself, this file checks that a difference is told.
"""

import json
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
SHOWN = 5


def differences(found, expected, tolerance, scale=0.0, place=""):
    """Sentences. A number is compared relative to the largest of: itself, its list, the `length` of the vector it is of."""
    if isinstance(expected, dict):
        if not isinstance(found, dict) or found.keys() != expected.keys():
            yield f"{place}: other keys"
            return
        scale = max(scale, abs(expected.get("length", 0)))
        for key in expected:
            yield from differences(found[key], expected[key], tolerance, scale, f"{place}/{key}")
    elif isinstance(expected, list):
        if not isinstance(found, list) or len(found) != len(expected):
            yield f"{place}: another number of values"
            return
        scale = max([scale, *(abs(value) for value in expected if isinstance(value, (int, float)))])
        for i, pair in enumerate(zip(found, expected)):
            yield from differences(*pair, tolerance, scale, f"{place}/{i}")
    elif isinstance(expected, (int, float)) and not abs(found - expected) <= tolerance * max(scale, abs(expected)):
        yield f"{place}: {found}, but {expected} is committed"


def settle(name, data, tolerance, read=lambda path: json.loads(path.read_text())):
    """`data` are the bytes of the file `name`; `read` gives what it holds as lists, dictionaries and numbers."""
    committed = HERE / name
    if "--write" in sys.argv[1:]:
        committed.write_bytes(data)
        print(f"{committed}: written, {len(data)} bytes")
        return
    folder = pathlib.Path(os.environ.get("CYTOBOX_GOLDEN") or HERE.parents[1] / "target/golden")
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / name
    made.write_bytes(data)
    found = list(differences(read(made), read(committed), tolerance))
    if found:
        more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
        sys.exit("\n".join([f"{made} differs from {committed}; `--write` replaces it", *found[:SHOWN], *more]))
    print(f"{committed}: made anew, the same to {tolerance}")


if __name__ == "__main__":
    expected = {"length": 2.0, "values": [0.5, 0.001], "loss": [{"a": 1.0}], "version": "1"}
    alike = {"length": 2.0001, "values": [0.5, 0.0011], "loss": [{"a": 1.0001}], "version": "2"}
    assert not list(differences(alike, expected, 1e-3))
    for other in ({"values": [0.5, 0.01]}, {"values": [0.5]}, {"loss": [{"a": 1.01}]}, {"loss": [{"b": 1.0}]}):
        assert list(differences(alike | other, expected, 1e-3)), other
    assert list(differences(float("nan"), 1.0, 1e-3))
