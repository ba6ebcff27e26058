"""Depth sensors: the noise has the statistics its figures promise."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from storm_ros.core.errors import InputError
from storm_ros.sim.sensor import DepthSensor, kinect, perfect, random_sensor, realsense, sense_depth, smooth_normal

SHAPE = (480, 640)


def wall(depth_m: float) -> npt.NDArray[np.float32]:
    return np.full(SHAPE, depth_m, np.float32)


@pytest.mark.parametrize("make", [kinect, realsense])
@pytest.mark.parametrize("depth_m", [1.0, 2.0])
def test_noise_grows_with_the_square_of_depth(make: Callable[[], DepthSensor], depth_m: float) -> None:
    sensor = make()
    smooth = replace(sensor, disparity_step_px=0.0, depth_step_m=0.0)
    out = sense_depth(wall(depth_m), smooth, np.random.default_rng(0))
    valid = out[out > 0]
    assert valid.std() == pytest.approx(sensor.sigma_m(depth_m), rel=0.08)
    assert valid.mean() == pytest.approx(depth_m, abs=0.1 * sensor.sigma_m(depth_m))
    assert sensor.sigma_m(2.0) == pytest.approx(4 * sensor.sigma_m(1.0))


def test_disparity_steps_show_in_the_depth() -> None:
    sensor = replace(kinect(), depth_step_m=0.0)
    out = sense_depth(wall(1.0), sensor, np.random.default_rng(1))
    levels = np.unique(out[out > 0])
    assert len(levels) > 2
    assert np.diff(levels) == pytest.approx(sensor.step_m(1.0), rel=0.05)
    assert sensor.step_m(1.0) == pytest.approx(0.00287, abs=1e-4)  # 1/8 pixel, as measured on the first Kinect
    whole_mm = sense_depth(wall(1.0), kinect(), np.random.default_rng(1)) * 1000
    assert np.abs(whole_mm - np.rint(whole_mm)).max() < 1e-3


@pytest.mark.parametrize("rate", [0.01, 0.05])
def test_hole_rate(rate: float) -> None:
    lost = [
        (sense_depth(wall(1.0), DepthSensor(hole_rate=rate, hole_size_px=4), np.random.default_rng(s)) == 0).mean()
        for s in range(8)
    ]
    assert np.mean(lost) == pytest.approx(rate, rel=0.3)


def test_perfect_sensor_changes_nothing() -> None:
    depth = np.random.default_rng(0).uniform(0.5, 3, SHAPE).astype(np.float32)
    depth[:10] = 0
    assert np.allclose(sense_depth(depth, perfect(), np.random.default_rng(0)), depth, atol=1e-6)


def test_same_state_same_image() -> None:
    depth = wall(1.0)
    depth[100:300, 200:400] = 0.6
    for sensor in (kinect(), realsense(), random_sensor(np.random.default_rng(3))):
        images = [sense_depth(depth, sensor, np.random.default_rng(s)) for s in (7, 7, 8)]
        assert np.array_equal(images[0], images[1])
        assert not np.array_equal(images[0], images[2])


def test_shadow_lies_left_of_what_is_near_and_is_as_wide_as_the_disparity() -> None:
    sensor = DepthSensor(focal_px=580, baseline_m=0.075, shadows=True)
    depth = wall(1.5)
    depth[100:300, 200:400] = 0.75
    out = sense_depth(depth, sensor, np.random.default_rng(0))
    width = 580 * 0.075 * (1 / 0.75 - 1 / 1.5)
    assert (out[200] == 0).sum() == pytest.approx(width, abs=2)
    assert (out[200, 185:200] == 0).all()
    assert (out[200, 400:] > 0).all()
    assert (out[200, 200:400] > 0).all()
    assert (out[50] > 0).all()


def test_edges_drop_fly_and_fray_but_surfaces_stay() -> None:
    depth = wall(1.5)
    depth[100:300, 200:400] = 0.75
    sensor = DepthSensor(edge_drop_rate=0.3, flying_rate=0.1, edge_jitter_px=1.0)
    out = sense_depth(depth, sensor, np.random.default_rng(0))
    inside = out[110:290, 210:390]
    assert np.allclose(inside, 0.75)
    assert np.allclose(out[:90], 1.5)
    near_edge = np.concatenate([out[100:300, 198:202].ravel(), out[100:300, 398:402].ravel()])
    assert 0.1 < (near_edge == 0).mean() < 0.6
    assert ((near_edge > 0.76) & (near_edge < 1.49)).mean() > 0.02


def test_grazing_and_dark_surfaces_lose_depth() -> None:
    cosine = np.broadcast_to(np.linspace(0, 1, SHAPE[1], dtype=np.float32), SHAPE)
    out = sense_depth(wall(1.0), DepthSensor(grazing_deg=72.0), np.random.default_rng(0), cosine=cosine)
    lost = (out == 0).mean(0)
    assert lost[:20].mean() > 0.9
    assert lost[320:].mean() < 0.01
    dark = np.where(np.arange(SHAPE[1]) < 320, 0.0, 0.5).astype(np.float32) * np.ones(SHAPE, np.float32)
    sensor = DepthSensor(dark_level=0.05, dark_loss=0.5)
    out = sense_depth(wall(1.0), sensor, np.random.default_rng(0), luminance=dark)
    assert (out[:, :320] == 0).mean() == pytest.approx(0.5, abs=0.06)
    assert (out[:, 320:] > 0).all()


def test_range_limits_shift_and_scale() -> None:
    depth = np.concatenate([wall(0.3)[:, :200], wall(1.0)[:, :240], wall(6.0)[:, :200]], axis=1)
    out = sense_depth(depth, DepthSensor(near_m=0.4, far_m=5.0), np.random.default_rng(0))
    assert (out[:, :200] == 0).all()
    assert (out[:, 440:] == 0).all()
    assert (out[:, 200:440] > 0).all()
    moved = sense_depth(depth, DepthSensor(shift_px=(3.0, 0.0)), np.random.default_rng(0))
    assert np.allclose(moved[:, 3:], depth[:, :-3])
    far = sense_depth(wall(1.0), DepthSensor(scale_error=0.01), np.random.default_rng(0))
    assert np.allclose(far, 1.01, atol=1e-5)


@pytest.mark.parametrize("radius", [0.0, 0.8, 2.0, 5.0])
def test_smooth_noise_has_unit_variance(radius: float) -> None:
    fields = np.stack([smooth_normal(np.random.default_rng(s), SHAPE, radius) for s in range(4)])
    assert fields.std() == pytest.approx(1.0, abs=0.06)
    assert fields.mean() == pytest.approx(0.0, abs=0.08)
    neighbours = np.corrcoef(fields[0, :, :-1].ravel(), fields[0, :, 1:].ravel())[0, 1]
    expected = np.exp(-1 / (4 * radius**2)) if radius > 0 else 0.0
    assert neighbours == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("wrong", [{"hole_rate": 1.5}, {"focal_px": 0.0}, {"edge_drop_rate": -0.1}])
def test_impossible_figures_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        DepthSensor(**wrong)
