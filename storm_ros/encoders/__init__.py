"""Image encoders."""

from storm_ros.encoders.colour_gradient import ColourGradientEncoder

__all__ = ["ColourGradientEncoder"]
