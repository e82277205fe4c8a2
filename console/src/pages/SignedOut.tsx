import { Code } from "../parts/ui";

export function SignedOut() {
  return (
    <main className="mx-auto mt-[16vh] max-w-md px-4">
      <div className="card p-6">
        <h1 className="text-[17px] font-semibold">You are signed out</h1>
        <p className="mt-2">Orchestrion has no passwords. A link signs you in, once:</p>
        <ul className="mt-3 list-disc space-y-2 pl-5">
          <li>
            on your own machine, <Code>orchestrion dev</Code> prints it when it starts;
          </li>
          <li>
            on a server, whoever runs it makes one with <Code>orchestrion users link NAME</Code>, or{" "}
            <Code>orchestrion users add NAME --role viewer</Code> the first time.
          </li>
        </ul>
      </div>
    </main>
  );
}
