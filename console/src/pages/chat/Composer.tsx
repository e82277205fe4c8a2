import type { RefObject } from "react";

import { Button, Key } from "../../parts/ui";

interface ComposerProps {
  label: string;
  box: RefObject<HTMLTextAreaElement | null>;
  text: string;
  setText: (text: string) => void;
  /** Whether an answer is under way: it has to end, or be stopped, before the next message. */
  underWay: boolean;
  send: () => void;
  stop: () => void;
}

/** Where one writes: Enter sends, Shift and Enter begin a new line, Escape stops. */
export function Composer({ label, box, text, setText, underWay, send, stop }: ComposerProps) {
  const press = (event: React.KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      if (!underWay) send();
    } else if (event.key === "Escape" && underWay) {
      stop();
    }
  };
  return (
    <form
      className="flex items-end gap-2 border-t border-line p-3"
      onSubmit={(event) => {
        event.preventDefault();
        if (!underWay) send();
      }}
    >
      <textarea
        ref={box}
        aria-label={label}
        placeholder={label}
        dir="auto"
        rows={1}
        autoFocus
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={press}
        className="max-h-48 min-h-9 min-w-0 flex-1 resize-none px-3! py-2! [field-sizing:content] max-md:min-h-11 max-md:py-3!"
      />
      {underWay ? (
        <Button look="bad" onClick={stop} className="min-h-9 max-md:min-h-11">Stop <Key>Esc</Key></Button>
      ) : (
        <Button type="submit" look="main" disabled={text.trim() === ""} className="min-h-9 max-md:min-h-11">Send</Button>
      )}
    </form>
  );
}
