"""Meshes: from a file, or lifted from one RGB-D view; written to files."""

from storm_ros.mesh.file import load_mesh
from storm_ros.mesh.lifted import LiftedMeshBuilder
from storm_ros.mesh.write import save_mesh

__all__ = ["LiftedMeshBuilder", "load_mesh", "save_mesh"]
