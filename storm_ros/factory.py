"""Chooses the parts by the configuration and puts them together."""

from __future__ import annotations

from storm_ros.core.config import SegmenterConfig, StormConfig
from storm_ros.core.errors import BackendUnavailableError
from storm_ros.core.protocols import Segmenter
from storm_ros.core.tracker import Parts, Tracker


def build_parts(config: StormConfig) -> Parts:
    """The implementations a configuration names.

    Raises:
        BackendUnavailableError: one of them needs a package or a device that is not there.
    """
    from storm_ros.mesh import LiftedMeshBuilder
    from storm_ros.pose import GeometricEstimator
    from storm_ros.tom import EnergyGate, InlierVerifier

    return Parts(
        mesh_builder=LiftedMeshBuilder(config.mesh),
        segmenter=build_segmenter(config.segmenter),
        pose=GeometricEstimator(config.pose, config.device.name),
        verifier=InlierVerifier(),
        gate=EnergyGate(config.gate),
    )


def build_segmenter(config: SegmenterConfig) -> Segmenter:
    """The segmenter a configuration names.

    Raises:
        BackendUnavailableError: it needs a package that is not there.
        WeightsError: its weights are missing or damaged.
    """
    if config.name == "som":
        try:
            from storm_ros.som.segmenter import SomSegmenter
        except ImportError as error:
            if error.name != "torch":
                raise
            raise BackendUnavailableError(
                "segmenter.name = som needs PyTorch: pip install storm_ros[learned], or use segmenter.name=template"
            ) from error
        return SomSegmenter(config)
    from storm_ros.encoders import ColourGradientEncoder
    from storm_ros.som.template import TemplateSegmenter

    return TemplateSegmenter(ColourGradientEncoder(), config)


def create_tracker(config: StormConfig | None = None) -> Tracker:
    """A tracker with the parts its configuration names; the defaults run at once, offline, on a CPU.

    Args:
        config: settings; the defaults when left out.
    """
    config = config or StormConfig()
    return Tracker(build_parts(config), config)
