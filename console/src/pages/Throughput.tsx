import type { RunSummary } from "../api/client";
import { counted, timeWords } from "../parts/words";
import { Panel } from "./Overview";

const BAR = 20;
const HEIGHT = 72;
const FAILED = new Set(["faulted", "diverged"]);

/** How many runs began in each hour of today, and how many of them failed. */
export function Throughput({ runs, whole }: { runs: RunSummary[]; whole: boolean }) {
  const hours = Array.from({ length: 24 }, () => ({ all: 0, failed: 0 }));
  for (const run of runs) {
    const hour = hours[new Date(run.created_at).getHours()];
    if (!hour) continue;
    hour.all += 1;
    if (FAILED.has(run.status)) hour.failed += 1;
  }
  const most = Math.max(1, ...hours.map((hour) => hour.all));
  const scale = (count: number) => (count === 0 ? 0 : Math.max(2, (count / most) * HEIGHT));
  const failed = hours.reduce((sum, hour) => sum + hour.failed, 0);
  const oldest = runs.at(-1);
  return (
    <Panel title="Runs by hour, today">
      <div className="px-4 py-3">
        <svg viewBox={`0 0 ${24 * BAR} ${HEIGHT + 16}`} className="w-full" role="img" aria-label={`${counted(runs.length, "run")} today, ${failed} failed; at most ${most} in an hour`}>
          <line x1="0" x2={24 * BAR} y1={HEIGHT + 0.5} y2={HEIGHT + 0.5} stroke="var(--line)" />
          {hours.map((hour, index) => (
            <g key={index} transform={`translate(${index * BAR} 0)`}>
              <title>{`${index}:00 to ${index + 1}:00: ${counted(hour.all, "run")}, ${hour.failed} failed`}</title>
              <rect width={BAR} height={HEIGHT} fill="transparent" />
              <rect x="3" width={BAR - 6} y={HEIGHT - scale(hour.all)} height={scale(hour.all)} fill="var(--accent)" rx="1" />
              <rect x="3" width={BAR - 6} y={HEIGHT - scale(hour.failed)} height={scale(hour.failed)} fill="var(--bad)" rx="1" />
              {index % 6 === 0 && (
                <text x="3" y={HEIGHT + 13} fontSize="9" fill="var(--quiet)">{`${String(index).padStart(2, "0")}:00`}</text>
              )}
            </g>
          ))}
        </svg>
        <p className="mt-1 text-quiet">
          At most {counted(most, "run")} in an hour; {failed === 0 ? "none failed" : `${failed} failed (red)`}.
          {!whole && oldest && ` Only the latest ${runs.length.toLocaleString()} are counted, back to ${timeWords(oldest.created_at)}.`}
        </p>
      </div>
    </Panel>
  );
}
