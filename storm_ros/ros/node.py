"""The lifecycle node `storm`. Start reading here: transitions, and what each of them builds and frees."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportPrivateImportUsage=false
from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.lifecycle.node import LifecycleNodeMixin
from rclpy.node import Node

from storm_ros.core.errors import ConfigError, StormError
from storm_ros.ros.parameters import Parameters, Settings, live_changes
from storm_ros.ros.runtime import load, release
from storm_ros.ros.services import Services
from storm_ros.ros.session import Session


class StormNode(LifecycleNode):
    """Tracks objects that are pointed at; see README for its topics, services and parameters.

    ==========  ========================================================================
    configure   checks the parameters, loads and warms up the models, creates publishers and services
    activate    subscribes to the camera and starts the worker
    deactivate  ends both, keeps models and objects
    cleanup     frees everything
    ==========  ========================================================================

    Transitions and services run on one thread that lives as long as the node: what libraries keep for each thread that
    computes (buffers, pools of threads) is then kept once, however often they are called, and by whichever thread.

    A transition that fails says why in the log. What an operator can fix (a parameter, a missing file or package) is
    a FAILURE, after which the transition can be repeated; anything else is an ERROR, after which the node is
    unconfigured.
    """

    def __init__(self, node_name: str = "storm", **options: Any) -> None:
        """Declare the parameters; `options` are those of `rclpy.node.Node`."""
        Node.__init__(self, node_name, **options)
        LifecycleNodeMixin.__init__(self, callback_group=MutuallyExclusiveCallbackGroup())
        self.session: Session | None = None
        self._requests: Services | None = None
        self._compute = ThreadPoolExecutor(1, thread_name_prefix="storm_compute")
        self._knobs = Parameters(self)
        self.add_on_set_parameters_callback(self._check_parameters)
        self._late = hasattr(self, "add_post_set_parameters_callback")  # not before Iron
        if self._late:
            self.add_post_set_parameters_callback(self._take_parameters)
        for line in self._knobs.unknown():
            self.get_logger().warning(line)

    @property
    def settings(self) -> Settings:
        """What is set now."""
        return self._knobs.settings

    def destroy_node(self) -> None:
        """Free everything, then the node itself."""
        self.release()
        self._compute.shutdown()
        super().destroy_node()

    def release(self) -> None:
        """Free everything; any number of times."""
        requests, session = self._requests, self.session
        self._requests = self.session = None
        try:
            if requests is not None:
                requests.close()
        finally:
            if session is not None:
                session.close()
            del requests, session
            release()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Check the parameters, load the models, create publishers and services."""
        return self._transition("configure", self._configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start the worker."""
        return self._transition("activate", lambda: self._configured().activate())

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop the worker; models and objects stay."""
        return self._transition("deactivate", lambda: self._configured().deactivate())

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything."""
        return self._transition("cleanup", self.release)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything."""
        return self._transition("shutdown", self.release)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free everything, so that the node can be configured again."""
        return self._transition("error processing", self.release)

    def _transition(self, name: str, work: Callable[[], None]) -> TransitionCallbackReturn:
        """Do the work; rclpy would swallow what it raises."""
        try:
            self._compute.submit(work).result()
        except (StormError, ImportError, OSError) as error:
            self.get_logger().error(f"cannot {name}: {_reason(error)}")
            return TransitionCallbackReturn.FAILURE
        except Exception:  # noqa: BLE001 - the state machine has to know
            self.get_logger().error(f"{name} failed, please report it:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        self.get_logger().info(f"{name} done")
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        self.release()
        if self._knobs.faults:
            raise ConfigError("; ".join(self._knobs.faults.values()))
        settings = self.settings
        tracker = load(settings.storm, settings.node.compute.threads)
        try:
            self.session = Session(self, tracker, settings)
            self._requests = Services(self, self.session, self._compute)
            for folder in filter(None, (part.strip() for part in settings.node.references.split(","))):
                self.get_logger().info(f"reference {self._requests.load(folder)!r} loaded from {folder}")
        except BaseException:
            if self.session is None:
                tracker.close()
            self.release()
            raise

    def _configured(self) -> Session:
        assert self.session is not None, "the state machine configures first"
        return self.session

    def _check_parameters(self, parameters: Sequence[Any]) -> SetParametersResult:
        try:
            self._knobs.accept(_changes(parameters), configured=self.session is not None)
            if not self._late:
                self._take_parameters(parameters)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _take_parameters(self, parameters: Sequence[Any]) -> None:
        changes = _changes(parameters)
        session = self.session
        before = self.settings
        settings = self._knobs.accept(changes, configured=session is not None)
        self._knobs.keep(settings, changes)
        if session is not None and settings != before:
            session.change(live_changes(session.settings, settings))


def _changes(parameters: Sequence[Any]) -> dict[str, Any]:
    return {parameter.name: parameter.value for parameter in parameters}


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split()) or repr(error)
    if isinstance(error, ModuleNotFoundError):
        text += (
            ": install the Python packages that rosdep lacks into an environment made with --system-site-packages "
            "(pip install -r requirements of the package, see README) and start the node from it"
        )
    return text
