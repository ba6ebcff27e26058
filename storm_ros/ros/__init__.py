"""The ROS 2 node: the only part of the package that knows ROS. Start reading in `node`."""
