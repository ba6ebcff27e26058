"""One parameter per setting, with its text and range; what cannot take effect is refused with the reason."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from ros_messages import ROOT

from storm_ros.core.config import StormConfig, knobs, load_yaml
from storm_ros.core.errors import ConfigError
from storm_ros.ros.parameters import (
    STORM_DEFAULTS,
    Parameters,
    Settings,
    all_knobs,
    checked,
    description,
    is_live,
    live_changes,
    object_frame,
    parameter_file,
    refusal,
    settings_from,
    unknown_names,
)
from storm_ros.ros.settings import NodeConfig


def test_every_setting_is_a_parameter_once():
    names = [knob.key for part in (StormConfig(), NodeConfig()) for knob in knobs(part)]
    assert sorted(all_knobs()) == sorted(names)
    assert len(set(names)) == len(names)


def test_only_the_search_differs_from_the_defaults_of_recordings():
    usual = {knob.key: knob.value for knob in knobs(StormConfig())}
    differing = {knob.key for knob in knobs(STORM_DEFAULTS) if knob.value != usual[knob.key]}
    assert differing == {"search.background"}


def test_parameter_file_is_up_to_date():
    """config/node.yaml is written by `parameter_file`; write it again after a change of the settings."""
    assert (ROOT / "config" / "node.yaml").read_text(encoding="utf-8") == parameter_file()


def test_parameter_file_changes_nothing(tmp_path: Path):
    """What the file says are the defaults: read back part by part it gives the settings as they are."""
    import yaml

    tree = yaml.safe_load(parameter_file())["/**"]["ros__parameters"]
    search = {"/**": {"ros__parameters": {"search": tree.pop("search")}}}
    (tmp_path / "node.yaml").write_text(yaml.safe_dump({"/**": {"ros__parameters": tree}}))
    (tmp_path / "search.yaml").write_text(yaml.safe_dump(search))
    assert load_yaml(tmp_path / "node.yaml", NodeConfig()) == NodeConfig()
    assert load_yaml(tmp_path / "search.yaml", StormConfig()) == STORM_DEFAULTS


def test_descriptions_have_choices_and_say_when_a_change_counts():
    for name, knob in all_knobs().items():
        text = description(knob)
        assert text.startswith(knob.text)
        assert all(choice in text for choice in knob.choices or ())
        assert ("Takes effect at configure" in text) is not is_live(name)


def test_values_reach_both_parts():
    settings = settings_from({"gate.tau": 1, "sync.slop": 0.1, "object_id": "cup", "pose.samples": 500})
    assert settings.storm.gate.tau == 1.0
    assert isinstance(settings.storm.gate.tau, float)
    assert settings.storm.pose.samples == 500
    assert (settings.node.sync.slop, settings.node.object_id) == (0.1, "cup")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("gate.tau", 99.0, "-20 to 20"),
        ("gate.tau", "high", "a number"),
        ("gate.patience", 2.5, "a whole number"),
        ("publish.tf", 1, "true or false"),
        ("device.name", "tpu", "one of auto, cpu, cuda"),
        ("gate.tua", 1.0, "did you mean 'gate.tau'"),
        ("sync.slop", 0.0, "0.001 to 1"),
        ("object_id", "", "at least one"),
        ("object_id", "a b", "letters, digits"),
        ("object_frame", "/cup", "without a leading '/'"),
        ("object_frame", "cup {name}", "TF frame"),
        ("object_frame", "{}", "TF frame"),
        ("object_frame", "a{b", "TF frame"),
    ],
)
def test_values_that_do_not_fit_say_what_does(name, value, words):
    with pytest.raises(ConfigError) as caught:
        settings_from({name: value})
    assert words in str(caught.value)


@pytest.mark.parametrize("frame", ["part", "storm/{object_id}", "robot1/objects/{object_id}", ""])
def test_frames_that_may_be_set(frame):
    assert checked("object_frame", frame) == frame


def test_object_frames():
    assert object_frame("", "cup") == "storm/cup"
    assert object_frame("part", "cup") == "part"
    assert object_frame("r1/{object_id}_frame", "cup") == "r1/cup_frame"


@pytest.mark.parametrize("name", ["gate.tau", "search.every", "object_frame", "sync.slop", "publish.tf"])
def test_live_parameters_change_any_time(name):
    assert refusal(name, configured=True) is None


@pytest.mark.parametrize("name", ["device.name", "pose.samples", "segmenter.name", "verifier.name", "references"])
def test_others_wait_for_cleanup_and_say_so(name):
    assert refusal(name, configured=False) is None
    assert "cleanup" in str(refusal(name, configured=True))


def test_live_changes_leave_the_parts_alone():
    before = settings_from({})
    after = settings_from(
        {"gate.tau": 0.5, "pose.samples": 333, "search.every": 7, "sync.slop": 0.2, "references": "x"}
    )
    used = live_changes(before, after)
    assert used.storm == dataclasses.replace(before.storm, gate=after.storm.gate, search=after.storm.search)
    assert (used.node.sync.slop, used.node.references) == (0.2, "")


def test_unknown_overrides_are_told_with_what_may_be_meant():
    lines = unknown_names(["gate.tua", "use_sim_time", "qos_overrides./image.subscription.depth", "gate.tau"])
    assert lines == ["parameter 'gate.tua' is unknown and has no effect: did you mean 'gate.tau'?"]


class Declared(Parameters):
    """Parameters without a node, for what does not need one."""

    def __init__(self) -> None:
        self.faults = {"gate.tau": "gate.tau = 99.0 is out of range"}
        self.settings = settings_from({})


def test_accept_checks_and_keep_heals():
    parameters = Declared()
    settings = parameters.accept({"gate.tau": 0.25, "use_sim_time": True}, configured=True)
    assert isinstance(settings, Settings)
    assert parameters.settings.storm.gate.tau == 0.0
    parameters.keep(settings, ["gate.tau"])
    assert parameters.settings.storm.gate.tau == 0.25
    assert parameters.faults == {}


def test_accept_refuses_what_cannot_change_now_but_takes_the_same_value():
    parameters = Declared()
    same = all_knobs()["pose.samples"].value
    assert parameters.accept({"pose.samples": same}, configured=True) == parameters.settings
    with pytest.raises(ConfigError, match="takes effect when the node is configured"):
        parameters.accept({"pose.samples": same + 1}, configured=True)
    assert parameters.accept({"pose.samples": same + 1}, configured=False).storm.pose.samples == same + 1


def test_accept_refuses_removal():
    with pytest.raises(ConfigError, match="cannot be removed"):
        Declared().accept({"gate.tau": None}, configured=False)
