import numpy as np

from storm_ros.core import se3
from storm_ros.core.types import TrackStatus
from storm_ros.io import overlay


def test_a_result_is_drawn_into_a_copy(step_result, frame_of):
    frame = frame_of(0)
    before = frame.rgb.copy()
    image = overlay.draw_result(frame, step_result(0, TrackStatus.TRACKING), {"cup": 0.05})
    assert np.array_equal(frame.rgb, before)
    assert image.shape == frame.rgb.shape
    green = overlay.STATUS_RGB[TrackStatus.TRACKING]
    assert np.abs(image[34, 25:40].astype(int) - green).sum(-1).min() < 120, "the mask's lower rim is green"


def test_axes_point_where_the_camera_model_says(frame_of):
    frame = frame_of(0)
    image = np.zeros((480, 640, 3), np.uint8)
    camera = frame.camera.window(0, 0, 64, 48, 640, 480)
    pose = se3.transform(np.eye(3), [0, 0, 0.5])
    overlay.draw_axes(image, pose, camera, 0.1)
    (u, v), (ux, vx) = camera.project([[0.0, 0, 0.5], [0.1, 0, 0.5]])
    red, green, _ = image[round(v), round((u + ux) / 2)].astype(int)
    assert vx == v
    assert red > 150 > green


def test_nothing_is_drawn_behind_the_camera(frame_of):
    image = np.zeros((48, 64, 3), np.uint8)
    overlay.draw_axes(image, se3.transform(np.eye(3), [0, 0, -0.5]), frame_of(0).camera, 0.1)
    assert not image.any()


def test_a_lost_object_is_told_in_words_and_red(step_result, frame_of):
    result = step_result(0, TrackStatus.LOST)
    assert overlay.status_text(result.objects["cup"]) == "cup: LOST"
    big = np.zeros((480, 640, 3), np.uint8)
    overlay.draw_label(big, "cup: LOST", overlay.STATUS_RGB[TrackStatus.LOST], 0)
    reddest = big[big[..., 0].argmax() // 640, big[..., 0].argmax() % 640]
    assert tuple(reddest) == overlay.STATUS_RGB[TrackStatus.LOST]


def test_jpeg_makes_large_images_smaller_and_leaves_small_ones(frame_of):
    import cv2

    for width, expected in ((960, 480), (100, 100)):
        data = overlay.jpeg(np.zeros((width // 2, width, 3), np.uint8))
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[1] == expected
