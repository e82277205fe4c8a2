import { type ButtonHTMLAttributes, type ReactNode, useEffect, useRef, useState } from "react";

import { type Json, type Problem, RequestFailed } from "../api/client";
import { fieldWords, isRecord, problemWords, spanWords, timeWords } from "./words";

type ButtonLook = "plain" | "main" | "bad";
const BUTTONS: Record<ButtonLook, string> = {
  plain: "border-line bg-card hover:bg-sunken",
  main: "border-accent bg-accent text-on-accent hover:opacity-90",
  bad: "border-bad text-bad bg-card hover:bg-bad-soft",
};

export function Button({ look = "plain", ...rest }: ButtonHTMLAttributes<HTMLButtonElement> & { look?: ButtonLook }) {
  const shape = "inline-flex items-center justify-center gap-2 rounded border px-3 py-1 min-h-8 font-medium disabled:opacity-50";
  return <button type="button" {...rest} className={`${shape} ${BUTTONS[look]} ${rest.className ?? ""}`} />;
}

export function Key({ children }: { children: ReactNode }) {
  return <kbd aria-hidden className="rounded border border-line bg-sunken px-1 font-mono text-[11px] leading-4 text-quiet max-md:hidden">{children}</kbd>;
}

export function Time({ at }: { at: string }) {
  return (
    <time dateTime={at} title={at} className="number whitespace-nowrap">
      {timeWords(at)}
    </time>
  );
}

/** How long is left, kept up to date. */
export function Deadline({ at }: { at: string }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 10_000);
    return () => clearInterval(timer);
  }, []);
  const left = (Date.parse(at) - now) / 1000;
  const urgent = left < 3600;
  return (
    <time dateTime={at} title={at} className={`number whitespace-nowrap ${urgent ? "text-bad" : ""}`}>
      {left <= 0 ? "expired" : `${spanWords(left)} left`}
    </time>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="px-4 py-8 text-center">
      <p className="font-medium">{title}</p>
      {children && <div className="mx-auto mt-1 max-w-lg text-quiet">{children}</div>}
    </div>
  );
}

export function Code({ children }: { children: ReactNode }) {
  return <code className="rounded bg-sunken px-1 py-0.5 font-mono text-[12.5px]">{children}</code>;
}

export function ProblemPanel({ problem, children }: { problem: Problem; children?: ReactNode }) {
  return (
    <section role="alert" className="rounded-md border border-bad bg-bad-soft p-3">
      <p className="font-medium whitespace-pre-wrap break-words [unicode-bidi:isolate]">{problemWords(problem)}</p>
      <p className="mt-1 flex flex-wrap gap-x-3 text-quiet">
        {problem.title && problem.title !== problem.detail && <span>{problem.title}</span>}
        {problem.code && <span className="font-mono text-[12.5px]">{problem.code}</span>}
        {problem.instance && <span className="font-mono text-[12.5px]">{problem.instance}</span>}
      </p>
      {problem.hint && <p className="mt-1">{problem.hint}</p>}
      {children}
    </section>
  );
}

export function FailedRequest({ error }: { error: Error }) {
  return <ProblemPanel problem={error instanceof RequestFailed ? error.problem : { detail: error.message }} />;
}

const SHOWN_CHARACTERS = 20_000;

function Text({ text, mono }: { text: string; mono: boolean }) {
  const [whole, setWhole] = useState(false);
  const cut = !whole && text.length > SHOWN_CHARACTERS;
  return (
    <>
      <div dir="auto" className={`whitespace-pre-wrap break-words [unicode-bidi:isolate] ${mono ? "font-mono text-[12.5px]" : ""}`}>
        {cut ? text.slice(0, SHOWN_CHARACTERS) : text}
      </div>
      {cut && (
        <Button className="mt-2" onClick={() => setWhole(true)}>
          Show the other {(text.length - SHOWN_CHARACTERS).toLocaleString()} characters
        </Button>
      )}
    </>
  );
}

const DEEPEST = 4;

/** Anything that JSON can say: members by name, items one below the other, and what lies very deep as JSON. */
export function Value({ value, depth = 0 }: { value: unknown; depth?: number }) {
  if (value === null || value === undefined) return <span className="text-quiet">nothing</span>;
  if (typeof value === "string") return value === "" ? <span className="text-quiet">empty text</span> : <Text text={value} mono={false} />;
  if (typeof value === "number" || typeof value === "boolean") return <span className="number">{String(value)}</span>;
  const inside = depth > 0 ? "border-l border-line pl-3" : "";
  if (isRecord(value) && depth < DEEPEST && fits(Object.keys(value).length)) {
    return (
      <dl className={`grid grid-cols-[minmax(4rem,max-content)_minmax(0,1fr)] gap-x-4 gap-y-1 max-md:grid-cols-1 max-md:gap-y-0.5 ${inside}`}>
        {Object.entries(value).map(([name, each]) => (
          <Member key={name} name={name} value={each} depth={depth} />
        ))}
      </dl>
    );
  }
  if (Array.isArray(value) && depth < DEEPEST && fits(value.length)) {
    return (
      <ul className={`space-y-1 ${inside}`}>
        {value.map((each, index) => (
          <li key={index}>
            <Value value={each} depth={depth + 1} />
          </li>
        ))}
      </ul>
    );
  }
  return <Text text={JSON.stringify(value, null, 2)} mono />;
}

/** Empty ones and very long ones are shown as JSON. */
const fits = (count: number) => count > 0 && count <= 200;

function Member({ name, value, depth }: { name: string; value: Json; depth: number }) {
  const cents = name.endsWith("_cents") && typeof value === "number";
  return (
    <>
      <dt className="max-w-40 break-words text-quiet [unicode-bidi:isolate]" title={name}>
        {fieldWords(name)}
      </dt>
      <dd className="min-w-0 max-md:mb-1.5">
        <Value value={value} depth={depth + 1} />
        {cents && <span className="number text-quiet"> = {(value / 100).toFixed(2)}</span>}
      </dd>
    </>
  );
}

/** A modal dialog: the browser keeps the focus inside and gives it back. */
export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ReactNode }) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = element.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={element}
      aria-label={title}
      onClose={onClose}
      onClick={(event) => event.target === element.current && onClose()}
      className="card m-auto mt-[12vh] w-[min(36rem,calc(100vw-24px))] shadow-xl"
    >
      {children}
    </dialog>
  );
}
