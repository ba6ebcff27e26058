"""The node's services: point at an object, forget it, search it again, save and load it."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportPrivateImportUsage=false
from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from std_msgs.msg import Header

from storm_ros.core.errors import InputError, ReferenceMissingError, StormError
from storm_ros.core.types import Mesh
from storm_ros.io import save_reference
from storm_ros.ros.conversions import fill_image, fill_vector
from storm_ros.ros.parameters import checked
from storm_ros.ros.references import build_reference, load_saved, prepare_object, preview, resolve
from storm_ros.ros.session import Session
from storm_ros.srv import ClearReference, LoadReference, Relocalize, SaveReference, SetReference


class Services:
    """Answers requests one after the other, beside the worker: tracking goes on while an object is prepared.

    Args:
        node: an rclpy node.
        session: what the requests change.
        compute: runs them.
    """

    def __init__(self, node: Any, session: Session, compute: Executor) -> None:
        self._node = node
        self._session = session
        self._turn = threading.Lock()
        group = MutuallyExclusiveCallbackGroup()
        handlers = {
            "set_reference": (SetReference, self._set),
            "clear_reference": (ClearReference, self._clear),
            "relocalize": (Relocalize, self._relocalize),
            "save_reference": (SaveReference, self._save),
            "load_reference": (LoadReference, self._load),
        }
        self._services = [
            node.create_service(kind, f"~/{name}", _on(compute, self._answering(name, handler)), callback_group=group)
            for name, (kind, handler) in handlers.items()
        ]

    def close(self) -> None:
        """Take the services down once the request at hand is answered; twice does no harm."""
        with self._turn:
            for service in self._services:
                self._node.destroy_service(service)
            self._services.clear()

    def load(self, folder: str) -> str:
        """Track a saved object, and return its name.

        Raises:
            StormError: it cannot be loaded.
        """
        return self._track_saved(folder, "").object_id

    def _answering(self, name: str, handler: Callable[[Any, Any], str]) -> Callable[[Any, Any], Any]:
        """A callback that always answers: what was done, or what was wrong."""

        def answer(request: Any, response: Any) -> Any:
            with self._turn:
                try:
                    response.message = handler(request, response)
                    response.success = True
                    self._node.get_logger().info(f"{name}: {response.message}")
                except (StormError, OSError) as error:
                    response.message = " ".join(str(error).split())
                    self._node.get_logger().error(f"{name} refused: {response.message}")
                except Exception as error:  # noqa: BLE001 - a caller must not wait in vain
                    response.message = f"internal error, please report it: {error!r}"
                    self._node.get_logger().error(f"{name}: {traceback.format_exc()}")
            return response

        return answer

    def _set(self, request: Any, response: Any) -> str:
        started = time.perf_counter()
        session = self._session
        object_id = checked("object_id", request.object_id.strip() or session.settings.node.object_id)
        shown = resolve(request, session.scene())
        parts, search = session.tracker.parts, session.settings.storm.search
        reference = build_reference(parts, shown, object_id)
        state = prepare_object(parts, search, reference, live=shown.live)
        frame, mask = shown.views[0]
        header = Header(frame_id=frame.frame_id)
        header.stamp.sec, header.stamp.nanosec = divmod(frame.stamp_ns, 1_000_000_000)
        fill_image(response.preview, header, preview(mask), "mono8")
        response.object_id = object_id
        response.mesh_vertices = len(reference.mesh.vertices)
        fill_vector(response.mesh_size, _size(reference.mesh))
        session.add(state)
        response.seconds = time.perf_counter() - started
        return f"{object_id} is tracked from now on: {_size_text(reference.mesh)}, {int(mask.sum())} pixels shown"

    def _clear(self, request: Any, response: Any) -> str:
        names = self._named(request.object_id, all_of_them=True)
        self._session.remove(names)
        return f"forgotten: {', '.join(names) or 'nothing, there was no object'}"

    def _relocalize(self, request: Any, response: Any) -> str:
        names = self._named(request.object_id, all_of_them=True)
        if not names:
            raise ReferenceMissingError("there is no object to search for: call set_reference first")
        self._session.search_again(names)
        return f"searched for again: {', '.join(names)}"

    def _save(self, request: Any, response: Any) -> str:
        (name,) = self._named(request.object_id, all_of_them=False)
        if not request.folder.strip():
            raise InputError("folder is empty: name the folder to write")
        folder = Path(request.folder.strip()).expanduser().absolute()
        save_reference(folder, self._session.tracker.references[name])
        response.folder = str(folder)
        return f"{name} is saved in {folder}"

    def _load(self, request: Any, response: Any) -> str:
        started = time.perf_counter()
        object_id = request.object_id.strip()
        reference = self._track_saved(request.folder, checked("object_id", object_id) if object_id else "")
        response.object_id = reference.object_id
        fill_vector(response.mesh_size, _size(reference.mesh))
        response.seconds = time.perf_counter() - started
        return f"{reference.object_id} is searched for from now on: {_size_text(reference.mesh)}"

    def _track_saved(self, folder: str, object_id: str) -> Any:
        reference = load_saved(folder, object_id)
        session = self._session
        session.add(prepare_object(session.tracker.parts, session.settings.storm.search, reference, live=False))
        return reference

    def _named(self, object_id: str, *, all_of_them: bool) -> list[str]:
        """The objects a request means."""
        known = list(self._session.tracker.references)
        object_id = object_id.strip()
        if object_id:
            if object_id not in known:
                raise ReferenceMissingError(f"no object {object_id!r} (known: {', '.join(known) or 'none'})")
            return [object_id]
        if all_of_them or len(known) == 1:
            return known
        if not known:
            raise ReferenceMissingError("there is no object: call set_reference first")
        raise InputError(f"object_id is empty and there are {len(known)} objects: name one of {', '.join(known)}")


def _on(compute: Executor, answer: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The same callback, run by an executor."""
    return lambda request, response: compute.submit(answer, request, response).result()


def _size(mesh: Mesh) -> Any:
    return mesh.bounds[1] - mesh.bounds[0]


def _size_text(mesh: Mesh) -> str:
    return " x ".join(f"{side * 1000:.0f}" for side in _size(mesh)) + " mm"
