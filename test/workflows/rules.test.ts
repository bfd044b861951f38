/** What every workflow has to keep to, whatever it does. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { serviceImageBases } from "../../components/versions.ts";
import { jobsOf, readWorkflow, readWorkflows, type Step, type Workflow } from "./workflow.ts";

const github = readWorkflows("github");
const forgejo = readWorkflows("forgejo");
const all = [...github, ...forgejo];
/** They change a cluster or look at one. */
const ofTheDay = ["trading-day-open", "trading-day-close", "guard"] as const;
const stepsOf = (workflow: Workflow): Step[] => Object.values(workflow.jobs).flatMap(({ steps }) => steps);
const expressions = (value: unknown): string[] =>
  [...JSON.stringify(value ?? null).matchAll(/\$\{\{(.*?)\}\}/g)].map(([, text = ""]) => text.trim());

test("both forges have all six", () => {
  const ids = ["ci", "guard", "promote", "release", "trading-day-close", "trading-day-open"];
  assert.deepEqual(
    github.map(({ id }) => id),
    ids,
  );
  assert.deepEqual(
    forgejo.map(({ id }) => id),
    ids,
  );
  for (const { file, id, name } of all) assert.equal(name, id, file);
});

test("every action is pinned to a commit, with its version beside it, the same everywhere", () => {
  const pins = new Map<string, string>();
  for (const { file, text } of all) {
    for (const [line, action = "", pin = "", comment = ""] of text.matchAll(
      /^\s*(?:- )?uses: (\S+?)@(\S+)(.*)$/gm,
    )) {
      assert.match(pin, /^[0-9a-f]{40}$/, `${file}: ${line.trim()}`);
      assert.match(comment, /^ # v\d+\.\d+\.\d+\S*$/, `${file}: ${line.trim()}`);
      const forge = file.startsWith(".github") ? "github" : "forgejo";
      const known = pins.get(`${forge} ${action}`) ?? pin + comment;
      assert.equal(pin + comment, known, `${file}: two versions of ${action}`);
      pins.set(`${forge} ${action}`, known);
    }
    const used = text.match(/uses:/g)?.length ?? 0;
    assert.equal(
      text.match(/uses: \S+@[0-9a-f]{40} # v/g)?.length ?? 0,
      used,
      `${file}: a \`uses\` without a pin`,
    );
  }
});

test("containers are pinned by digest: the image that services are built in", () => {
  for (const { where, job } of jobsOf(forgejo))
    assert.equal(job.container?.image, `docker.io/library/${serviceImageBases.build}`, where);
  for (const { where, job } of jobsOf(github)) assert.equal(job.container, undefined, where);
});

test("the day runs with the Node of the services, which the check of its lines has, too", () => {
  for (const { where, job } of jobsOf(github.filter(({ id }) => ofTheDay.some((day) => day === id)))) {
    const node = job.steps.find(({ uses }) => uses?.startsWith("actions/setup-node@"));
    assert.equal(node?.with?.["node-version"], serviceImageBases.node, where);
    // Nothing that another workflow has left behind.
    assert.equal(node?.with?.["package-manager-cache"], false, where);
  }
});

test("a workflow's token may nothing; each job names what it may, and how long it may take", () => {
  for (const { file, permissions } of github) assert.deepEqual(permissions, {}, file);
  for (const { where, job } of jobsOf(github))
    assert.ok(Object.keys(job.permissions ?? {}).length > 0, where);
  for (const { where, job } of jobsOf(all)) {
    const minutes = job["timeout-minutes"] ?? Infinity;
    assert.ok(minutes <= 350, `${where}: hosted runners end a job after 360 minutes`);
  }
  const mayWrite = jobsOf(github).flatMap(({ workflow, id, job }) =>
    Object.entries(job.permissions ?? {}).flatMap(([scope, right]) =>
      right === "read" ? [] : [`${workflow.id}/${id}: ${scope}`],
    ),
  );
  assert.deepEqual(mayWrite.sort(), [
    "promote/promote: pull-requests",
    "release/bump: actions",
    "release/bump: contents",
    "release/image: id-token",
    "release/image: packages",
  ]);
});

test("no job but the one that pushes keeps the checkout's credentials", () => {
  for (const { where, workflow, id, job } of jobsOf(all)) {
    for (const { uses, with: inputs } of job.steps) {
      if (uses?.startsWith("actions/checkout@") !== true) continue;
      const pushes = workflow.id === "release" && id === "bump";
      assert.equal(inputs?.["persist-credentials"], pushes, where);
    }
  }
});

test("nothing is written into a shell's line: values come as variables", () => {
  for (const { where, job } of jobsOf(all)) {
    for (const { run = "", shell } of job.steps) {
      assert.deepEqual(expressions(run), [], `${where}: ${run}`);
      assert.equal(shell, undefined, where);
    }
  }
});

test("secrets are given to single steps, never to a job or a workflow, and each stands in its own environment", () => {
  for (const { file, env } of all) assert.deepEqual(expressions(env).filter(isSecret), [], file);
  for (const { where, job } of jobsOf(all)) {
    assert.deepEqual(expressions(job.env).filter(isSecret), [], where);
    for (const step of job.steps) {
      const secrets = expressions(step).filter((text) => text.includes("secrets."));
      // Packages and tools of others get none.
      if (step.run?.startsWith("npm ci") === true || step.run?.includes("pulumi:install") === true)
        assert.deepEqual(expressions(step.env), [], where);
      if (secrets.length > 0 && where.startsWith(".github"))
        assert.ok(job.environment !== undefined, `${where}: secrets without an environment`);
    }
  }
  function isSecret(text: string): boolean {
    return /secrets\.|token/.test(text);
  }
});

test("open and close of a stack never overlap, and neither is ended by another run", () => {
  for (const [forge, workflows] of Object.entries({ github, forgejo })) {
    const groups = ofTheDay.flatMap((id) => {
      const workflow = workflows.find((one) => one.id === id) as Workflow;
      assert.equal(workflow.concurrency, undefined, `${workflow.file}: a group for both stacks`);
      return jobsOf([workflow]).map(({ id: job, where, job: { concurrency } }) => {
        assert.equal(concurrency?.["cancel-in-progress"], false, where);
        return `${id}/${job.replace(/-(dev|prod)$/, "")}: ${concurrency?.group.replace(/(dev|prod)$|\$\{\{ matrix\.stack \}\}/, "S")}`;
      });
    });
    assert.deepEqual(
      [...new Set(groups)],
      [
        "trading-day-open/open: trading-S",
        "trading-day-close/close: trading-S",
        // The look waits for nobody: it is to see a job that hangs.
        "guard/look: guard-S",
        "guard/close: trading-S",
      ],
      forge,
    );
  }
  for (const { file, concurrency, id } of all)
    if (!ofTheDay.some((day) => day === id)) assert.ok(concurrency, `${file}: no concurrency`);
});

test("the morning of production needs no reviewer; deployments and promotions do", () => {
  const environments = (id: string): (string | undefined)[] =>
    Object.values(readWorkflow("github", id).jobs).map(({ environment }) => environment);
  const day =
    "${{ matrix.stack == 'dev' && 'development' || github.event_name == 'schedule' && 'production-day' || 'production' }}";
  assert.deepEqual(environments("trading-day-open"), [day]);
  assert.deepEqual(environments("trading-day-close"), [day]);
  const looks = "${{ matrix.stack == 'dev' && 'development' || 'production-day' }}";
  assert.deepEqual(environments("guard"), [looks, looks]);
  assert.deepEqual(environments("promote"), ["production"]);
  assert.deepEqual(environments("ci"), [undefined], "what pull requests run has no secrets");
});

test("what a person may choose is one of a list", () => {
  for (const { file, on } of all) {
    for (const [name, input] of Object.entries(on.workflow_dispatch?.inputs ?? {}))
      assert.equal(input.type, "choice", `${file}: ${name}`);
    assert.ok(
      !("pull_request_target" in on) && !("workflow_run" in on),
      `${file}: foreign code with our rights`,
    );
  }
});

test("workflows are thin: but for tools, each line is one of npm's", () => {
  for (const { where, job } of jobsOf(all)) {
    for (const { run } of job.steps) {
      if (run === undefined || /^(cosign|gh|mkdir digests|apt-get|bash \.ci\/run)/.test(run)) continue;
      assert.match(run, /^(npm (ci|test|run|start)\b|echo "images=\$\(npm run )/, where);
      assert.doesNotMatch(run, /[|;&]/, where);
    }
  }
});

test("Forgejo's day is GitHub's: the same times, the same commands", () => {
  for (const id of ofTheDay) {
    const [here, there] = [readWorkflow("github", id), readWorkflow("forgejo", id)];
    assert.deepEqual(there.on.schedule, here.on.schedule, id);
    const commands = (workflow: Workflow): string[] => [
      ...new Set(stepsOf(workflow).flatMap(({ run }) => (run?.startsWith("npm ") === true ? [run] : []))),
    ];
    assert.deepEqual(commands(there), commands(here), id);
  }
});
