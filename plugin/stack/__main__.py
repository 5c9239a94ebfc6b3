"""`python -m plugin.stack`: the supervisor process that `assay up` starts."""

from __future__ import annotations

import os
import sys

from plugin.settings import load_settings
from plugin.stack.board import Board, Phase
from plugin.stack.control import board_path
from plugin.stack.plan import Plan
from plugin.stack.process import PidFile
from plugin.stack.supervisor import (
    SUPERVISOR,
    AlreadyRunningError,
    configure_log,
    sole_supervisor,
    stop_leftovers,
    supervise,
)


def main() -> int:
    configure_log()
    plan = Plan(load_settings(with_stack_file=False))
    home = plan.home
    try:
        with sole_supervisor(home):
            PidFile(home.run / f"{SUPERVISOR}.pid").write(os.getpid())
            stop_leftovers(home.run)
            board = Board(board_path(home), os.getpid())
            if problems := plan.problems():
                board.set_phase(Phase.FAILED, "\n".join(problems))
                return 1
            plan.write_stack_file()
            waves = plan.waves()
            board.expect(part.name for wave in waves for part in wave)
            return supervise(home, waves, board, plan.settings.start_timeout_seconds)
    except AlreadyRunningError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
