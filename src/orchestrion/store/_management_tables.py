"""The tables of versions, of what is watched of them, of incidents and of accounts."""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from ._metadata import metadata, run_id

pieces = Table(
    "pieces",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("created_at", Double, nullable=False),
)
"""Contents of what bundles are made of, by digest."""

bundles = Table(
    "bundles",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("workflow", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("source", Text),
)
"""Versions: everything that decides how runs of a workflow behave. source: where its files came from, such as a Git commit."""
Index("ix_bundles_workflow", bundles.c.workflow, bundles.c.created_at)

moves = Table(
    "moves",
    metadata,
    Column("workflow", Text, nullable=False),
    Column("alias", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("bundle", Text, ForeignKey("bundles.digest"), nullable=False),
    Column("before", Text),
    Column("moved_at", Double, nullable=False),
    Column("moved_by", Text, nullable=False),
    Column("why", Text, nullable=False),
    PrimaryKeyConstraint("workflow", "alias", "number"),
)
"""Where aliases pointed, and since when. The last move of one says where it points."""

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workflow", Text, nullable=False),
    Column("candidate", Text, ForeignKey("bundles.digest"), nullable=False),
    Column("control", Text, ForeignKey("bundles.digest"), nullable=False),
    Column("plan", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("ended_at", Double),
    Column("verdict", Text),
    Column("evidence", Text),
)
"""Versions that got a part of the runs on trial. plan: how they are compared; verdict: how it ended, in a sentence."""
Index(
    "ix_rollouts_running",
    rollouts.c.workflow,
    unique=True,
    sqlite_where=text("status = 'running'"),
    postgresql_where=text("status = 'running'"),
)
Index("ix_rollouts_created", rollouts.c.created_at)
results = Table(
    "results",
    metadata,
    Column("bundle", Text, nullable=False),
    Column("case_digest", Text, nullable=False),
    Column("scorer", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", Double, nullable=False),
    PrimaryKeyConstraint("bundle", "case_digest", "scorer"),
)
"""Of evaluations: what a version did with a case (scorer ''), and what a judge said of that (scorer: its digest)."""
Index("ix_results_at", results.c.at)

cursors = Table(
    "cursors",
    metadata,
    Column("name", Text, primary_key=True),
    Column("body", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
)
"""How far somebody who reads the journal along has come."""

watched = Table(
    "watched",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("open", Text, nullable=False),
    Column("ended_at", Double),
    Column("again", Integer, nullable=False),
)
"""Runs that were counted and may have more to count: up to which entry, and which entries before it had no outcome then.
again: whether it can be set going again."""
Index("ix_watched_ended_at", watched.c.ended_at)

measures = Table(
    "measures",
    metadata,
    Column("at", Double, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("at", "kind", "name"),
    sqlite_with_rowid=False,
)
"""What was counted of agents, models, tools, routers and workflows, by windows of five minutes. at: the window's beginning."""

signals = Table(
    "signals",
    metadata,
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("signal", Text, nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("kind", "name", "signal"),
)
"""What is watched for drift, as far back as it has not changed."""

alerts = Table(
    "alerts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("cleared_at", Double),
    Column("body", Text, nullable=False),
    Column("run_id", Text),
    Column("acknowledged_at", Double),
    Column("acknowledged_by", Text),
)
"""What was out of bounds, once until it is within them again. run_id: of the run that told somebody."""
Index(
    "ix_alerts_open",
    alerts.c.rule,
    alerts.c.kind,
    alerts.c.name,
    unique=True,
    sqlite_where=text("cleared_at IS NULL"),
    postgresql_where=text("cleared_at IS NULL"),
)
Index("ix_alerts_opened", alerts.c.opened_at)

feedback = Table(
    "feedback",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    run_id(),
    Column("at", Double, nullable=False),
    Column("by", Text, nullable=False),
    Column("thumb", Text),
    Column("correction", Text),
    Column("note", Text),
    sqlite_autoincrement=True,
)
"""What people said of runs after the fact. thumb: good or bad; correction: what the output should have been, or a part of it."""
Index("ix_feedback_run_id", feedback.c.run_id)

incidents = Table(
    "incidents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("closed_at", Double),
    Column("steps", Integer, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("followed", BigInteger, nullable=False),
    Column("unanswered", BigInteger, nullable=False),
    Column("answers", Integer, nullable=False),
    Column("looked_at", Double),
)
"""What goes wrong with a model, or will. target: what its name leads to; answers: good ones since the last failure."""
Index(
    "ix_incidents_open",
    incidents.c.kind,
    incidents.c.subject,
    incidents.c.target,
    unique=True,
    sqlite_where=text("closed_at IS NULL"),
    postgresql_where=text("closed_at IS NULL"),
)
Index("ix_incidents_opened", incidents.c.opened_at)

incident_steps = Table(
    "incident_steps",
    metadata,
    Column("incident", Text, ForeignKey("incidents.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("mark", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("what", Text, nullable=False),
    Column("run_id", Text),
    Column("told", Text),
    PrimaryKeyConstraint("incident", "number"),
)
"""Their timelines, only ever added to. mark: what is told once of an incident; told: the same for machines."""
Index("ix_incident_steps_mark", incident_steps.c.incident, incident_steps.c.mark, unique=True)

model_tests = Table(
    "model_tests",
    metadata,
    Column("model", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("model", "target"),
)
"""How a model did when it was last tried."""

accounts = Table(
    "accounts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("roles", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
)
"""Who may use the server."""

credentials = Table(
    "credentials",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, ForeignKey("accounts.name", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_at", Double),
)
"""What people and programs show to be recognised: tokens, one-time links, sessions of browsers. Of the secret only the digest."""
Index("ix_credentials_account", credentials.c.account)

notices = Table(
    "notices",
    metadata,
    Column("request_id", Text, ForeignKey("requests.id", ondelete="CASCADE"), nullable=False),
    Column("person", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("run", Text),
    Column("problem", Text),
    Column("used_at", Double),
    PrimaryKeyConstraint("request_id", "person"),
)
"""Who was told of what waits; nobody ('') where nobody could be. secret: what the link is signed with, which opens nothing without
signing in. run: the one that told, empty where there is none for the `problem`; used_at: when the link was."""
Index(
    "ix_notices_unsent",
    notices.c.request_id,
    notices.c.person,
    sqlite_where=text("run IS NULL"),
    postgresql_where=text("run IS NULL"),
)
