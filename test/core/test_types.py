"""The values that travel between the parts refuse what cannot be right."""

from __future__ import annotations

import numpy as np
import pytest

from storm_ros.core.errors import InputError
from storm_ros.core.types import Camera, Mesh, RgbdFrame

CAMERA = Camera(64, 48, 50.0, 40.0, 31.0, 23.0)
RGB = np.zeros((48, 64, 3), np.uint8)
DEPTH = np.full((48, 64), 0.7, np.float32)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        pytest.param((64, 48, 0.0, 40.0, 31.0, 23.0), "focal lengths must be positive", id="K with zeros"),
        pytest.param((64, 48, 50.0, -1.0, 31.0, 23.0), "focal lengths must be positive", id="negative"),
        pytest.param((64, 48, np.nan, 40.0, 31.0, 23.0), "focal lengths must be positive", id="nan"),
        pytest.param((64, 48, 50.0, 40.0, np.inf, 23.0), "all four finite", id="infinite centre"),
        pytest.param((0, 48, 50.0, 40.0, 31.0, 23.0), "camera size is 0x48", id="no width"),
    ],
)
def test_impossible_cameras_are_refused(values: tuple[int, int, float, float, float, float], text: str) -> None:
    with pytest.raises(InputError, match=text):
        Camera(*values)


def test_camera_from_k() -> None:
    assert Camera.from_k(CAMERA.k, 64, 48) == CAMERA
    assert Camera.from_k(CAMERA.k.ravel().tolist(), 64, 48) == CAMERA
    with pytest.raises(InputError, match="camera matrix has 4 numbers: 9 are needed"):
        Camera.from_k([1, 2, 3, 4], 64, 48)


def test_projection_by_hand() -> None:
    assert np.allclose(CAMERA.project([[0.2, -0.1, 2.0], [0.0, 0.0, 1.0]]), [[36.0, 21.0], [31.0, 23.0]])


def test_backprojection_is_the_inverse_of_projection() -> None:
    depth = np.random.default_rng(0).uniform(0.3, 2.0, (48, 64)).astype(np.float32)
    v, u = np.mgrid[:48, :64]
    assert np.allclose(CAMERA.project(CAMERA.backproject(depth)), np.stack([u, v], -1), atol=1e-3)
    assert np.array_equal(CAMERA.backproject(np.zeros((48, 64), np.float32)), np.zeros((48, 64, 3)))


def test_window_keeps_what_pixels_see() -> None:
    """A pixel of a cut and scaled image covers the same rays: its edges map onto the original's."""
    window = CAMERA.window(8, 4, 32, 16, 64, 48)
    point = np.array([[0.1, 0.05, 1.3]])
    (u, v), (wu, wv) = CAMERA.project(point)[0], window.project(point)[0]
    assert (wu + 0.5) / 64 == pytest.approx((u + 0.5 - 8) / 32)
    assert (wv + 0.5) / 48 == pytest.approx((v + 0.5 - 4) / 16)
    assert (window.width, window.height) == (64, 48)


def test_scaled_camera_covers_the_whole_image() -> None:
    half = CAMERA.scaled(0.5)
    assert (half.width, half.height, half.fx, half.fy) == (32, 24, 25.0, 20.0)
    assert (half.cx + 0.5) / 32 == pytest.approx((CAMERA.cx + 0.5) / 64)
    assert CAMERA.scaled(1e-6).width == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, -0.5])
def test_depth_that_cannot_be_becomes_unknown(bad: float) -> None:
    depth = DEPTH.copy()
    depth[3, 5] = bad
    frame = RgbdFrame(rgb=RGB, depth_m=depth, camera=CAMERA)
    assert frame.depth_m[3, 5] == 0.0
    assert (frame.depth_m > 0).sum() == DEPTH.size - 1
    assert depth[3, 5] == bad or np.isnan(depth[3, 5])  # what was given is not changed


def test_frame_without_any_depth_is_a_frame() -> None:
    frame = RgbdFrame(rgb=RGB, depth_m=np.full((48, 64), np.nan), camera=CAMERA)
    assert not frame.depth_m.any()
    assert frame.depth_m.dtype == np.float32
    assert frame.shape == (48, 64)


def test_frame_arrays_are_contiguous() -> None:
    frame = RgbdFrame(rgb=RGB[:, ::-1], depth_m=DEPTH.astype(np.float64)[::-1], camera=CAMERA)
    assert frame.rgb.flags.c_contiguous
    assert frame.depth_m.flags.c_contiguous


@pytest.mark.parametrize(
    ("rgb", "depth", "camera", "text"),
    [
        pytest.param(RGB[..., 0], DEPTH, CAMERA, r"colour image is uint8 \(48, 64\)", id="grey"),
        pytest.param(np.zeros((48, 64, 4), np.uint8), DEPTH, CAMERA, r"\(48, 64, 4\)", id="rgba"),
        pytest.param(RGB.astype(np.float32), DEPTH, CAMERA, "colour image is float32", id="float colour"),
        pytest.param(RGB, DEPTH[..., None], CAMERA, r"depth image is float32 \(48, 64, 1\)", id="depth 3-D"),
        pytest.param(RGB, (DEPTH * 1000).astype(np.uint16), CAMERA, "divide raw uint16 millimetres", id="uint16"),
        pytest.param(RGB, DEPTH / 1000, CAMERA, "median depth is 0.70 mm, too near for any camera", id="micrometres"),
        pytest.param(RGB, DEPTH * 1000, CAMERA, "median depth is 700 m: it looks like millimetres", id="float mm"),
        pytest.param(RGB, DEPTH[:24, :32], CAMERA, "depth is 32x24 but the image is 64x48", id="depth size"),
        pytest.param(RGB, DEPTH, CAMERA.scaled(0.5), "camera matrix is for 32x24 but the image is 64x48", id="camera"),
    ],
)
def test_unusable_frames_say_why(rgb: np.ndarray, depth: np.ndarray, camera: Camera, text: str) -> None:
    with pytest.raises(InputError, match=text) as caught:
        RgbdFrame(rgb=rgb, depth_m=depth, camera=camera)
    assert "\n" not in str(caught.value)


def test_millimetres_are_noticed_among_holes() -> None:
    depth = np.where(np.random.default_rng(0).random((48, 64)) < 0.8, 0.0, 900.0)
    with pytest.raises(InputError, match="looks like millimetres"):
        RgbdFrame(rgb=RGB, depth_m=depth, camera=CAMERA)


TRIANGLE = np.array([[0, 0, 0], [0.3, 0, 0], [0, 0.4, 0]], np.float32)
FACE = np.array([[0, 1, 2]], np.int32)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        pytest.param({"vertices": np.zeros((0, 3))}, "V > 0", id="no vertices"),
        pytest.param({"vertices": np.zeros((3, 2))}, r"shape \(3, 2\)", id="flat vertices"),
        pytest.param({"faces": np.zeros((0, 3), int)}, "F > 0", id="no faces"),
        pytest.param({"faces": [[0, 1, 2, 2]]}, "triangles", id="quads"),
        pytest.param({"vertices": TRIANGLE * np.nan}, "not finite", id="nan"),
        pytest.param({"faces": [[0, 1, 3]]}, "outside its 3 vertices", id="index above"),
        pytest.param({"faces": [[0, 1, -1]]}, "outside its 3 vertices", id="index below"),
        pytest.param({"colors": np.zeros((2, 3), np.uint8)}, r"colours of shape \(2, 3\)", id="colours"),
        pytest.param({"uv": np.zeros((3, 3))}, r"texture coordinates of shape \(3, 3\)", id="uv"),
    ],
)
def test_impossible_meshes_are_refused(change: dict, text: str) -> None:
    with pytest.raises(InputError, match=text):
        Mesh(**{"vertices": TRIANGLE, "faces": FACE, **change})


def test_mesh_measures_by_hand() -> None:
    mesh = Mesh(vertices=TRIANGLE, faces=FACE)
    assert mesh.diameter == pytest.approx(0.5, rel=1e-5)
    assert np.allclose(mesh.bounds, [[0, 0, 0], [0.3, 0.4, 0]])
    assert np.allclose(mesh.center, [0.15, 0.2, 0])
    assert np.allclose(mesh.vertex_normals, [[0, 0, 1]] * 3)
    moved = mesh.translated([1, 2, 3])
    assert np.allclose(moved.center, [1.15, 2.2, 3])
    assert np.allclose(mesh.center, [0.15, 0.2, 0])


def test_diameter_of_many_points_is_found_among_the_extremes() -> None:
    rng = np.random.default_rng(0)
    cloud = rng.normal(size=(30000, 3))
    cloud = cloud / np.linalg.norm(cloud, axis=1, keepdims=True) * 0.1
    cloud[12345] = [0.4, 0.0, 0.0]
    mesh = Mesh(vertices=cloud, faces=[[0, 1, 2]])  # type: ignore[arg-type]
    assert mesh.diameter == pytest.approx(0.5, rel=2e-3)
