"""Whether a mouth can be drawn on a face: what the landmarks see of it, closed and open."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from halfsecond.artifact import Check
from halfsecond.errors import PortraitError
from halfsecond.models.face.aperture import mouth_aperture
from halfsecond.models.face.finder import FaceFinder
from halfsecond.models.lipsync.avatar import Avatar
from halfsecond.models.lipsync.compositor import Compositor
from halfsecond.models.lipsync.mouth import CLOSED, MouthPose

WIDE = MouthPose(jaw=1.0, upper=0.2)
CLOSED_AT_MOST, OPEN_AT_LEAST = 0.045, 0.10
"""Apertures in eye distances that the drawn face must reach; the instruments are those of `bench
lipsync`. A closed mouth reads 0.00 to 0.03, an open one 0.13 to 0.25."""


def checks_of(avatar: Avatar, finder: FaceFinder) -> tuple[Check, ...]:
    """The two apertures with their tolerances; raises PortraitError where no face is seen."""
    compositor = Compositor(avatar)
    closed, opened = (_aperture(compositor.still(pose), finder) for pose in (CLOSED, WIDE))
    eye = " eye distances"
    return (
        Check(what="lips apart at rest", value=closed, unit=eye, at_most=CLOSED_AT_MOST),
        Check(what="lips apart wide open", value=opened, unit=eye, at_least=OPEN_AT_LEAST),
    )


def _aperture(image: NDArray[np.uint8], finder: FaceFinder) -> float:
    faces = finder.find_faces(image)
    if not faces:
        raise PortraitError(
            "the drawn face is not recognised as one any more; use a picture from the front with "
            "the mouth closed",
            reason="mouth_not_drawn",
        )
    return round(mouth_aperture(faces[0].landmarks), 4)
