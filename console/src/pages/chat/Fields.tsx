import type { RefObject } from "react";

import type { Json, Partner } from "../../api/client";
import { fieldWords, isRecord } from "../../parts/words";
import { Field, type Schema } from "../approvals/Form";

/** What a partner is to be told beside the message, with what it was told last. */
export function askedOf(partner: Partner, kept: { [name: string]: Json }): { fields: [string, Schema][]; required: string[] } {
  const schema: Schema = isRecord(partner.input) ? (partner.input as Schema) : {};
  const fields = Object.entries(schema.properties ?? {})
    .filter(([name]) => name !== partner.text)
    .map(([name, field]): [string, Schema] => [name, name in kept ? { ...field, default: kept[name] as Json } : field]);
  return { fields, required: schema.required ?? [] };
}

const wordsOf = (value: unknown) => (typeof value === "object" ? JSON.stringify(value) : String(value));

interface FieldsProps {
  form: RefObject<HTMLFormElement | null>;
  asked: ReturnType<typeof askedOf>;
  open: boolean;
  setOpen: (open: boolean) => void;
  done: () => void;
}

/** A small form at the top of a conversation. */
export function Fields({ form, asked, open, setOpen, done }: FieldsProps) {
  const told = asked.fields.filter(([, field]) => field.default !== undefined).map(([name, field]) => `${fieldWords(name)}: ${wordsOf(field.default)}`);
  return (
    <details open={open} onToggle={(event) => setOpen(event.currentTarget.open)} className="border-b border-line px-4 py-2">
      <summary className="truncate text-quiet">{told.length > 0 ? told.join(", ") : "Details for this conversation"}</summary>
      <form
        ref={form}
        aria-label="Details for this conversation"
        className="mt-2 grid grid-cols-[repeat(auto-fill,minmax(14rem,1fr))] gap-3 pb-1"
        onSubmit={(event) => {
          event.preventDefault();
          done();
        }}
      >
        {asked.fields.map(([name, field]) => (
          <Field key={name} name={name} schema={field} required={asked.required.includes(name)} short />
        ))}
        <button type="submit" className="sr-only" tabIndex={-1}>Go on to the message</button>
      </form>
    </details>
  );
}
