"""What a run was worth: pose errors, found and false finds, the recorder, report.json and report.html."""

from storm_ros.evaluation.accuracy import JudgedObject, Truth, accuracy
from storm_ros.evaluation.html import render_html
from storm_ros.evaluation.recorder import RunRecorder
from storm_ros.evaluation.report import RunInfo, build_report, load_report, write_report

__all__ = [
    "JudgedObject",
    "RunInfo",
    "RunRecorder",
    "Truth",
    "accuracy",
    "build_report",
    "load_report",
    "render_html",
    "write_report",
]
