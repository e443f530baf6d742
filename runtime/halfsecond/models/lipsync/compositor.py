"""Draws frames of one portrait: a mouth (warped or pasted), then lids, head and breath on top."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.face.portrait import Portrait
from halfsecond.models.lipsync.avatar import Avatar
from halfsecond.models.lipsync.body import BodyPainter
from halfsecond.models.lipsync.expression import LIVELY, Expression
from halfsecond.models.lipsync.mood import NEUTRAL, Composure, Mood
from halfsecond.models.lipsync.mouth import MouthPose


class Compositor:
    """The frames of one face.

    Both drivers share it: the mesh driver draws mouth poses, Wav2Lip pastes the patches that its
    network gives. One thread at a time. OpenCV is set to one thread in the whole process.
    """

    def __init__(self, face: Portrait | Avatar, *, expression: Expression | None = None) -> None:
        """face: of an avatar all is ready, and shared; a portrait is made one first (0.2 s)."""
        import cv2

        # Frames are drawn in a few small steps, none of which is worth waking a second core for.
        cv2.setNumThreads(1)
        self.avatar = face if isinstance(face, Avatar) else Avatar.of(face)
        self.portrait = self.avatar.portrait
        self.expression = expression or Expression(is_on=False)
        body = self.avatar.body
        self._body = None if body is None else BodyPainter(body, self.portrait)
        self._drawn_pose: MouthPose | None = None
        self._drawn = np.array(self.portrait.image)

    @property
    def face_box(self) -> tuple[int, int, int, int]:
        """(x0, y0, x1, y1) of the crop that Wav2Lip takes: the face with room for the chin."""
        return self.avatar.face_box

    def render_pose(
        self, pose: MouthPose, t_s: float, *, stress: float = 0.0, mood: Mood = NEUTRAL
    ) -> NDArray[np.uint8]:
        """(h, w, 3) RGB: the portrait with this mouth at `t_s` seconds of the face's own life.

        stress: 0 to 1, how much weight the speech has now; heads nod with it.
        """
        return self._bring_to_life(self.still(pose), t_s, stress, mood)

    def still(self, pose: MouthPose) -> NDArray[np.uint8]:
        """(h, w, 3) RGB: the portrait with this mouth, eyes open, the head where it was."""
        if pose != self._drawn_pose:
            # Drawn in place: nothing outside the lower face ever changes in this picture.
            self.avatar.mouth.draw(self._drawn, pose)
            self._drawn_pose = pose
        return np.array(self._drawn)

    def render_patch(
        self, patch: NDArray[np.uint8], t_s: float, *, mood: Mood = NEUTRAL
    ) -> NDArray[np.uint8]:
        """(h, w, 3) RGB: the portrait with a drawn lower face, at `t_s` of the face's own life.

        patch: (h, w, 3) RGB of any size; it shows what `face_box` shows. Only its lower face is
        used, through a soft mask.
        """
        import cv2

        x0, y0, x1, y1 = self.face_box
        mask = self.avatar.paste_mask
        fitted = cv2.resize(patch, (x1 - x0, y1 - y0), interpolation=cv2.INTER_CUBIC)
        frame: NDArray[np.uint8] = np.array(self.portrait.image)
        below = frame[y0:y1, x0:x1]
        frame[y0:y1, x0:x1] = cv2.blendLinear(fitted, below, mask, 1.0 - mask)
        return self._bring_to_life(frame, t_s, 0.0, mood)

    def idle_jpeg(self, composure: Composure) -> bytes | None:
        """The next picture of the resting face where it lies ready; None where it must be drawn."""
        idle, expression = self.avatar.idle, self.expression
        if idle is None or not composure.is_at_rest:
            return None
        is_own_life = idle.seed == expression.seed and expression.liveliness == LIVELY
        if not (is_own_life or self._body is not None):
            return None
        t_s, _ = composure.step(is_idle=True)
        return idle.at(t_s)

    def _bring_to_life(
        self, frame: NDArray[np.uint8], t_s: float, stress: float, mood: Mood
    ) -> NDArray[np.uint8]:
        """Irises and lids into `frame`, then head and breath; `frame` is used up."""
        if not self.expression.is_on:
            return frame
        if self._body is not None:  # which blinks and moves by itself
            return self._body.paint(frame, t_s)
        pose = mood.added_to(self.expression.at(t_s, stress=stress))
        if pose.blink == 0.0:  # lids that move show the eyes as the portrait has them
            self.avatar.eyes.look(frame, pose.gaze_x, pose.gaze_y)
        self.avatar.eyes.close(frame, pose.blink)
        return self.avatar.head.move(frame, pose)
