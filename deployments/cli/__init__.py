"""`shixiang`: the command line. Everything heavy is imported inside the commands: `--help` starts at once.

Exit codes: 0 done, 1 done in part or something found, 2 refused. A refusal is one sentence on stderr; with `--json`
stdout holds JSON alone. Nothing here imports Prefect.
"""

from __future__ import annotations

import sys

import typer

from deployments.cli import changes, data, keeping, system
from deployments.cli.common import guarded

app = typer.Typer(
    name="shixiang",
    help="政务服务事项管理：载入数据，发起和查看变更，启动系统。\n\nCarries every change of a government's service items.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data.register(app)
changes.register(app)
system.register(app)
keeping.register(app)


def main() -> None:
    """The command `shixiang`."""
    sys.exit(guarded(app))
