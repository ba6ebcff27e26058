"""Runs a node as a program, and ends it in order when it is told to."""
# pyright: reportMissingImports=false, reportPrivateImportUsage=false

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import rclpy
from rclpy.executors import Executor, ExternalShutdownException, MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.signals import SignalHandlerOptions

from storm_ros.core.errors import StormError
from storm_ros.ros.entities import spin


def run(name: str, make: Callable[[], Any], *, threads: int = 1, args: Sequence[str] | None = None) -> int:
    """Spin a node until SIGINT, SIGTERM or the end of its context, then take it down.

    The signals are taken here: rclpy's own handlers make the context invalid at once, while the node's threads still
    publish.

    Args:
        name: of the node, for messages.
        make: makes it. It may have an attribute `failed`, the StormError that ended it.
        threads: of the executor.
        args: of the command line; those of the process when left out.

    Returns:
        The exit code: 1 when the node could not be made or has failed, which the log says.
    """
    rclpy.init(args=None if args is None else list(args), signal_handler_options=SignalHandlerOptions.NO)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    node: Any = None
    failed: StormError | None = None
    try:
        node = make()
        _spin(node, threads)
    except KeyboardInterrupt:
        pass
    except StormError as error:
        failed = error
    finally:
        _once_only()
        if node is not None:
            node.destroy_node()
            failed = getattr(node, "failed", None) or failed
        rclpy.try_shutdown()
        gc.freeze()  # what is left goes with the process; to search it for cycles takes a second with PyTorch loaded
    if failed is not None:
        get_logger(name).error(str(failed))
    return 1 if failed is not None else 0


def _spin(node: Any, threads: int) -> None:
    """Spin on another thread, because this one gets the signals while it does nothing but wait.

    Raises:
        KeyboardInterrupt: a signal came.
        Exception: a callback raised it.
    """
    executor: Executor = SingleThreadedExecutor() if threads == 1 else MultiThreadedExecutor(num_threads=threads)
    executor.add_node(node)
    pool = getattr(executor, "_executor", None)
    if pool is not None:
        fill(pool, threads)
    raised: list[BaseException] = []
    over = threading.Event()
    ended = False

    def work() -> None:
        try:
            spin(executor, lambda: rclpy.ok() and not ended)
        except ExternalShutdownException:
            pass
        except BaseException as error:  # noqa: BLE001 - it belongs to the thread that waits
            raised.append(error)
        finally:
            over.set()

    spinner = threading.Thread(target=work, name="spin", daemon=True)
    spinner.start()
    try:
        over.wait()  # not join: Python takes a thread for ended when its join is interrupted
    finally:
        _once_only()
        ended = True
        executor.shutdown()
        spinner.join()
        if pool is not None:  # up to Jazzy `shutdown` does not wait for the callbacks that were begun
            pool.shutdown()
    if raised:
        raise raised[0]


def fill(pool: ThreadPoolExecutor, threads: int) -> None:
    """Let a pool begin all its threads now, not one by one whenever callbacks first happen to meet."""
    together = threading.Barrier(threads)
    for _ in range(threads):
        pool.submit(together.wait)


def _once_only() -> None:
    """Further signals do not disturb the end that the first began."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
