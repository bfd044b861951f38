/** A program at a real pseudo-terminal, as a person would use it. */
import { execFile } from "node:child_process";

/** What is typed once the program has shown a text, behind what it showed before. */
export interface Typed {
  after: string;
  /** Enter is `\r`, Ctrl-C `\x03`. */
  type: string;
}

/** What came of it. */
export interface TerminalSession {
  code: number | null;
  /** All that was shown, standard output and standard error together. */
  shown: string;
  /** How many of the answers were typed. */
  typed: number;
}

/** Node has no pseudo-terminals; Python's standard library has. */
const driver = String.raw`
import json, os, pty, select, signal, sys, time
job = json.loads(os.environ.pop("TERMINAL_JOB"))
pid, terminal = pty.fork()
if pid == 0:
    os.chdir(job["cwd"])
    os.execvpe(job["argv"][0], job["argv"], job["env"])
shown, at, typed, end = b"", 0, 0, time.monotonic() + job["seconds"]
while True:
    if time.monotonic() > end:
        os.kill(pid, signal.SIGKILL)
        break
    if select.select([terminal], [], [], 0.05)[0]:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        if not data:
            break
        shown += data
    while typed < len(job["steps"]):
        after = job["steps"][typed]["after"].encode()
        found = shown.find(after, at)
        if found < 0:
            break
        at = found + len(after)
        os.write(terminal, job["steps"][typed]["type"].encode())
        typed += 1
_, status = os.waitpid(pid, 0)
code = os.waitstatus_to_exitcode(status)
print(json.dumps({"code": code, "shown": shown.decode(errors="replace"), "typed": typed}))
`;

/**
 * Runs a program at a terminal of its own until it ends.
 * @param seconds after which it is killed
 * @throws Error when there is no Python
 */
export function atTerminal(
  argv: readonly string[],
  steps: readonly Typed[],
  { cwd, env, seconds = 120 }: { cwd: string; env: Readonly<Record<string, string>>; seconds?: number },
): Promise<TerminalSession> {
  const job = JSON.stringify({ argv, steps, cwd, env, seconds });
  return new Promise((resolve, reject) => {
    execFile(
      "python3",
      ["-c", driver],
      { env: { ...process.env, TERMINAL_JOB: job }, maxBuffer: 16 * 1024 * 1024 },
      (error, stdout) => {
        if (error !== null) reject(new Error(`python3: ${error.message}`, { cause: error }));
        else resolve(JSON.parse(stdout) as TerminalSession);
      },
    );
  });
}
