"""Rigid bodies in a box, by pymunk (Chipmunk). Bodies do not rotate, so that shapes stay as their captions say."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pymunk

from reference_model.world.devices import anchor, ramp_of, rest_place
from reference_model.world.facts import FLOOR_HEIGHT, GRAVITY, ObjectFacts
from reference_model.world.scene import Scene, extents

SUBSTEPS = 20  # per frame; the fastest object moves 0.2 px per substep
RESTITUTION = {"falls": 0.0, "rests": 0.0, "bounces": 0.8, "slides": 0.8, "moves": 1.0, "floats": 1.0}


@dataclass(frozen=True)
class Event:
    """The first contact of an object, or of two: `kind` is "wall", "floor" or "collision", `objects` their numbers."""

    frame: int
    kind: str
    objects: tuple[int, ...]


@dataclass(frozen=True)
class Trajectory:
    """Exact states: centroids (x, y) in px, (T, N, 2), and the first contacts in order."""

    positions: npt.NDArray[np.float64]
    events: tuple[Event, ...]


def simulate(scene: Scene, num_frames: int) -> Trajectory:
    """Simulate a scene for `num_frames` frames; frame 0 is the start. Restitution and gravity are those of the module, or the
    scene's own constants."""
    constants = scene.facts.constants
    gravity = (constants.gravity if constants else GRAVITY) if scene.facts.gravity else 0.0
    space = pymunk.Space()
    space.gravity = (0.0, gravity)
    if constants:
        space.damping = constants.damping
    space.collision_slop = 0.01  # px; the default of 0.1 lets a resting object sink visibly at this scale
    floor = scene.height - (FLOOR_HEIGHT if gravity else 0)
    _add_walls(space, scene.width, floor, bool(gravity), floor_friction=1.0 if constants else 0.0)
    bodies = []
    for index, (o, start) in enumerate(zip(scene.facts.objects, scene.starts, strict=True)):
        body = pymunk.Body(1.0, math.inf)  # equal areas, equal masses
        body.position = start
        body.velocity = o.velocity
        shape = _shape(o, body)
        # Chipmunk multiplies the two elasticities; the walls have 1, so that the object's own acts there.
        shape.elasticity = constants.restitution if constants else RESTITUTION[o.motion]
        shape.friction = constants.friction if constants else 0.0
        shape.collision_type = index + 1
        space.add(body, shape)
        bodies.append(body)
    if scene.facts.device:
        _add_device(space, scene, bodies[0])

    events: list[Event] = []
    seen: set[tuple[str, tuple[int, ...]]] = set()
    frame = 0

    def on_contact(arbiter: pymunk.Arbiter, _space: pymunk.Space, _data: object) -> None:
        kinds = sorted(s.collision_type for s in arbiter.shapes)
        names = tuple(k - 1 for k in kinds if k > 0)
        kind = "collision" if len(names) == 2 else ("floor" if abs(arbiter.normal.y) > 0.5 and gravity else "wall")
        if (kind, names) not in seen:
            seen.add((kind, names))
            events.append(Event(frame, kind, names))

    space.on_collision(begin=on_contact)
    positions = np.empty((num_frames, len(bodies), 2))
    for frame in range(num_frames):
        if frame:
            for _ in range(SUBSTEPS):
                space.step(1.0 / SUBSTEPS)
        positions[frame] = [body.position for body in bodies]
    return Trajectory(positions, tuple(events))


def _add_device(space: pymunk.Space, scene: Scene, body: pymunk.Body) -> None:
    """The pendulum's rod, the ramp or the spring, massless and without friction of their own (a ramp has that of the floor)."""
    constants, hook = scene.facts.constants, anchor(scene.width)
    assert constants is not None
    if scene.facts.device == "pendulum":
        space.add(pymunk.PinJoint(space.static_body, body, hook, (0, 0)))
    elif scene.facts.device == "spring":
        assert constants.stiffness is not None
        _, up, down = extents(scene.facts.objects[0])
        # As long at rest as lets the weight hang at its place; a length below 0 is a spring that always pulls.
        length = rest_place(scene.height, up, down) - hook[1] - constants.gravity / constants.stiffness
        space.add(pymunk.DampedSpring(space.static_body, body, hook, (0, 0), length, constants.stiffness, 0.0))
    else:
        ramp = ramp_of(scene.facts, scene.height, scene.width)
        slope = pymunk.Segment(space.static_body, ramp.top, ramp.foot, 0.0)
        slope.elasticity, slope.friction = 0.0, 1.0
        space.add(slope)


def _add_walls(space: pymunk.Space, width: int, floor: int, gravity: bool, floor_friction: float) -> None:
    thick = 20.0  # px, outside the frame: nothing tunnels through
    top = -400 if gravity else -thick  # a bounce may rise above the frame and come back
    corners = [
        ((-thick, top), (-thick, floor + thick)),
        ((width + thick, top), (width + thick, floor + thick)),
        ((-thick, floor + thick), (width + thick, floor + thick)),
        ((-thick, top), (width + thick, top)),
    ]
    for i, (a, b) in enumerate(corners):
        wall = pymunk.Segment(space.static_body, a, b, thick)
        wall.elasticity, wall.friction = 1.0, floor_friction if i == 2 else 0.0
        space.add(wall)


def _shape(o: ObjectFacts, body: pymunk.Body) -> pymunk.Shape:
    half, up, down = extents(o)
    if o.shape == "circle":
        return pymunk.Circle(body, half)
    if o.shape == "square":
        return pymunk.Poly(body, [(-half, -up), (half, -up), (half, down), (-half, down)])
    return pymunk.Poly(body, [(0, -up), (half, down), (-half, down)])
