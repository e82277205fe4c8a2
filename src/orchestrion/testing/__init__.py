"""What tests of the platform and of its users need: crashes on demand, counted effects, conformance suites."""

from ._almanac import Almanac, Crash, MortalJournal
from ._command_line import Result, run_command
from ._counting_server import CountingServer, counting_server
from ._crash import CrashingJournal, Moment
from ._ears import Desk, desk
from ._killing import play, play_with_crash, write_project
from ._packages import Packages, packages_in
from ._processes import Process, start_command
from ._releasing import ACTS, Act, begin_releases, play_release, write_greeting
from ._routing import DocumentRouting, an_event
from ._scenarios import ANYTHING, SCENARIOS, Scenario
from ._served import World, served, write_served
from ._serving import serving
from ._stage import FewFunctions, Ledger, NoExpressions, NoSecrets, Scripted, Stage, new_run
from ._team_scenarios import TEAM_SCENARIOS
from ._turn_scenarios import TURN_SCENARIO
from ._walking import interpreting, read_document, run_of, walk_document

__all__ = [
    "ACTS",
    "ANYTHING",
    "SCENARIOS",
    "TEAM_SCENARIOS",
    "TURN_SCENARIO",
    "Act",
    "Almanac",
    "CountingServer",
    "Crash",
    "CrashingJournal",
    "Desk",
    "DocumentRouting",
    "FewFunctions",
    "Ledger",
    "Moment",
    "MortalJournal",
    "NoExpressions",
    "NoSecrets",
    "Packages",
    "Process",
    "Result",
    "Scenario",
    "Scripted",
    "Stage",
    "World",
    "an_event",
    "begin_releases",
    "counting_server",
    "desk",
    "interpreting",
    "new_run",
    "packages_in",
    "play",
    "play_release",
    "play_with_crash",
    "read_document",
    "run_command",
    "run_of",
    "served",
    "serving",
    "start_command",
    "walk_document",
    "write_greeting",
    "write_project",
    "write_served",
]
