"""The values that travel between the parts. SI units; ``cam_T_obj`` maps object points to the camera."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from storm_ros.core.errors import InputError

Mask = npt.NDArray[np.bool_]
"""(H, W) bool, True on the visible pixels of an object."""

Pose = npt.NDArray[np.float64]
"""(4, 4) rigid transform; named ``a_T_b``, it maps points of frame b into frame a."""

MIN_MASK_PIXELS = 64


def mask_window(mask: Mask, margin: int = 0) -> tuple[slice, slice]:
    """Rows and columns that a mask (H, W), which is not empty, spans, with a margin in pixels inside the image."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return (
        slice(max(0, int(rows[0]) - margin), min(mask.shape[0], int(rows[-1]) + margin + 1)),
        slice(max(0, int(columns[0]) - margin), min(mask.shape[1], int(columns[-1]) + margin + 1)),
    )


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion; the centre of the top left pixel is (0, 0).

    Attributes:
        width: image width in pixels.
        height: image height in pixels.
        fx: focal length along x in pixels.
        fy: focal length along y in pixels.
        cx: principal point, x in pixels.
        cy: principal point, y in pixels.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise InputError(f"camera size is {self.width}x{self.height}: both must be positive")
        if not np.isfinite([self.fx, self.fy, self.cx, self.cy]).all() or self.fx <= 0 or self.fy <= 0:
            raise InputError(
                f"camera matrix has fx={self.fx}, fy={self.fy}, cx={self.cx}, cy={self.cy}: the focal lengths "
                "must be positive and all four finite; calibrate the camera or fix its camera_info"
            )

    @classmethod
    def from_k(cls, k: npt.ArrayLike, width: int, height: int) -> Camera:
        """Make a camera from a 3x3 (or flat 9) matrix.

        Raises:
            InputError: not nine numbers, or focal lengths that are not positive.
        """
        flat = np.asarray(k, dtype=np.float64).ravel()
        if flat.size != 9:
            raise InputError(f"camera matrix has {flat.size} numbers: 9 are needed (row-major 3x3)")
        return cls(int(width), int(height), float(flat[0]), float(flat[4]), float(flat[2]), float(flat[5]))

    @property
    def k(self) -> npt.NDArray[np.float64]:
        """(3, 3) camera matrix."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    def window(self, x: float, y: float, width: float, height: float, out_width: int, out_height: int) -> Camera:
        """Camera of an image cut at (x, y, width, height) in pixels and scaled to the given size."""
        sx, sy = out_width / width, out_height / height
        return Camera(
            out_width,
            out_height,
            self.fx * sx,
            self.fy * sy,
            (self.cx - x + 0.5) * sx - 0.5,
            (self.cy - y + 0.5) * sy - 0.5,
        )

    def scaled(self, factor: float) -> Camera:
        """Camera of the whole image resized by a factor."""
        out_width = max(1, round(self.width * factor))
        out_height = max(1, round(self.height * factor))
        return self.window(0, 0, self.width, self.height, out_width, out_height)

    def project(self, points_cam: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Project points (N, 3) in the camera frame to pixels (N, 2); needs z > 0."""
        p = np.asarray(points_cam, dtype=np.float64)
        return np.stack([self.fx * p[..., 0] / p[..., 2] + self.cx, self.fy * p[..., 1] / p[..., 2] + self.cy], -1)

    def backproject(self, depth_m: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Camera-frame points (H, W, 3) of a depth map (H, W) in metres; (0, 0, 0) where it is 0."""
        h, w = depth_m.shape
        z = depth_m.astype(np.float32)
        x = (np.arange(w, dtype=np.float32) - np.float32(self.cx)) / np.float32(self.fx)
        y = (np.arange(h, dtype=np.float32) - np.float32(self.cy)) / np.float32(self.fy)
        return np.stack([x[None, :] * z, y[:, None] * z, z], -1).astype(np.float32)


@dataclass(frozen=True, eq=False)
class RgbdFrame:
    """One registered colour and depth image.

    Attributes:
        rgb: (H, W, 3) uint8, RGB.
        depth_m: (H, W) float32, metres along the optical axis; 0 where unknown. NaN, infinite and negative
            values are accepted and become 0.
        camera: intrinsics of both images.
        stamp_ns: time of the image in nanoseconds.
        index: frame number in its recording; -1 for a live camera.
        frame_id: name of the camera's optical frame.
    """

    rgb: npt.NDArray[np.uint8]
    depth_m: npt.NDArray[np.float32]
    camera: Camera
    stamp_ns: int = 0
    index: int = -1
    frame_id: str = "camera_color_optical_frame"

    def __post_init__(self) -> None:
        rgb, depth = np.asarray(self.rgb), np.asarray(self.depth_m)
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
            raise InputError(f"colour image is {rgb.dtype} {rgb.shape}: (H, W, 3) uint8 in RGB order is needed")
        height, width = rgb.shape[:2]
        if depth.ndim != 2 or not np.issubdtype(depth.dtype, np.floating):
            hint = "; divide raw uint16 millimetres by 1000 first" if np.issubdtype(depth.dtype, np.integer) else ""
            raise InputError(f"depth image is {depth.dtype} {depth.shape}: (H, W) float metres is needed{hint}")
        if depth.shape != (height, width):
            raise InputError(
                f"depth is {depth.shape[1]}x{depth.shape[0]} but the image is {width}x{height}: turn on aligned depth "
                "(align_depth.enable:=true) or resize and register it to the colour image"
            )
        if (self.camera.width, self.camera.height) != (width, height):
            raise InputError(
                f"camera matrix is for {self.camera.width}x{self.camera.height} but the image is {width}x{height}: "
                "use the camera_info of this very image"
            )
        clean = np.where((depth > 0.0) & (depth < np.inf), depth, 0.0).astype(np.float32, copy=False)
        near = clean[::8, ::8]
        near = near[near > 0]
        if near.size and float(np.median(near)) > 100.0:
            raise InputError(
                f"median depth is {float(np.median(near)):.0f} m: it looks like millimetres; divide it by 1000"
            )
        if near.size and float(np.median(near)) < 0.01:
            raise InputError(
                f"median depth is {float(np.median(near)) * 1e3:.2f} mm, too near for any camera: the depth's unit is "
                "wrong (a BOP depth_scale is millimetres per unit: 1.0 for uint16 millimetres)"
            )
        object.__setattr__(self, "rgb", np.ascontiguousarray(rgb))
        object.__setattr__(self, "depth_m", np.ascontiguousarray(clean))

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.rgb.shape[0], self.rgb.shape[1]


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh in metres, in the object's frame.

    Attributes:
        vertices: (V, 3) float32, metres.
        faces: (F, 3) int32 vertex indices, counter-clockwise seen from outside.
        colors: (V, 3) uint8 RGB or None.
        uv: (V, 2) float32 texture coordinates, (0, 0) at the texture's bottom left, or None.
        texture: (h, w, 3) uint8 RGB or None.
        open_surface: True for a surface seen from one side only (a lifted view), which has no back.
        name: where it came from, for reports.
    """

    vertices: npt.NDArray[np.float32]
    faces: npt.NDArray[np.int32]
    colors: npt.NDArray[np.uint8] | None = None
    uv: npt.NDArray[np.float32] | None = None
    texture: npt.NDArray[np.uint8] | None = None
    open_surface: bool = False
    name: str = "mesh"

    def __post_init__(self) -> None:
        vertices = np.ascontiguousarray(self.vertices, dtype=np.float32)
        faces = np.ascontiguousarray(self.faces, dtype=np.int32)
        if vertices.ndim != 2 or vertices.shape[1] != 3 or not len(vertices):
            raise InputError(f"mesh {self.name!r} has vertices of shape {vertices.shape}: (V, 3) with V > 0 is needed")
        if faces.ndim != 2 or faces.shape[1] != 3 or not len(faces):
            raise InputError(f"mesh {self.name!r} has faces of shape {faces.shape}: (F, 3) triangles with F > 0 needed")
        if not np.isfinite(vertices).all():
            raise InputError(f"mesh {self.name!r} has vertices that are not finite: repair the file")
        if faces.min() < 0 or faces.max() >= len(vertices):
            raise InputError(f"mesh {self.name!r} has face indices outside its {len(vertices)} vertices: repair it")
        if self.colors is not None and np.shape(self.colors) != (len(vertices), 3):
            raise InputError(f"mesh {self.name!r} has colours of shape {np.shape(self.colors)}: (V, 3) uint8 needed")
        if self.uv is not None and np.shape(self.uv) != (len(vertices), 2):
            raise InputError(f"mesh {self.name!r} has texture coordinates of shape {np.shape(self.uv)}: (V, 2) needed")
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", faces)

    @cached_property
    def bounds(self) -> npt.NDArray[np.float64]:
        """(2, 3) lowest and highest corner of the axis-aligned bounding box, metres."""
        return np.stack([self.vertices.min(0), self.vertices.max(0)]).astype(np.float64)

    @cached_property
    def center(self) -> npt.NDArray[np.float64]:
        """(3,) centre of the bounding box, metres."""
        return self.bounds.mean(0)

    @cached_property
    def diameter(self) -> float:
        """Largest distance between two vertices in metres; of a large mesh, of 2000 vertices and the outermost."""
        return _diameter(self.vertices)

    @cached_property
    def vertex_normals(self) -> npt.NDArray[np.float32]:
        """(V, 3) unit normals, area-weighted over the faces of each vertex."""
        a, b, c = (self.vertices[self.faces[:, i]] for i in range(3))
        face_normals = np.cross(b - a, c - a)
        out = np.zeros_like(self.vertices)
        for i in range(3):
            np.add.at(out, self.faces[:, i], face_normals)
        return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)

    def translated(self, offset: npt.ArrayLike) -> Mesh:
        """The same mesh moved by (3,) metres."""
        return replace(self, vertices=self.vertices + np.asarray(offset, dtype=np.float32))


def _diameter(vertices: npt.NDArray[np.float32], limit: int = 2000) -> float:
    directions = np.random.default_rng(0).normal(size=(64, 3))
    reach = vertices.astype(np.float64) @ directions.T
    extremes = np.unique(np.concatenate([reach.argmin(0), reach.argmax(0)]))
    chosen = np.unique(np.concatenate([extremes, np.linspace(0, len(vertices) - 1, limit).astype(int)]))
    p = vertices[chosen].astype(np.float64)
    squared = (p**2).sum(1)[:, None] + (p**2).sum(1)[None, :] - 2.0 * p @ p.T
    return float(np.sqrt(max(squared.max(), 0.0)))


@dataclass(frozen=True, eq=False)
class View:
    """One look at the object: where it is in a frame, and its pose there.

    Attributes:
        frame: the image.
        mask: (H, W) bool, the object's visible pixels.
        cam_T_obj: (4, 4) pose of the object in that image.
    """

    frame: RgbdFrame
    mask: Mask
    cam_T_obj: Pose


@dataclass(frozen=True, eq=False)
class Reference:
    """What is known of an object: the view it was pointed at in, and its mesh.

    Attributes:
        object_id: name, unique in a tracker.
        views: at least one; the first is the one the object's frame comes from.
        mesh: in the object's frame, metres.
    """

    object_id: str
    views: tuple[View, ...]
    mesh: Mesh


class TrackStatus(str, enum.Enum):
    """State of one object's track."""

    EMPTY = "EMPTY"
    SEARCHING = "SEARCHING"
    TRACKING = "TRACKING"
    SUSPECT = "SUSPECT"
    LOST = "LOST"


class LossCause(str, enum.Enum):
    """Why a track was given up.

    ENERGY: what is seen there is no longer the object, and none of the others explains it. NO_DEPTH: the sensor gives
    none where the object should be. OUT_OF_VIEW: it left the image. OCCLUDED: something is in front of most of it.
    STALE_INPUT: no image came for too long. REQUESTED: the user asked for a new search.
    """

    ENERGY = "energy"
    NO_DEPTH = "no_depth"
    OUT_OF_VIEW = "out_of_view"
    OCCLUDED = "occluded"
    STALE_INPUT = "stale_input"
    REQUESTED = "requested"


class EventType(str, enum.Enum):
    """What can happen to a track."""

    REFERENCE_SET = "reference_set"
    FOUND = "found"
    LOST = "lost"
    RELOCALIZED = "relocalized"


@dataclass(frozen=True, eq=False)
class TrackEvent:
    """Something that happened to one object's track.

    Attributes:
        type: what happened.
        object_id: to which object.
        frame: frame number in the recording, -1 for a live camera.
        stamp_ns: time of that frame in nanoseconds.
        cause: why the track was lost (of `lost` and `relocalized`).
        frames_lost: frames without a pose before it was found again.
        seconds_lost: the same as time.
        energy: smoothed energy at the event.
        threshold: energy threshold then.
        score: registration score in [0, 1].
        jump_m: distance between the last pose before the loss and the new one, metres.
        jump_rad: angle between them, radians.
    """

    type: EventType
    object_id: str
    frame: int
    stamp_ns: int
    cause: LossCause | None = None
    frames_lost: int | None = None
    seconds_lost: float | None = None
    energy: float | None = None
    threshold: float | None = None
    score: float | None = None
    jump_m: float | None = None
    jump_rad: float | None = None


@dataclass(frozen=True, eq=False)
class Candidate:
    """One place where a segmenter believes the object to be.

    Attributes:
        mask: (H, W) bool.
        score: in [0, 1], how sure.
    """

    mask: Mask
    score: float


@dataclass(frozen=True, eq=False)
class PoseEstimate:
    """A pose with its evidence.

    Attributes:
        cam_T_obj: (4, 4) pose.
        score: in [0, 1]; 1 when every visible model point agrees with depth and colour.
        inlier_ratio: of the model points inside the image that have depth there, the share that agrees with it.
        residual_m: robust RMS point-to-plane distance of the inliers, metres.
        colour_error: median colour difference of the inliers to the reference, in [0, 1]; NaN without colour.
        in_view: share of the model's visible points that lie inside the image.
        depth_coverage: share of those inside the image that have depth there.
        occluded: share of those with depth that lie behind something nearer.
        covariance: (6, 6) of (translation in m, rotation in rad) in the camera's axes about the object's origin.
        mask: (H, W) bool, predicted visible pixels; None where it was not asked for.
    """

    cam_T_obj: Pose
    score: float
    inlier_ratio: float
    residual_m: float
    colour_error: float
    in_view: float
    depth_coverage: float
    occluded: float
    covariance: npt.NDArray[np.float64] | None = None
    mask: Mask | None = None


@dataclass(frozen=True)
class GateState:
    """The energy gate of one track.

    Attributes:
        smoothed: moving average of the energy; NaN before the first.
        threshold: energy above which a frame is bad.
        bad_frames: bad frames in a row.
        lost: whether there were enough of them to give the track up.
        history: energies of the track's latest frames, oldest first, for a gate that learns from them.
        evidence: against the track being as good as before, for a gate that collects it; it grows from 0.
    """

    smoothed: float = float("nan")
    threshold: float = 0.0
    bad_frames: int = 0
    lost: bool = False
    history: tuple[float, ...] = ()
    evidence: float = 0.0


@dataclass(frozen=True, eq=False)
class Registration:
    """Result of a registration: the best pose and what came after it, best first."""

    best: PoseEstimate
    runners_up: tuple[PoseEstimate, ...] = ()


@dataclass(frozen=True, eq=False)
class ObjectResult:
    """What is known of one object after a frame.

    Attributes:
        object_id: name.
        status: state of the track.
        cam_T_obj: (4, 4) pose; None unless TRACKING or SUSPECT.
        mask: (H, W) bool, predicted visible pixels; None without a pose.
        score: pose score in [0, 1]; 0 without a pose.
        energy: of this frame; NaN where none could be computed.
        smoothed_energy: after the moving average; NaN before the first.
        threshold: above it a frame is bad.
        covariance: (6, 6) as in PoseEstimate; None without a pose.
        probability: in [0, 1], how likely the pose is right by the smoothed energy; 0 without a pose.
        memory: views the verifier keeps beside the reference.
        cause: why the track was lost; None unless LOST.
    """

    object_id: str
    status: TrackStatus
    cam_T_obj: Pose | None = None
    mask: Mask | None = None
    score: float = 0.0
    energy: float = float("nan")
    smoothed_energy: float = float("nan")
    threshold: float = float("nan")
    covariance: npt.NDArray[np.float64] | None = None
    probability: float = 0.0
    memory: int = 0
    cause: LossCause | None = None


@dataclass(frozen=True, eq=False)
class TrackResult:
    """What one frame brought.

    Attributes:
        frame: frame number of the input, -1 for a live camera.
        stamp_ns: the image's stamp.
        objects: result of every object by its name.
        events: what happened in this frame, in order.
        timing_ms: milliseconds by stage ("track", "verify", "segment", "register", "total"), and "search" when a search
            on its own thread came back: how long that took, which is no part of the total.
    """

    frame: int
    stamp_ns: int
    objects: Mapping[str, ObjectResult]
    events: tuple[TrackEvent, ...] = ()
    timing_ms: Mapping[str, float] = field(default_factory=dict)
