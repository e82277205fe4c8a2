import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { api } from "../api/client";
import { me } from "../api/queries";
import { setTheme, type Theme, theme } from "../parts/theme";
import { Button } from "../parts/ui";

const THEMES: [Theme, string][] = [
  ["light", "Light"],
  ["dark", "Dark"],
  ["system", "As the system"],
];

/** Who is signed in, with what belongs to them. */
export function Account() {
  const who = useQuery(me).data;
  const [chosen, setChosen] = useState(theme);
  const leave = useMutation({ mutationFn: api.signOut, onSuccess: () => location.assign("/") });
  return (
    <>
      <button type="button" popoverTarget="account" className="ml-1 min-h-8 max-w-32 truncate rounded px-2 hover:bg-sunken">
        {who?.name}
      </button>
      <div id="account" popover="auto" className="card fixed inset-auto top-12 right-3 w-60 p-3 text-text shadow-lg">
        <p className="font-medium break-words">{who?.name}</p>
        <p className="text-quiet">{who?.roles.join(", ")}</p>
        <fieldset className="my-3">
          <legend className="mb-1 text-quiet">Colours</legend>
          {THEMES.map(([value, word]) => (
            <label key={value} className="flex items-center gap-2 py-0.5">
              <input
                type="radio"
                name="theme"
                checked={chosen === value}
                onChange={() => {
                  setTheme(value);
                  setChosen(value);
                }}
              />
              {word}
            </label>
          ))}
        </fieldset>
        <Button className="w-full" disabled={leave.isPending} onClick={() => leave.mutate()}>
          Sign out
        </Button>
      </div>
    </>
  );
}
