import { useState } from "react";

import type { Json } from "../../api/client";
import { Button } from "../../parts/ui";
import { fieldWords, isRecord } from "../../parts/words";

export interface Schema {
  type?: string;
  title?: string;
  description?: string;
  enum?: Json[];
  required?: string[];
  properties?: Record<string, Schema>;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  pattern?: string;
  default?: Json;
}

interface FormProps {
  schema: unknown;
  busy: boolean;
  label?: string;
  submit: (value: Json) => void;
}

/** Fields for the members of an object; JSON for whatever else a schema asks for. The server checks what is sent. */
export function Form({ schema, busy, label = "Send the answer", submit }: FormProps) {
  const asked: Schema = isRecord(schema) ? (schema as Schema) : {};
  const fields = Object.entries(asked.properties ?? {});
  const [wrong, setWrong] = useState("");
  const send = (event: React.FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    try {
      submit(fields.length > 0 ? objectOf(fields, given) : JSON.parse(String(given.get("value") ?? "")));
      setWrong("");
    } catch (error) {
      setWrong(`This is not JSON: ${(error as Error).message}`);
    }
  };
  return (
    <form onSubmit={send} className="mb-3 space-y-3">
      {fields.map(([name, field]) => (
        <Field key={name} name={name} schema={field} required={asked.required?.includes(name) ?? false} />
      ))}
      {fields.length === 0 && <Field name="value" schema={{ ...asked, title: asked.title ?? "Answer, as JSON" }} required />}
      {wrong && <p role="alert" className="text-bad">{wrong}</p>}
      <Button type="submit" look="main" disabled={busy} className="max-md:min-h-11 max-md:w-full">{label}</Button>
    </form>
  );
}

interface FieldProps {
  name: string;
  schema: Schema;
  required: boolean;
  /** One line for a text of any length. */
  short?: boolean;
}

export function Field({ name, schema, required, short }: FieldProps) {
  const label = schema.title ?? fieldWords(name);
  if (schema.type === "boolean") {
    return (
      <label className="flex items-center gap-2">
        <input type="checkbox" name={name} defaultChecked={schema.default === true} /> {label}
      </label>
    );
  }
  return (
    <label className="block">
      <span className="text-quiet first-letter:uppercase">{label}{required ? "" : " (may be left out)"}</span>
      <Entry name={name} schema={schema} required={required} short={short ?? false} />
      {schema.description && <span className="text-[12px] text-quiet">{schema.description}</span>}
    </label>
  );
}

const LONG = 200;

function Entry({ name, schema, required, short }: FieldProps) {
  const common = { name, required, className: "mt-1 block w-full" };
  const start = schema.default === undefined ? undefined : String(schema.default);
  if (schema.enum) {
    return (
      <select {...common} defaultValue={schema.default === undefined ? "" : JSON.stringify(schema.default)}>
        <option value="" disabled={required}>Choose</option>
        {schema.enum.map((each) => <option key={String(each)} value={JSON.stringify(each)}>{String(each)}</option>)}
      </select>
    );
  }
  if (schema.type === "integer" || schema.type === "number") {
    const step = schema.type === "integer" ? 1 : "any";
    return <input {...common} type="number" step={step} min={schema.minimum} max={schema.maximum} defaultValue={start} />;
  }
  if (schema.type === "string" && (short || (schema.maxLength ?? Infinity) <= LONG)) {
    return <input {...common} minLength={schema.minLength} maxLength={schema.maxLength} pattern={schema.pattern} defaultValue={start} />;
  }
  if (schema.type === "string") {
    return <textarea {...common} rows={4} minLength={schema.minLength} maxLength={schema.maxLength} defaultValue={start} />;
  }
  return <textarea {...common} rows={4} spellCheck={false} placeholder="JSON" defaultValue={schema.default === undefined ? undefined : JSON.stringify(schema.default, null, 2)} className={`${common.className} font-mono text-[12.5px]`} />;
}

/** Raises SyntaxError where a member is to be JSON and is not. */
export function objectOf(fields: [string, Schema][], given: FormData): Json {
  const value: { [name: string]: Json } = {};
  for (const [name, schema] of fields) {
    const text = given.get(name);
    if (schema.type === "boolean") value[name] = text !== null;
    else if (typeof text === "string" && text !== "") value[name] = memberOf(schema, text);
  }
  return value;
}

function memberOf(schema: Schema, text: string): Json {
  if (schema.enum) return JSON.parse(text);
  if (schema.type === "integer" || schema.type === "number") return Number(text);
  return schema.type === "string" ? text : JSON.parse(text);
}
