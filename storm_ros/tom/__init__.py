"""Tracking Object Module: is what is tracked still the object?"""

from storm_ros.tom.energy import energy_of, probability
from storm_ros.tom.gate import EnergyGate
from storm_ros.tom.inlier import InlierVerifier

__all__ = ["EnergyGate", "InlierVerifier", "energy_of", "probability"]
