"""Shards made of recordings with truth (BOP datasets, rendered or real), in the same form as simulated ones."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from storm_ros.core.errors import InputError
from storm_ros.core.types import Camera, Mask, RgbdFrame
from storm_ros.io import Recording
from storm_ros.io.recording import GroundTruth
from storm_ros.training.scenes import Arrays, angles_deg
from storm_ros.training.settings import SceneConfig
from storm_ros.training.shards import DEPTH_STEP_M, FIELDS

_REFERENCE_MARGIN = 1.5
_MIN_MASK_PX = 60


def write_recorded_shard(folder: Path, config: SceneConfig, number: int, recording: Recording) -> Path:
    """Cut a recording into scenes and write them as one shard; a shard that is there already stays.

    Args:
        folder: of all shards.
        config: how many scenes, query images and references, and their sizes.
        number: of the shard; with the seed it decides which frames are taken.
        recording: frames with poses and masks.

    Returns:
        The shard's folder.

    Raises:
        InputError: no truth, fewer than two frames, or no object with masks.
    """
    target = folder / f"{number:05d}"
    if target.is_dir():
        return target
    truth = recording.ground_truth
    if truth is None or len(recording.numbers) < 2:
        raise InputError(f"{recording.name} has no truth or a single frame: a BOP scene with poses and masks is needed")
    ids = [i for i in truth.object_ids if any(truth.mask(n, i) is not None for n in recording.numbers)]
    if not ids:
        raise InputError(f"{recording.name} has no masks (mask_visib): they are what is trained on")
    rng = np.random.default_rng([config.seed, number, 3])
    scenes = [_scene(recording, truth, ids, config, rng) for _ in range(config.scenes)]
    draft = folder / f".{number:05d}.{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for name in FIELDS:
        np.save(draft / f"{name}.npy", np.stack([scene[name] for scene in scenes]))
    os.replace(draft, target)
    return target


def _scene(
    recording: Recording, truth: GroundTruth, ids: list[int], config: SceneConfig, rng: np.random.Generator
) -> Arrays:
    count, width, height, side = len(ids), config.width, config.height, config.reference_px
    q, r = config.queries, config.references
    eye = np.eye(4, dtype=np.float32)
    out: Arrays = {
        "rgb": np.zeros((q, height, width, 3), np.uint8), "depth": np.zeros((q, height, width), np.uint16),
        "owner": np.zeros((q, height, width), np.uint8), "focal": np.ones(q, np.float32),
        "centre": np.zeros((q, 2), np.float32),
        "visible": np.zeros((q, count), np.int32), "whole": np.zeros((q, count), np.int32),
        "cam_T_obj": np.tile(eye, (q, count, 1, 1)), "ref_cam_T_obj": np.tile(eye, (count, r, 1, 1)),
        "ref_rgb": np.zeros((count, r, side, side, 3), np.uint8),
        "ref_depth": np.zeros((count, r, side, side), np.uint16), "ref_mask": np.zeros((count, r, side, side), bool),
        "ref_focal": np.ones((count, r), np.float32), "ref_centre": np.zeros((count, r, 2), np.float32),
        "ref_visible": np.zeros((count, r), np.float32),
    }  # fmt: skip
    frames = list(recording.numbers)
    for k in range(q):
        number = int(frames[rng.integers(len(frames))])
        frame = recording.read(number)
        out["rgb"][k] = cv2.resize(frame.rgb, (width, height), interpolation=cv2.INTER_AREA)
        out["depth"][k] = _units(cv2.resize(frame.depth_m, (width, height), interpolation=cv2.INTER_NEAREST))
        camera = frame.camera.window(0, 0, frame.camera.width, frame.camera.height, width, height)
        out["focal"][k], out["centre"][k] = camera.fx, (camera.cx, camera.cy)
        for i, obj_id in enumerate(ids):
            mask, pose = truth.mask(number, obj_id), truth.pose(number, obj_id)
            if mask is None or pose is None:
                continue
            small = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
            out["owner"][k][small] = i + 1
            out["cam_T_obj"][k, i] = pose
            share = truth.visible_fraction(number, obj_id)
            out["whole"][k, i] = round(int(small.sum()) / max(share if share is not None else 1.0, 0.05))
        out["visible"][k] = np.bincount(out["owner"][k].ravel(), minlength=count + 1)[1 : count + 1]
    for i, obj_id in enumerate(ids):
        for j in range(r):
            _fill_reference(out, (i, j), recording, truth, obj_id, frames, rng)
    out["angle_deg"] = angles_deg(out["cam_T_obj"], out["ref_cam_T_obj"])
    return out


def _fill_reference(
    out: Arrays, place: tuple[int, int], recording: Recording, truth: GroundTruth, obj_id: int, frames: list[int],
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """A crop of a random frame that shows the object; none is left empty, and so not used."""
    for number in rng.permutation(np.array(frames))[:20]:
        mask, pose = truth.mask(int(number), obj_id), truth.pose(int(number), obj_id)
        if mask is None or pose is None or mask.sum() < _MIN_MASK_PX:
            continue
        frame = recording.read(int(number))
        side = out["ref_rgb"].shape[2]
        rgb, depth, cover, camera = _crop(frame, mask, side)
        out["ref_rgb"][place], out["ref_depth"][place], out["ref_mask"][place] = rgb, depth, cover
        out["ref_focal"][place], out["ref_centre"][place] = camera.fx, (camera.cx, camera.cy)
        share = truth.visible_fraction(int(number), obj_id)
        out["ref_visible"][place] = 1.0 if share is None else share
        out["ref_cam_T_obj"][place] = pose
        return


def _crop(
    frame: RgbdFrame, mask: Mask, side: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint16], npt.NDArray[np.bool_], Camera]:
    rows, columns = np.nonzero(mask)
    size = _REFERENCE_MARGIN * (max(int(np.ptp(rows)), int(np.ptp(columns))) + 1)
    scale = size / side
    middle = (columns.min() + columns.max()) / 2.0, (rows.min() + rows.max()) / 2.0
    to_frame = np.array([
        [scale, 0.0, middle[0] - scale * (side - 1) / 2], [0.0, scale, middle[1] - scale * (side - 1) / 2],
    ])  # fmt: skip
    flags = cv2.WARP_INVERSE_MAP
    rgb = frame.rgb if scale < 1.2 else cv2.GaussianBlur(frame.rgb, (0, 0), 0.4 * scale)
    colour = cv2.warpAffine(
        rgb, to_frame, (side, side), flags=cv2.INTER_LINEAR | flags, borderMode=cv2.BORDER_REPLICATE
    )
    depth = cv2.warpAffine(frame.depth_m, to_frame, (side, side), flags=cv2.INTER_NEAREST | flags)
    cover = cv2.warpAffine(mask.astype(np.float32), to_frame, (side, side), flags=cv2.INTER_LINEAR | flags)
    camera = Camera(
        side, side, frame.camera.fx / scale, frame.camera.fy / scale, (frame.camera.cx - to_frame[0, 2]) / scale,
        (frame.camera.cy - to_frame[1, 2]) / scale,
    )  # fmt: skip
    return np.asarray(colour, np.uint8), _units(depth), np.asarray(cover) > 0.5, camera


def _units(depth_m: npt.ArrayLike) -> npt.NDArray[np.uint16]:
    return np.clip(np.rint(np.asarray(depth_m) / DEPTH_STEP_M), 0, 65535).astype(np.uint16)
