import "@xyflow/react/dist/base.css";

import { Graph, layout } from "@dagrejs/dagre";
import { useQuery } from "@tanstack/react-query";
import { Background, Controls, type Edge, Handle, MarkerType, type Node, type NodeProps, Position, ReactFlow } from "@xyflow/react";
import { useMemo } from "react";

import type { EntrySummary, RunSummary } from "../../api/client";
import { workflow as workflowQuery } from "../../api/queries";
import { Status } from "../../parts/status";
import { END, type Plan, planOf } from "./plan";
import { type Step, stepsOf } from "./steps";

interface PictureProps {
  run: RunSummary & { digest: string };
  entries: readonly EntrySummary[];
  chosen: EntrySummary | undefined;
  choose: (place: number) => void;
}

type TaskNode = Node<{ label: string; note: string; status: string | null }, "task">;

const WIDTH = 184;
const HEIGHT = 44;
const types = { task: Task };

/** The workflow with the way this run takes through it; only the way where the workflow has changed since. */
export default function Picture({ run, entries, chosen, choose }: PictureProps) {
  const found = useQuery(workflowQuery(run.workflow));
  const same = found.data?.digest === run.digest;
  const plan = useMemo(() => (same && found.data ? planOf(found.data.text) : null), [same, found.data]);
  const { nodes, edges, places } = useMemo(() => drawn(plan, entries), [plan, entries]);
  const shown = nodes.map((node) => ({ ...node, selected: node.id === taskOf(chosen?.key ?? "") }));
  if (found.isPending) return <div className="h-[min(44rem,76dvh)]" />;
  return (
    <>
      {!plan && <p className="px-4 pt-2 text-quiet">The workflow has changed since: this is the way the run took, without what it passed by.</p>}
      <div className="h-[min(44rem,76dvh)]">
        <ReactFlow
          nodes={shown}
          edges={edges}
          nodeTypes={types}
          fitView
          fitViewOptions={{ maxZoom: 1, padding: 0.06 }}
          minZoom={0.2}
          nodesDraggable={false}
          nodesConnectable={false}
          edgesFocusable={false}
          onNodesChange={(changes) => {
            for (const change of changes) if (change.type === "select" && change.selected) open(places, change.id, choose);
          }}
          proOptions={{ hideAttribution: true }}
          aria-label="The workflow and the way this run takes"
        >
          <Background color="var(--line)" gap={16} />
          <Controls showInteractive={false} className="rounded border border-line bg-card text-text" />
        </ReactFlow>
      </div>
    </>
  );
}

function open(places: Map<string, number>, id: string, choose: (place: number) => void): void {
  const place = places.get(id);
  if (place !== undefined) choose(place);
}

const BORDERS: Record<string, string> = { failed: "border-bad", intent: "border-accent", completed: "border-good" };

function Task({ data, selected }: NodeProps<TaskNode>) {
  const border = data.status === null ? "border-dashed border-line text-quiet" : (BORDERS[data.status] ?? "border-line");
  return (
    <div className={`flex h-11 w-[184px] items-center gap-2 rounded-md border bg-card px-3 ${border} ${selected ? "outline-2 outline-accent" : ""}`}>
      <Handle type="target" position={Position.Top} className="opacity-0" />
      {data.status && <Status status={data.status} bare />}
      <span className="min-w-0 leading-4">
        <span className="block truncate font-medium">{data.label}</span>
        {data.note && <span className="block truncate text-[12px] text-quiet">{data.note}</span>}
      </span>
      <Handle type="source" position={Position.Bottom} className="opacity-0" />
    </div>
  );
}

/** The task a key lies in, without visits: `/do/2/ask#3/turn/0` → `/do/2/ask`. */
const taskOf = (key: string) => /^(\/do\/\d+\/[^/#]+)/.exec(key)?.[1] ?? "";

function drawn(plan: Plan | null, entries: readonly EntrySummary[]) {
  const visits = stepsOf(entries, false).filter((step) => taskOf(step.key));
  const nodes = new Map<string, TaskNode>();
  const edges = new Map<string, Edge>();
  const places = new Map<string, number>();
  for (const task of plan?.tasks ?? []) nodes.set(task.id, nodeOf(task.id, task.name, task.kind, null));
  for (const way of plan?.ways ?? []) {
    if (way.to !== END) edges.set(`${way.from} ${way.to}`, edgeOf(way.from, way.to, false, way.label));
  }
  let before = "";
  for (const step of visits) {
    const id = taskOf(step.key);
    const place = lastPlace(step);
    if (place !== null) places.set(id, place);
    const note = [nodes.get(id)?.data.note ?? step.note.split(", ").at(-1), /visit \d+/.exec(step.note)?.[0]].filter(Boolean).join(", ");
    nodes.set(id, nodeOf(id, step.label, note, step.status));
    const way = `${before} ${id}`;
    if (before) edges.set(way, edgeOf(before, id, true, String(edges.get(way)?.label ?? "")));
    before = id;
  }
  arrange([...nodes.values()], [...edges.values()]);
  return { nodes: [...nodes.values()], edges: [...edges.values()], places };
}

function nodeOf(id: string, label: string, note: string, status: string | null): TaskNode {
  const ariaLabel = `${label}, ${status ?? "not reached"}`;
  return { id, type: "task", position: { x: 0, y: 0 }, width: WIDTH, height: HEIGHT, ariaLabel, data: { label, note, status } };
}

function edgeOf(source: string, target: string, taken: boolean, label: string): Edge {
  const color = taken ? "var(--accent)" : "var(--quiet)";
  return {
    id: `${source} ${target}`,
    source,
    target,
    label,
    labelStyle: { fill: "var(--quiet)", fontSize: 11 },
    labelBgStyle: { fill: "var(--card)" },
    labelBgPadding: [3, 1],
    style: taken ? { stroke: color, strokeWidth: 2 } : { stroke: color, strokeDasharray: "3 4" },
    markerEnd: { type: MarkerType.ArrowClosed, color, width: 14, height: 14 },
    zIndex: taken ? 1 : 0,
  };
}

/** Of a task's records the one that tells most: its own, else the last that failed, else the last. */
function lastPlace(step: Step): number | null {
  if (step.entry) return step.entry.place;
  const failed = step.children.filter((child) => child.status === "failed").at(-1);
  const last = failed ?? step.children.at(-1);
  return last ? lastPlace(last) : null;
}

function arrange(nodes: TaskNode[], edges: Edge[]): void {
  const graph = new Graph().setGraph({ rankdir: "TB", nodesep: 28, ranksep: 34 }).setDefaultEdgeLabel(() => ({}));
  nodes.forEach((node) => graph.setNode(node.id, { width: WIDTH, height: HEIGHT }));
  edges.forEach((edge) => graph.setEdge(edge.source, edge.target));
  layout(graph);
  for (const node of nodes) {
    const { x, y } = graph.node(node.id);
    node.position = { x: x - WIDTH / 2, y: y - HEIGHT / 2 };
  }
}
