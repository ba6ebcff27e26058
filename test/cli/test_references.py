from pathlib import Path

import pytest

from storm_ros.cli.errors import UsageError
from storm_ros.cli.options import parse_topics
from storm_ros.cli.references import ReferenceSpec, parse_reference


@pytest.mark.parametrize(
    ("text", "fields", "reason"),
    [
        ("frame=0,gt=1", {"frame": 0, "gt": 1}, "a true object"),
        ("gt=1,frame=12", {"frame": 12, "gt": 1}, "in any order"),
        ("frame=111,mask=a/b.png", {"frame": 111, "mask": Path("a/b.png")}, "a mask file"),
        ("frame=1,mask=a,b.png", {"frame": 1, "mask": Path("a,b.png")}, "a comma in a file name"),
        ("frame=1,mask=a=b.png", {"frame": 1, "mask": Path("a=b.png")}, "an equals sign in a file name"),
        ("frame=3,box=10,20,30,40", {"frame": 3, "box": (10.0, 20.0, 30.0, 40.0)}, "a box"),
        ("frame=3,box=10.5,20,30,40,name=cup", {"frame": 3, "box": (10.5, 20.0, 30.0, 40.0), "name": "cup"}, "named"),
        ("frame=3,point=5,6", {"frame": 3, "point": (5.0, 6.0)}, "a point"),
        ("name=my.cup-2,frame=3,point=5,6", {"frame": 3, "point": (5.0, 6.0), "name": "my.cup-2"}, "name first"),
    ],
)
def test_forms(text, fields, reason):
    assert parse_reference(text) == ReferenceSpec(text, **fields), reason


@pytest.mark.parametrize(
    ("text", "words", "reason"),
    [
        ("", "no such folder", "nothing at all"),
        ("frame=0", "exactly one of mask, box, point, gt is needed, none given", "no prompt"),
        ("gt=1", "frame=N is missing", "no frame"),
        ("frame=0,gt=1,point=2,3", "point and gt given", "two prompts"),
        ("frame=0,gt=1,gt=2", "'gt' is given twice", "one key twice"),
        ("frame=0,colour=red,gt=1", "unknown key 'colour'", "an unknown key"),
        ("frame=x,gt=1", "frame='x' is not a whole number", "a frame that is no number"),
        ("frame=-1,gt=1", "frame='-1' is not a whole number", "a negative frame"),
        ("frame=1.5,gt=1", "is not a whole number", "half a frame"),
        ("frame=0,gt=cup", "gt='cup' is not a whole number", "an object id that is no number"),
        ("frame=0,box=1,2,3", "must be the numbers x,y,w,h", "three numbers for a box"),
        ("frame=0,box=1,2,0,4", "w and h must be positive", "a flat box"),
        ("frame=0,point=1", "must be the numbers u,v", "one number for a point"),
        ("frame=0,point=1,nan", "must be the numbers u,v", "a point nowhere"),
        ("frame=0,mask=", "mask= is empty", "no file name"),
        ("frame=0,gt=1,name=a/b", "letters, digits", "a name that is no file name"),
        ("/no/such/folder", "no such folder", "a folder that is not there"),
    ],
)
def test_what_cannot_be_meant(text, words, reason):
    with pytest.raises(UsageError) as caught:
        parse_reference(text)
    assert words in str(caught.value), reason
    assert "\n" not in str(caught.value), "one line"


def test_a_saved_reference_is_a_folder_with_or_without_a_name(tmp_path):
    assert parse_reference(str(tmp_path)).folder == tmp_path
    named = parse_reference(f"{tmp_path},name=cup")
    assert (named.folder, named.name) == (tmp_path, "cup")
    with pytest.raises(UsageError, match="takes name=ID only, not gt"):
        parse_reference(f"{tmp_path},gt=1")
    odd = tmp_path / "frame=1"
    odd.mkdir()
    assert parse_reference(str(odd)).folder == odd


def test_topics():
    assert parse_topics("image=/a/rgb,info=/a/info") == {"image": "/a/rgb", "info": "/a/info"}
    assert parse_topics(None) == {}
    for text, words in (("color=/a", "unknown 'color'"), ("image=", "has no topic"), ("/a/rgb", "has no '='")):
        with pytest.raises(UsageError, match=words):
            parse_topics(text)
