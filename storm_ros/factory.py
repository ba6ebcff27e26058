"""Chooses the parts by the configuration and puts them together."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import TYPE_CHECKING

from storm_ros.core.config import GateConfig, SegmenterConfig, StormConfig, VerifierConfig
from storm_ros.core.errors import needs_torch
from storm_ros.core.protocols import Gate, Segmenter, StatesThreshold, Verifier
from storm_ros.core.tracker import Parts, Tracker

if TYPE_CHECKING:
    from storm_ros.som.template import TemplateSegmenter


def build_parts(config: StormConfig) -> Parts:
    """The implementations a configuration names.

    Raises:
        BackendUnavailableError: one of them needs a package or a device that is not there.
    """
    from storm_ros.mesh import LiftedMeshBuilder
    from storm_ros.pose import GeometricEstimator

    verifier = build_verifier(config.verifier)
    return Parts(
        mesh_builder=LiftedMeshBuilder(config.mesh),
        segmenter=build_segmenter(config.segmenter),
        pose=GeometricEstimator(config.pose, config.device.name, mesh=config.mesh),
        verifier=verifier,
        gate=build_gate(config.gate, verifier),
    )


def decided(config: StormConfig) -> StormConfig:
    """The configuration with "auto" replaced by what it means on this machine."""
    return replace(
        config,
        segmenter=replace(config.segmenter, name=_chosen(config.segmenter.name, "som", "template")),
        verifier=replace(config.verifier, name=_chosen(config.verifier.name, "tom", "inlier")),
    )


def _chosen(name: str, learned: str, plain: str) -> str:
    if name != "auto":
        return name
    return learned if importlib.util.find_spec("torch") is not None else plain


def build_segmenter(config: SegmenterConfig) -> Segmenter:
    """The segmenter a configuration names.

    Raises:
        BackendUnavailableError: it needs a package that is not there.
        WeightsError: its weights are missing or damaged.
    """
    if _chosen(config.name, "som", "template") == "som":
        with needs_torch("segmenter.name = som", "segmenter.name=template"):
            from storm_ros.som.segmenter import SomSegmenter
        return SomSegmenter(config, template=_template(config) if config.hints else None)
    return _template(config)


def _template(config: SegmenterConfig) -> TemplateSegmenter:
    from storm_ros.encoders import ColourGradientEncoder
    from storm_ros.som.template import TemplateSegmenter

    return TemplateSegmenter(ColourGradientEncoder(), config)


def build_verifier(config: VerifierConfig) -> Verifier:
    """The verifier a configuration names.

    Raises:
        BackendUnavailableError: it needs a package that is not there.
        WeightsError: its weights are missing or damaged.
    """
    if _chosen(config.name, "tom", "inlier") == "tom":
        with needs_torch("verifier.name = tom", "verifier.name=inlier"):
            from storm_ros.tom.verifier import TomVerifier
        return TomVerifier(config)
    from storm_ros.tom import InlierVerifier

    return InlierVerifier()


def build_gate(config: GateConfig, verifier: Verifier) -> Gate:
    """The gate a configuration names; its threshold is the verifier's own unless `gate.tau` says another."""
    from storm_ros.tom.adaptive import AdaptiveGate
    from storm_ros.tom.gate import EnergyGate

    own = verifier.tau if isinstance(verifier, StatesThreshold) else 0.0
    return (AdaptiveGate if config.name == "adaptive" else EnergyGate)(config, tau=config.tau or own)


def create_tracker(config: StormConfig | None = None) -> Tracker:
    """A tracker with the parts its configuration names; the defaults run at once, offline, on a CPU.

    Args:
        config: settings; the defaults when left out.
    """
    config = decided(config or StormConfig())
    return Tracker(build_parts(config), config)
