"""Wires the rooms; alone in knowing them all. Each name is imported when first used: looking at runs needs little of it."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._add_model import add_model
    from ._alerts import Alert, AlertBook
    from ._app import App, conduct, open_app, require_role
    from ._batch import Row, RowFile, open_rows
    from ._costs import Grouping, Spent, costs, waiting_for_models
    from ._documents import DocumentChange, Documents, ProjectFile, keep_working
    from ._dry import Rehearsal, rehearse
    from ._evaluate import Evaluated, Tell, evaluate, read_evaluations
    from ._feed import Feed, Follower
    from ._feedback import Feedback, FeedbackBook
    from ._folders import FolderWatch, PutAway, Watched, watches_of
    from ._journals import (
        Mode,
        StandBy,
        back_up_store,
        check_store,
        copy_store,
        migrate_store,
        open_journal,
        restore_store,
    )
    from ._kinds import Kinds, predictor_source
    from ._knowledge import knowledge_of
    from ._notices import NoticeBook, Notices, Opened
    from ._partners import Partner, Settled, answer_text, partner, partners, settled, start_talk
    from ._process import run_process
    from ._project import Checked, routers_of
    from ._release import (
        WORKING,
        Released,
        changes_between,
        oversight_of,
        put_on_trial,
        registry_of,
        release,
        resolve,
        roll_back,
    )
    from ._replay import COMPARABLE, Replayed, ReplayedRun, Replays, open_replays, replay
    from ._retention import keep_retaining, retain, retention_of, vacuum_store
    from ._retraining import Offer, Retrained, retrain_predictor, retrain_router
    from ._rollouts import Oversight, oversight_on
    from ._rooms import Rooms, open_rooms
    from ._schedules import fire, pause, planned_now, planned_on, resume, scheduled, scheduler_of
    from ._schemas import SCHEMA_KINDS, schema_of
    from ._succession import Standing, Succession
    from ._trial import keep_trials, try_model
    from ._versions import Chosen, Versions
    from ._watch import Watch, watched_json
    from ._watching import Watching
    from ._workflows import require_input

__all__ = [
    "COMPARABLE",
    "SCHEMA_KINDS",
    "WORKING",
    "Alert",
    "AlertBook",
    "App",
    "Checked",
    "Chosen",
    "DocumentChange",
    "Documents",
    "Evaluated",
    "Feed",
    "Feedback",
    "FeedbackBook",
    "FolderWatch",
    "Follower",
    "Grouping",
    "Kinds",
    "Mode",
    "NoticeBook",
    "Notices",
    "Offer",
    "Opened",
    "Oversight",
    "Partner",
    "ProjectFile",
    "PutAway",
    "Rehearsal",
    "Released",
    "Replayed",
    "ReplayedRun",
    "Replays",
    "Retrained",
    "Rooms",
    "Row",
    "RowFile",
    "Settled",
    "Spent",
    "StandBy",
    "Standing",
    "Succession",
    "Tell",
    "Versions",
    "Watch",
    "Watched",
    "Watching",
    "add_model",
    "answer_text",
    "back_up_store",
    "changes_between",
    "check_store",
    "conduct",
    "copy_store",
    "costs",
    "evaluate",
    "fire",
    "keep_retaining",
    "keep_trials",
    "keep_working",
    "knowledge_of",
    "migrate_store",
    "open_app",
    "open_journal",
    "open_replays",
    "open_rooms",
    "open_rows",
    "oversight_of",
    "oversight_on",
    "partner",
    "partners",
    "pause",
    "planned_now",
    "planned_on",
    "predictor_source",
    "put_on_trial",
    "read_evaluations",
    "registry_of",
    "rehearse",
    "release",
    "replay",
    "require_input",
    "require_role",
    "resolve",
    "restore_store",
    "resume",
    "retain",
    "retention_of",
    "retrain_predictor",
    "retrain_router",
    "roll_back",
    "routers_of",
    "run_process",
    "scheduled",
    "scheduler_of",
    "schema_of",
    "settled",
    "start_talk",
    "try_model",
    "vacuum_store",
    "waiting_for_models",
    "watched_json",
    "watches_of",
]

_HOMES = {
    **dict.fromkeys(("App", "conduct", "open_app", "require_role"), "_app"),
    "require_input": "_workflows",
    **dict.fromkeys(("Rooms", "open_rooms"), "_rooms"),
    **dict.fromkeys(("Oversight", "oversight_on"), "_rollouts"),
    **dict.fromkeys(("Chosen", "Versions"), "_versions"),
    **dict.fromkeys(("Row", "RowFile", "open_rows"), "_batch"),
    **dict.fromkeys(("Rehearsal", "rehearse"), "_dry"),
    **dict.fromkeys(("DocumentChange", "Documents", "ProjectFile", "keep_working"), "_documents"),
    **dict.fromkeys(("Evaluated", "Tell", "evaluate", "read_evaluations"), "_evaluate"),
    **dict.fromkeys(("Feed", "Follower"), "_feed"),
    **dict.fromkeys(("FolderWatch", "PutAway", "Watched", "watches_of"), "_folders"),
    **dict.fromkeys(("Kinds", "predictor_source"), "_kinds"),
    **dict.fromkeys(("Mode", "StandBy", "check_store", "copy_store", "migrate_store", "open_journal"), "_journals"),
    **dict.fromkeys(("back_up_store", "restore_store"), "_journals"),
    **dict.fromkeys(
        ("fire", "pause", "planned_now", "planned_on", "resume", "scheduled", "scheduler_of"), "_schedules"
    ),
    **dict.fromkeys(("Alert", "AlertBook"), "_alerts"),
    **dict.fromkeys(("Partner", "Settled", "answer_text", "partner", "partners", "settled", "start_talk"), "_partners"),
    **dict.fromkeys(("Feedback", "FeedbackBook"), "_feedback"),
    **dict.fromkeys(("Watch", "watched_json"), "_watch"),
    "Watching": "_watching",
    **dict.fromkeys(("NoticeBook", "Notices", "Opened"), "_notices"),
    "knowledge_of": "_knowledge",
    **dict.fromkeys(("SCHEMA_KINDS", "schema_of"), "_schemas"),
    **dict.fromkeys(("keep_trials", "try_model"), "_trial"),
    **dict.fromkeys(("Grouping", "Spent", "costs", "waiting_for_models"), "_costs"),
    **dict.fromkeys(("Offer", "Retrained", "retrain_predictor", "retrain_router"), "_retraining"),
    **dict.fromkeys(("Standing", "Succession"), "_succession"),
    "add_model": "_add_model",
    **dict.fromkeys(("COMPARABLE", "Replayed", "ReplayedRun", "Replays", "open_replays", "replay"), "_replay"),
    "run_process": "_process",
    **dict.fromkeys(("Checked", "routers_of"), "_project"),
    **dict.fromkeys(
        (
            "WORKING",
            "Released",
            "changes_between",
            "oversight_of",
            "put_on_trial",
            "registry_of",
            "release",
            "resolve",
            "roll_back",
        ),
        "_release",
    ),
    **dict.fromkeys(("keep_retaining", "retain", "retention_of", "vacuum_store"), "_retention"),
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
