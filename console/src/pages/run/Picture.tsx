import "@xyflow/react/dist/base.css";

import { Graph, layout } from "@dagrejs/dagre";
import { Background, Controls, type Edge, Handle, type Node, type NodeProps, Position, ReactFlow } from "@xyflow/react";
import { useMemo } from "react";

import type { EntrySummary } from "../../api/client";
import { Status } from "../../parts/status";
import { type Step, stepsOf } from "./steps";

interface PictureProps {
  entries: readonly EntrySummary[];
  chosen: EntrySummary | undefined;
  choose: (place: number) => void;
}

type TaskNode = Node<{ label: string; note: string; status: string }, "task">;

const WIDTH = 190;
const HEIGHT = 48;
const types = { task: Task };

/** The way a run took through its workflow, each task once, as it stands now. */
export default function Picture({ entries, chosen, choose }: PictureProps) {
  const { nodes, edges, places } = useMemo(() => drawn(entries), [entries]);
  const shown = nodes.map((node) => ({ ...node, selected: node.id === taskOf(chosen?.key ?? "") }));
  return (
    <div className="h-[min(40rem,70dvh)]">
      <ReactFlow
        nodes={shown}
        edges={edges}
        nodeTypes={types}
        fitView
        fitViewOptions={{ maxZoom: 1, padding: 0.1 }}
        minZoom={0.2}
        nodesDraggable={false}
        nodesConnectable={false}
        edgesFocusable={false}
        onNodeClick={(_, node) => {
          const place = places.get(node.id);
          if (place !== undefined) choose(place);
        }}
        aria-label="The way this run took"
      >
        <Background color="var(--line)" gap={16} />
        <Controls showInteractive={false} />
      </ReactFlow>
    </div>
  );
}

function Task({ data, selected }: NodeProps<TaskNode>) {
  const border = data.status === "failed" ? "border-bad" : data.status === "intent" ? "border-accent" : "border-line";
  return (
    <div className={`flex h-12 w-[190px] items-center gap-2 rounded-md border bg-card px-3 ${border} ${selected ? "outline-2 outline-accent" : ""}`}>
      <Handle type="target" position={Position.Top} className="invisible" />
      <Status status={data.status} bare />
      <span className="min-w-0">
        <span className="block truncate font-medium">{data.label}</span>
        {data.note && <span className="block truncate text-[12px] leading-4 text-quiet">{data.note}</span>}
      </span>
      <Handle type="source" position={Position.Bottom} className="invisible" />
    </div>
  );
}

/** The task a key lies in, without visits: `/do/2/ask#3/turn/0` → `/do/2/ask`. */
const taskOf = (key: string) => /^(\/do\/\d+\/[^/#]+)/.exec(key)?.[1] ?? "";

function drawn(entries: readonly EntrySummary[]) {
  const visits = stepsOf(entries, false).filter((step) => taskOf(step.key));
  const nodes = new Map<string, TaskNode>();
  const edges = new Map<string, Edge>();
  const places = new Map<string, number>();
  let before = "";
  for (const step of visits) {
    const id = taskOf(step.key);
    const place = lastPlace(step);
    if (place !== null) places.set(id, place);
    nodes.set(id, { id, type: "task", position: { x: 0, y: 0 }, width: WIDTH, height: HEIGHT, ariaLabel: `${step.label}, ${step.status}`, data: { label: step.label, note: noteOf(step), status: step.status } });
    if (before) edges.set(`${before} ${id}`, { id: `${before} ${id}`, source: before, target: id, animated: step.status === "intent" });
    before = id;
  }
  arrange([...nodes.values()], [...edges.values()]);
  return { nodes: [...nodes.values()], edges: [...edges.values()], places };
}

function noteOf(step: Step): string {
  const inside = step.children.length;
  return [step.note, inside ? `${inside} inside` : ""].filter(Boolean).join(", ");
}

/** Of a task's records the one that tells most: its own, else the last that failed, else the last. */
function lastPlace(step: Step): number | null {
  if (step.entry) return step.entry.place;
  const failed = step.children.filter((child) => child.status === "failed").at(-1);
  const last = failed ?? step.children.at(-1);
  return last ? lastPlace(last) : null;
}

function arrange(nodes: TaskNode[], edges: Edge[]): void {
  const graph = new Graph().setGraph({ rankdir: "TB", nodesep: 32, ranksep: 36 }).setDefaultEdgeLabel(() => ({}));
  nodes.forEach((node) => graph.setNode(node.id, { width: WIDTH, height: HEIGHT }));
  edges.forEach((edge) => graph.setEdge(edge.source, edge.target));
  layout(graph);
  for (const node of nodes) {
    const { x, y } = graph.node(node.id);
    node.position = { x: x - WIDTH / 2, y: y - HEIGHT / 2 };
  }
}
