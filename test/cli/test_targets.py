import numpy as np
import pytest

from storm_ros.cli.errors import UsageError
from storm_ros.cli.references import parse_reference
from storm_ros.cli.targets import resolve
from storm_ros.core.errors import InputError, RecordingError


def specs(*texts):
    return [parse_reference(text) for text in texts]


def test_a_true_object_brings_its_mask_and_its_numbers(make_recording, square):
    (target,) = resolve(specs("frame=12,gt=7"), make_recording())
    assert (target.object_id, target.obj_id, target.gt_id, target.number) == ("obj_7", 7, 7, 12)
    assert np.array_equal(target.mask, square())
    assert target.frame.index == 12


def test_a_mask_is_matched_with_the_true_object_it_shows(make_recording, mask_file, square):
    (target,) = resolve(specs(f"frame=12,mask={mask_file(square(left=22))}"), make_recording())
    assert (target.object_id, target.obj_id, target.gt_id) == ("object", 7, 7)
    (target,) = resolve(specs(f"frame=12,mask={mask_file(square(left=40))}"), make_recording())
    assert (target.obj_id, target.gt_id) == (1, None), "it shows another thing"
    (target,) = resolve(specs(f"frame=12,mask={mask_file(square())}"), make_recording(truth=False))
    assert (target.obj_id, target.gt_id) == (1, None)


def test_an_object_without_a_mask_is_known_by_its_centre(make_recording, mask_file):
    mask = np.zeros((48, 64), bool)
    mask[10:40, 60:64] = True
    recording = make_recording()
    truth = recording.ground_truth
    truth.pose = lambda number, obj_id: np.array([[1, 0, 0, 0.25], [0, 1, 0, 0], [0, 0, 1, 0.5], [0, 0, 0, 1.0]])
    (target,) = resolve(specs(f"frame=12,mask={mask_file(mask)}"), recording)
    assert target.gt_id == 8


@pytest.mark.parametrize(
    ("texts", "names", "numbers", "reason"),
    [
        (("frame=10,mask=M", "frame=11,mask=N"), ["object", "object_2"], [1, 2], "counted up"),
        (("frame=10,mask=M,name=a", "frame=11,mask=N"), ["a", "object"], [1, 2], "named and not"),
        (("frame=10,mask=M,name=object", "frame=11,mask=N"), ["object", "object_2"], [1, 2], "the default is taken"),
        (("frame=10,mask=N", "frame=10,gt=7"), ["object", "obj_7"], [1, 7], "beside a true one"),
        (("frame=10,mask=S", "frame=10,gt=7"), ["object", "obj_7"], [1, 7], "the one that was typed keeps the number"),
    ],
)
def test_names_and_numbers(make_recording, mask_file, square, texts, names, numbers, reason):
    files = {
        "mask=M": mask_file(square(left=0), "m.png"),
        "mask=N": mask_file(square(left=44), "n.png"),
        "mask=S": mask_file(square(), "s.png"),
    }
    for key, path in files.items():
        texts = [t.replace(key, f"mask={path}") for t in texts]
    targets = resolve(specs(*texts), make_recording())
    assert ([t.object_id for t in targets], [t.obj_id for t in targets]) == (names, numbers), reason


@pytest.mark.parametrize(
    ("text", "kind", "words", "reason"),
    [
        ("frame=99,gt=7", UsageError, "no frame 99; the recording has 20 frames, 10 to 29", "a frame out of range"),
        ("frame=12,gt=9", UsageError, "no object 9 in the ground truth; there is 7, 8", "an unknown object"),
        ("frame=12,gt=8", InputError, "object 8 has no mask in that frame", "a true object without a mask"),
        ("frame=15,gt=7", RecordingError, "the image is cut off", "a frame that cannot be read"),
        ("frame=12,mask=/no/such.png", RecordingError, "mask /no/such.png does not exist", "no such mask"),
    ],
)
def test_references_that_cannot_be_used(make_recording, text, kind, words, reason):
    with pytest.raises(kind) as caught:
        resolve(specs(text), make_recording(unreadable={15}))
    assert words in str(caught.value), reason


def test_masks_that_cannot_be_used(make_recording, mask_file, tmp_path):
    with pytest.raises(InputError, match="the mask is empty"):
        resolve(specs(f"frame=12,mask={mask_file(np.zeros((48, 64)))}"), make_recording())
    with pytest.raises(InputError, match="the mask is 32x24 but the image is 64x48"):
        resolve(specs(f"frame=12,mask={mask_file(np.ones((24, 32)))}"), make_recording())
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(RecordingError, match="not an image"):
        resolve(specs(f"frame=12,mask={tmp_path / 'text.png'}"), make_recording())
    with pytest.raises(RecordingError, match="is a folder"):
        resolve(specs(f"frame=12,mask={tmp_path}"), make_recording())


def test_gt_needs_a_ground_truth(make_recording):
    with pytest.raises(UsageError, match="no ground truth; use mask="):
        resolve(specs("frame=12,gt=7"), make_recording(truth=False))


def test_two_objects_of_one_name(make_recording):
    with pytest.raises(UsageError, match="two references have the name 'obj_7'"):
        resolve(specs("frame=12,gt=7", "frame=13,gt=7"), make_recording())
