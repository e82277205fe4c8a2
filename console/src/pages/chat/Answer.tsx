import type { Json } from "../../api/client";
import { Value } from "../../parts/ui";
import { spokenOf } from "./talk";

export const language = navigator.language.slice(0, 2).toLowerCase();

const LANGUAGES = new Intl.DisplayNames(["en"], { type: "language", fallback: "code" });

/** What an answer says, then what else it gives. */
export function Answer({ output }: { output: Json }) {
  const { text, others, rest } = spokenOf(output, language);
  const names = Object.keys(others);
  if (text === null && rest === null) return <p className="text-quiet">It ended and gave nothing.</p>;
  return (
    <>
      {text !== null && <Value value={text} />}
      {rest !== null && <div className={text === null ? "" : "mt-2 border-t border-line pt-2 text-[13px]"}><Value value={rest} /></div>}
      {names.length > 0 && (
        <details className="mt-2 text-[13px]">
          <summary className="text-quiet">In {names.map((name) => LANGUAGES.of(name)).join(", ")}</summary>
          {names.map((name) => <div key={name} lang={name} className="mt-1"><Value value={others[name]} /></div>)}
        </details>
      )}
    </>
  );
}
