"""A large fleet is planned case by case once, and each device's task is its own."""

from __future__ import annotations

import pickle
from pathlib import Path

from harness.workspace import Workspace
from results import journal
from tests.rigs.fleet import fleet, planned, prepared, template

DEVICES, MODELS, ROUNDS = 100, 5, 5


def test_every_device_has_its_own_cases_in_its_own_order(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    run, tasks = planned(workspace, fleet(DEVICES), prepared(template(tmp_path / "artifacts"), MODELS))
    assert [task.device.name for task in tasks] == list(run.devices)
    assert journal.read(run.folder).header == run.header
    for task in tasks:
        todo = task.todo()
        assert todo == run.todo(task.device.name)
        assert len(todo) == MODELS * 2 * ROUNDS
        assert {case.device for _, case in todo} == {task.device.name}
        assert {case.case_id for _, case in todo} == task.artifacts.keys()
    orders = {tuple((round_, case.model, case.backend) for round_, case in task.todo()) for task in tasks}
    assert len(orders) == 1  # the seed is the run's: every device goes through the same questions in the same order
    task = pickle.loads(pickle.dumps(tasks[7]))  # noqa: S301 - our own
    assert task == tasks[7]
    assert len(pickle.dumps(task)) < 100_000


def test_what_is_done_on_one_device_is_left_to_the_others(tmp_path: Path) -> None:
    run, tasks = planned(Workspace(tmp_path), fleet(2), prepared(template(tmp_path / "artifacts"), 1))
    (first, *_), other = run.todo("board-0"), run.todo("board-1")
    tasks[0].tally.done.add((first[1].case_id, first[0]))
    assert first not in tasks[0].todo()
    assert first in run.todo("board-0")  # a task's tally is a copy: it may be carried out elsewhere
    assert tasks[1].todo() == other
