"""Images of every encoding and layout become the same frame, and frames become the right messages."""

from __future__ import annotations

import array

import numpy as np
import pytest
from ros_messages import CAMERA, HEIGHT, STAMP_NS, WIDTH, empty, image, info, raw_image
from scipy.spatial.transform import Rotation

from storm_ros.core.errors import InputError
from storm_ros.io.messages import make, parse, typestore
from storm_ros.ros.conversions import (
    COLOUR_ENCODINGS,
    DEPTH_ENCODINGS,
    fill_image,
    fill_pose,
    fill_time,
    fill_transform,
    frame_of,
    mask_of,
    pixel_bytes,
    quaternion_of,
    stamp_ns,
)

RGB = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
RAW = np.random.default_rng(1).integers(300, 4000, (HEIGHT, WIDTH)).astype(np.uint16)
RAW[::5, ::3] = 0
METRES = RAW.astype(np.float32) * np.float32(0.001)


def depth(pixels: np.ndarray = RAW, encoding: str = "16UC1"):
    return image(pixels, encoding)


def with_alpha(rgb: np.ndarray) -> np.ndarray:
    return np.dstack([rgb, np.full(rgb.shape[:2], 7, np.uint8)])


@pytest.mark.parametrize(
    ("pixels", "encoding"),
    [
        (RGB, "rgb8"),
        (RGB[..., ::-1], "bgr8"),
        (RGB[..., ::-1], "8UC3"),
        (with_alpha(RGB), "rgba8"),
        (with_alpha(RGB[..., ::-1]), "bgra8"),
        (with_alpha(RGB[..., ::-1]), "8UC4"),
    ],
)
def test_colour_encodings_give_the_same_rgb(pixels, encoding):
    frame = frame_of(image(pixels, encoding), depth(), info())
    assert np.array_equal(frame.rgb, RGB)
    assert (frame.stamp_ns, frame.frame_id, frame.camera) == (STAMP_NS, "cam", CAMERA)


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_grey_becomes_three_equal_channels(encoding):
    frame = frame_of(image(RGB[..., 0], encoding), depth(), info())
    assert np.array_equal(frame.rgb, np.repeat(RGB[..., :1], 3, axis=2))


@pytest.mark.parametrize("encoding", ["16UC1", "mono16"])
def test_sixteen_bit_depth_is_millimetres_with_zero_invalid(encoding):
    frame = frame_of(image(RGB, "rgb8"), depth(RAW, encoding), info())
    assert np.allclose(frame.depth_m, METRES, atol=1e-7)
    assert (frame.depth_m[::5, ::3] == 0).all()


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf, 0.0, -1.0])
def test_float_depth_is_metres_and_all_kinds_of_holes_become_zero(hole):
    metres = np.where(RAW > 0, METRES, np.float32(hole)).astype(np.float32)
    frame = frame_of(image(RGB, "rgb8"), depth(metres, "32FC1"), info())
    assert np.array_equal(frame.depth_m, METRES)


@pytest.mark.parametrize(("kind", "encoding"), [(">u2", "16UC1"), (">f4", "32FC1")])
def test_big_endian_depth(kind, encoding):
    values = (RAW if encoding == "16UC1" else METRES).astype(kind)
    message = raw_image(WIDTH, HEIGHT, encoding, values.strides[0], values.view(np.uint8).reshape(-1), big=1)
    assert np.allclose(frame_of(image(RGB, "rgb8"), message, info()).depth_m, METRES, atol=1e-7)


@pytest.mark.parametrize("pad", [1, 5, 64])
def test_rows_with_padding(pad):
    """A step that is no multiple of the pixel, with garbage between the rows."""
    rows = np.full((HEIGHT, WIDTH * 3 + pad), 99, np.uint8)
    rows[:, : WIDTH * 3] = RGB.reshape(HEIGHT, -1)
    deep = np.full((HEIGHT, WIDTH * 2 + pad), 99, np.uint8)
    deep[:, : WIDTH * 2] = RAW.view(np.uint8).reshape(HEIGHT, -1)
    colour = raw_image(WIDTH, HEIGHT, "rgb8", rows.shape[1], rows.reshape(-1))
    distance = raw_image(WIDTH, HEIGHT, "16UC1", deep.shape[1], deep.reshape(-1))
    frame = frame_of(colour, distance, info())
    assert np.array_equal(frame.rgb, RGB)
    assert np.allclose(frame.depth_m, METRES, atol=1e-7)


@pytest.mark.parametrize("holder", [lambda b: array.array("B", b), bytes, bytearray, list])
def test_bytes_in_any_holder(holder):
    """Rclpy gives array.array; others give bytes or lists."""

    def held(pixels):
        data = holder(pixels.tobytes())
        return np.frombuffer(data, np.uint8) if isinstance(data, bytes | bytearray) else data

    colour = raw_image(WIDTH, HEIGHT, "rgb8", WIDTH * 3, held(RGB))
    distance = raw_image(WIDTH, HEIGHT, "16UC1", WIDTH * 2, held(RAW))
    frame = frame_of(colour, distance, info())
    assert np.array_equal(frame.rgb, RGB)
    assert np.allclose(frame.depth_m, METRES, atol=1e-7)


def test_frame_does_not_share_memory_with_the_message():
    message = image(RGB.copy(), "rgb8")
    frame = frame_of(message, depth(), info())
    message.data[:] = 0
    assert np.array_equal(frame.rgb, RGB)


@pytest.mark.parametrize(
    ("colour", "distance", "words"),
    [
        (image(RGB, "yuv422"), depth(), "encoding 'yuv422'"),
        (image(RGB, "rgb8"), depth(RAW, "8UC2"), "16UC1 (millimetres) or 32FC1 (metres)"),
        (image(RGB, "rgb8"), depth(METRES * 1000, "32FC1"), "divide it by 1000, or publish it as 16UC1"),
        (image(RGB, "rgb8"), depth(RAW[:24, :32]), "align_depth.enable:=true"),
        (raw_image(WIDTH, HEIGHT, "rgb8", WIDTH * 3, np.zeros(100, np.uint8)), depth(), "100 bytes"),
        (raw_image(WIDTH, HEIGHT, "rgb8", 10, RGB.reshape(-1)), depth(), "rows of 10"),
        (raw_image(0, 0, "rgb8", 0, np.zeros(0, np.uint8)), depth(), "0x0"),
    ],
    ids=["colour", "depth", "millimetres as metres", "size", "cut off", "short step", "empty"],
)
def test_what_cannot_be_used_says_why(colour, distance, words):
    with pytest.raises(InputError) as caught:
        frame_of(colour, distance, info())
    assert words in str(caught.value)


def test_camera_of_another_size_is_refused():
    with pytest.raises(InputError, match="camera_info of this very image"):
        frame_of(image(RGB, "rgb8"), depth(), info(CAMERA.scaled(2)))


@pytest.mark.parametrize(("kind", "encoding"), [(np.uint8, "mono8"), (np.uint16, "16UC1"), (np.uint8, "8UC1")])
def test_mask_is_what_is_above_zero(kind, encoding):
    values = np.zeros((HEIGHT, WIDTH), kind)
    values[3:9, 5:20] = 1 if kind == np.uint8 else 256
    assert np.array_equal(mask_of(image(values, encoding)), values > 0)


def test_mask_of_three_channels_is_refused():
    with pytest.raises(InputError, match="mono8 is needed"):
        mask_of(image(RGB, "rgb8"))


def test_mask_that_is_cut_off_is_refused():
    with pytest.raises(InputError, match="10 bytes"):
        mask_of(raw_image(WIDTH, HEIGHT, "mono8", WIDTH, np.zeros(10, np.uint8)))


@pytest.mark.parametrize("pixels", [RGB[..., 0], RGB, RGB[::2, ::3], RGB[..., 0].T])
def test_filled_image_has_the_bytes_in_an_array(pixels):
    encoding = "rgb8" if pixels.ndim == 3 else "mono8"
    message = fill_image(empty("Image"), "head", pixels, encoding)
    assert isinstance(message.data, array.array)
    assert message.data.typecode == "B"
    assert (message.height, message.width, message.header) == (*pixels.shape[:2], "head")
    assert message.step * message.height == len(message.data)
    assert message.data.tobytes() == pixels.tobytes()


@pytest.mark.parametrize("pixels", [RAW, METRES, RAW.astype(">u2")], ids=["16 bit", "float", "big-endian"])
def test_filled_depth_reads_back(pixels):
    encoding = "32FC1" if pixels.dtype.kind == "f" else "16UC1"
    filled = fill_image(empty("Image"), None, pixels, encoding)
    assert (filled.width, filled.step) == (WIDTH, WIDTH * pixels.itemsize)
    message = raw_image(filled.width, filled.height, filled.encoding, filled.step, filled.data)
    assert np.allclose(frame_of(image(RGB, "rgb8"), message, info()).depth_m, METRES, atol=1e-7)


def test_filled_image_reads_back_through_cdr():
    """The same bytes, through the real serialisation."""
    filled = fill_image(empty("Image"), None, RGB, "rgb8")
    message = raw_image(filled.width, filled.height, filled.encoding, filled.step, np.asarray(filled.data))
    data = typestore().serialize_cdr(message, "sensor_msgs/msg/Image")
    back = parse(data, "sensor_msgs/msg/Image")
    assert np.array_equal(frame_of(back, depth(), info()).rgb, RGB)


def test_quarter_turn_about_z():
    cam_T_obj = np.array([[0.0, -1, 0, 0.1], [1, 0, 0, 0.2], [0, 0, 1, 0.3], [0, 0, 0, 1]])
    pose, transform = fill_pose(empty("Pose"), cam_T_obj), fill_transform(empty("Transform"), cam_T_obj)
    assert (pose.position.x, pose.position.y, pose.position.z) == pytest.approx((0.1, 0.2, 0.3))
    quaternion = (pose.orientation.x, pose.orientation.y, pose.orientation.z, pose.orientation.w)
    assert np.allclose(np.array(quaternion) * np.sign(quaternion[3]), [0, 0, np.sqrt(0.5), np.sqrt(0.5)])
    assert transform.translation.x == pytest.approx(0.1)
    assert transform.rotation.z == pytest.approx(pose.orientation.z)


def test_quaternions_of_any_rotation():
    """As SciPy's, for random rotations and for half turns about each axis, where most components vanish."""
    rotations = [*Rotation.random(200, random_state=0).as_matrix()]
    rotations += [np.diag(signs) for signs in ([1.0, -1, -1], [-1.0, 1, -1], [-1.0, -1, 1], [1.0, 1, 1])]
    for rotation in rotations:
        pose = np.eye(4)
        pose[:3, :3] = rotation
        found = np.array(quaternion_of(pose))
        assert found[3] >= 0
        assert np.linalg.norm(found) == pytest.approx(1.0)
        assert np.allclose(Rotation.from_quat(found).as_matrix(), rotation, atol=1e-12)


@pytest.mark.parametrize("nanoseconds", [0, 1, 1_700_000_000_123_456_789, 999_999_999, 1_000_000_000])
def test_stamps_keep_every_nanosecond(nanoseconds):
    stamp = fill_time(make("builtin_interfaces/msg/Time", sec=0, nanosec=0), nanoseconds)
    assert stamp_ns(stamp) == nanoseconds
    assert 0 <= stamp.nanosec < 1_000_000_000


def test_pixel_sizes_are_known_for_all_encodings_and_no_others():
    assert all(pixel_bytes(encoding) for encoding in (*COLOUR_ENCODINGS, *DEPTH_ENCODINGS))
    assert pixel_bytes("bayer_rggb8") is None
