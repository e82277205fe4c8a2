import { useQuery } from "@tanstack/react-query";
import { Link, Outlet } from "@tanstack/react-router";
import { useEffect, useState } from "react";

import { RequestFailed } from "../api/client";
import { useProjectStream } from "../api/live";
import { me, waiting } from "../api/queries";
import { Palette } from "../parts/Palette";
import { FailedRequest, Key } from "../parts/ui";
import { Account } from "./Account";
import { SignedOut } from "./SignedOut";

export function Layout() {
  const who = useQuery(me);
  if (who.error instanceof RequestFailed && who.error.problem.status === 401) return <SignedOut />;
  if (who.error) return <div className="p-4"><FailedRequest error={who.error} /></div>;
  if (!who.data) return null;
  return <Signed />;
}

function Signed() {
  useProjectStream();
  const [searching, setSearching] = useState(false);
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        setSearching(true);
      }
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
  return (
    <div className="flex min-h-dvh flex-col">
      <a href="#main" className="sr-only focus:not-sr-only focus:absolute focus:z-20 focus:m-2 focus:bg-card focus:p-2">
        Skip to the content
      </a>
      <Bar onSearch={() => setSearching(true)} />
      <main id="main" tabIndex={-1} className="mx-auto w-full max-w-[1440px] flex-1 px-4 py-4 outline-none max-md:px-3">
        <Outlet />
      </main>
      {searching && <Palette onClose={() => setSearching(false)} />}
    </div>
  );
}

function Bar({ onSearch }: { onSearch: () => void }) {
  const open = useQuery(waiting).data?.approvals.length;
  return (
    <header className="sticky top-0 z-10 border-b border-line bg-card">
      <div className="mx-auto flex h-12 max-w-[1440px] items-center gap-1 px-4 max-md:px-2">
        <span className="mr-4 font-semibold tracking-tight max-md:hidden">Orchestrion</span>
        <nav aria-label="Pages" className="flex gap-1 max-md:gap-0">
          <Tab to="/">Overview</Tab>
          <Tab to="/runs">Runs</Tab>
          <Tab to="/approvals">
            Approvals
            {open ? <span className="number ml-1.5 rounded-full bg-accent px-1.5 text-[12px] text-on-accent">{open}</span> : null}
          </Tab>
          <Tab to="/chat">Chat</Tab>
        </nav>
        <button
          type="button"
          onClick={onSearch}
          className="ml-auto flex min-h-8 items-center gap-2 rounded border border-line px-2 text-quiet hover:bg-sunken"
        >
          <svg viewBox="0 0 16 16" className="size-3.5" fill="none" stroke="currentColor" strokeWidth="1.8" strokeLinecap="round" aria-hidden>
            <circle cx="7" cy="7" r="4.5" />
            <path d="m10.5 10.5 3.5 3.5" />
          </svg>
          <span className="max-md:sr-only">Search</span>
          <Key>{/Mac/.test(navigator.userAgent) ? "⌘K" : "Ctrl K"}</Key>
        </button>
        <Account />
      </div>
    </header>
  );
}

function Tab({ to, children }: { to: "/" | "/runs" | "/approvals" | "/chat"; children: React.ReactNode }) {
  return (
    <Link
      to={to}
      activeOptions={{ exact: to === "/", includeSearch: false }}
      className="flex items-center rounded px-2.5 py-1.5 max-md:px-1.5 text-quiet hover:bg-sunken aria-[current=page]:bg-chosen aria-[current=page]:font-medium aria-[current=page]:text-text"
    >
      {children}
    </Link>
  );
}
