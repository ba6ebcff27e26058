"""Pose estimators."""

from storm_ros.pose.geometric import GeometricEstimator

__all__ = ["GeometricEstimator"]
