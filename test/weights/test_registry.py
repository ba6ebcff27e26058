"""The weights that come with the package: intact, with a card and a licence, small enough to ship."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from storm_ros.cli.main import main
from storm_ros.weights import WeightsError, entries, find, verified
from storm_ros.weights.registry import INDEX

LARGEST_BYTES = 16 * 2**20


@pytest.mark.parametrize("entry", entries(), ids=lambda e: e.name)
def test_shipped_weights_are_intact(entry: object) -> None:
    entry = find(entry.name)  # type: ignore[attr-defined]
    path = verified(entry)
    assert path.stat().st_size <= LARGEST_BYTES
    card = path.with_name(entry.card).read_text(encoding="utf-8")
    assert entry.name in card
    assert entry.licence in card


def test_there_are_weights_for_the_segmenter() -> None:
    assert "som-nano" in {entry.name for entry in entries()}


def test_a_wrong_checksum_is_refused() -> None:
    with pytest.raises(WeightsError, match="000000000000… is registered"):
        verified(replace(find("som-nano"), sha256="0" * 64))


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(WeightsError, match="is missing"):
        verified(replace(find("som-nano"), file="gone.safetensors"))


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(WeightsError, match="som-nano"):
        find("som-huge")


def test_a_damaged_registry_is_named(tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text(json.dumps({"som-nano": {"file": "x"}}))
    with pytest.raises(WeightsError, match="cannot be read"):
        entries(tmp_path)


def test_list_and_verify(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "list"]) == 0
    assert "som-nano" in capsys.readouterr().out
    assert main(["weights", "verify"]) == 0
    assert "som-nano  intact" in capsys.readouterr().out
    assert main(["weights", "verify", "som-huge"]) == 1
    assert "no weights are called 'som-huge'" in capsys.readouterr().err


def test_verify_fails_on_an_altered_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import storm_ros.weights.registry as registry

    entry = find("som-nano")
    data = bytearray(entry.path.read_bytes())
    data[-1] ^= 1
    (tmp_path / entry.file).write_bytes(bytes(data))
    (tmp_path / INDEX).write_text((registry.FOLDER / INDEX).read_text())
    monkeypatch.setattr(registry, "FOLDER", tmp_path)
    assert main(["weights", "verify", "som-nano"]) == 1
    assert "is registered: the file was altered or damaged" in capsys.readouterr().err
