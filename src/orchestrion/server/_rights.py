"""Who may use which route: one table. What does not stand in it nobody may use."""

from collections.abc import Mapping, Sequence

from orchestrion.governance import Rights

ROLES: Mapping[str, Sequence[str]] = {
    "viewer": (),
    "operator": ("viewer",),
    "approver": ("viewer",),
    "editor": ("viewer",),
    "admin": ("operator", "approver", "editor"),
}
"""Role → the roles it includes. Who writes workflows does not approve what they do unless somebody gave them both roles."""

PUBLIC = frozenset(
    {"health", "ready", "signInPage", "signIn", "consoleFile", "openNotice"}
    | {"agentCard", "partnerCard"}
    | {"consoleOverview", "consoleRuns", "consoleRun", "consoleApprovals", "consoleApproval", "consoleChat"}
)
"""Operations that need nobody to be recognised."""

SIGNED = frozenset({"receiveWebhook"})
"""Operations of programs without an account, which look at a signature themselves."""

GRANTED: Mapping[str, Sequence[str]] = {
    "whoAmI": ("viewer",),
    "signOut": ("viewer",),
    "openApi": ("viewer",),
    "metrics": ("viewer",),
    "listRuns": ("viewer",),
    "showRun": ("viewer",),
    "listEntries": ("viewer",),
    "showEntry": ("viewer",),
    "followRun": ("viewer",),
    "followProject": ("viewer",),
    "startRun": ("operator",),
    "cancelRun": ("operator",),
    "retryRun": ("operator",),
    "rerunRun": ("operator",),
    "listApprovals": ("viewer",),
    "showApproval": ("viewer",),
    "answerApproval": ("approver",),
    "listPartners": ("viewer",),
    "listV1Models": ("viewer",),
    "showV1Model": ("viewer",),
    "completeChat": ("operator",),
    "mcp": ("viewer",),  # and what each tool and resource takes
    "a2a": ("viewer",),  # and what each method takes
    "a2aPartner": ("viewer",),
    "listFeedback": ("viewer",),
    "giveFeedback": ("operator", "approver", "editor"),
    "showWatching": ("viewer",),
    "listWorkflows": ("viewer",),
    "showWorkflow": ("viewer",),
    "listFiles": ("viewer",),
    "showFile": ("viewer",),
    "writeFile": ("editor",),
    "editFile": ("editor",),
    "removeFile": ("editor",),
    "listVersions": ("viewer",),
    "compareVersions": ("viewer",),
    "deploy": ("editor",),
    "rollBack": ("editor",),
    "listRollouts": ("viewer",),
    "showRollout": ("viewer",),
    "listAgents": ("viewer",),
    "listModels": ("viewer",),
    "listSessions": ("viewer",),
    "showSession": ("viewer",),
    "listSchedules": ("viewer",),
    "pauseSchedule": ("operator",),
    "resumeSchedule": ("operator",),
    "fireSchedule": ("operator",),
    "listEvents": ("viewer",),
    "receiveEvent": ("operator",),
    "listEvaluations": ("viewer",),
    "evaluate": ("editor",),
    "beginTrial": ("editor",),
    "listAlerts": ("viewer",),
    "acknowledgeAlert": ("operator",),
    "listIncidents": ("viewer",),
    "showIncident": ("viewer",),
    "listUsers": ("admin",),
    "addUser": ("admin",),
    "removeUser": ("admin",),
    "makeLink": ("admin",),
    "makeToken": ("admin",),
}
"""Operation → the roles that may do it."""


def rights() -> Rights:
    """The table as policies."""
    return Rights(GRANTED, ROLES)
