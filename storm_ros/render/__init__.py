"""Warp ray caster: depth, normals, object coordinates and colour of meshes at given poses."""

from storm_ros.render.raycast import DeviceMesh, RayCaster, Rendering, SceneRendering

__all__ = ["DeviceMesh", "RayCaster", "Rendering", "SceneRendering"]
