"""For pip only; a ROS build installs by CMakeLists.txt. Everything is said in pyproject.toml."""

from setuptools import setup

setup()
