import { createHash } from "node:crypto";
import type { Hono } from "hono";
import ssh2 from "ssh2";
import { z } from "zod";
import { invalidField, notUnique } from "../errors.ts";
import type { Project } from "../model/project.ts";
import { sshKeyView } from "../model/views.ts";
import { labelsSchema, listAnswer, nameSchema, pathId, readBody, updateSchema } from "../request.ts";

const createSchema = z.object({ name: nameSchema, public_key: z.string(), labels: labelsSchema.default({}) });

/** MD5 of a public key in OpenSSH's format, as the API prints it. @throws ApiError `invalid_input` */
export function fingerprintOf(publicKey: string): string {
  const parsed = ssh2.utils.parseKey(publicKey);
  if (parsed instanceof Error || parsed.isPrivateKey()) {
    throw invalidField("public_key", "must be a public key in OpenSSH format");
  }
  const digest = createHash("md5").update(parsed.getPublicSSH()).digest("hex");
  return (digest.match(/../g) ?? []).join(":");
}

export function addSshKeyRoutes(app: Hono, project: Project): void {
  const { sshKeys } = project;
  app.get("/ssh_keys", (context) =>
    listAnswer(context, "ssh_keys", sshKeys.all().map(sshKeyView), ["id", "name"], ["name", "fingerprint"]),
  );
  app.post("/ssh_keys", async (context) => {
    const body = await readBody(context, createSchema);
    const publicKey = body.public_key.trim();
    const fingerprint = fingerprintOf(publicKey);
    sshKeys.checkNameFree(body.name);
    if (sshKeys.all().some((key) => key.fingerprint === fingerprint))
      throw notUnique("public_key", "ssh_key");
    const key = sshKeys.add({
      id: project.nextId(),
      name: body.name,
      labels: body.labels,
      created: project.clock.date(),
      publicKey,
      fingerprint,
    });
    return context.json({ ssh_key: sshKeyView(key) }, 201);
  });
  app.get("/ssh_keys/:id{[0-9]+}", (context) =>
    context.json({ ssh_key: sshKeyView(sshKeys.get(pathId(context))) }),
  );
  app.put("/ssh_keys/:id{[0-9]+}", async (context) => {
    const key = sshKeys.get(pathId(context));
    const body = await readBody(context, updateSchema);
    if (body.name !== undefined) sshKeys.checkNameFree(body.name, key);
    key.name = body.name ?? key.name;
    key.labels = body.labels ?? key.labels;
    return context.json({ ssh_key: sshKeyView(key) });
  });
  // Servers keep the keys they were made with.
  app.delete("/ssh_keys/:id{[0-9]+}", (context) => {
    sshKeys.remove(sshKeys.get(pathId(context)));
    return context.body(null, 204);
  });
}
