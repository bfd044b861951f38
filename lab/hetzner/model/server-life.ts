/** The life of a server: made, started, stopped, deleted. */
import type { Action } from "./actions.ts";
import type { Project } from "./project.ts";
import type { Attachment, ServerRecord } from "./records.ts";
import { removePrimaryIp, unassign } from "./primary-ips.ts";

const about = (server: ServerRecord) => [{ id: server.id, type: "server" as const }];

/** Starts a server; at the end of the action it runs and its system boots. */
export function startServer(project: Project, server: ServerRecord, after?: Action): Action {
  return project.actions.start("start_server", about(server), {
    ...(after === undefined ? {} : { after }),
    begin: () => {
      server.status = "starting";
    },
    finish: () => {
      server.status = "running";
      server.machine.powerOn();
    },
    failed: () => {
      // One that ran already goes on.
      if (!server.machine.on) server.status = "off";
    },
  });
}

/** Cuts a server's power. */
export function stopServer(project: Project, server: ServerRecord): Action {
  return project.actions.start("stop_server", about(server), {
    begin: () => {
      if (server.status !== "off") server.status = "stopping";
      server.machine.powerOff();
    },
    finish: () => {
      server.status = "off";
    },
  });
}

/** Asks the system to shut down: the action ends when the question was put, the server goes off some time after. */
export function shutdownServer(project: Project, server: ServerRecord): Action {
  return project.actions.start("shutdown_server", about(server), {
    finish: () => {
      if (server.status !== "running") return;
      const going = project.changes.pause(
        project.latency.duration("shutdown_of_guest", `server/${server.id}`),
      );
      void going.then((passed) => {
        if (!passed || server.status !== "running") return;
        server.machine.powerOff();
        server.status = "off";
        project.changes.notify();
      });
    },
  });
}

/** Stops a server's system and boots it again. */
export function restartServer(
  project: Project,
  server: ServerRecord,
  command: "reboot_server" | "reset_server",
): Action {
  return project.actions.start(command, about(server), {
    begin: () => server.machine.powerOff(),
    finish: () => {
      server.status = "running";
      server.machine.powerOn();
    },
  });
}

/** Starts the action at whose end an attachment's interface is there. */
export function attach(
  project: Project,
  server: ServerRecord,
  attachment: Attachment,
  after?: Action,
): Action {
  const resources = [...about(server), { id: attachment.networkId, type: "network" as const }];
  return project.actions.start("attach_to_network", resources, {
    ...(after === undefined ? {} : { after }),
    finish: () => {
      attachment.ready = true;
    },
    failed: () => {
      server.attachments = server.attachments.filter((other) => other !== attachment);
    },
  });
}

/** Starts the action at whose end a server has left a network. */
export function detach(project: Project, server: ServerRecord, attachment: Attachment): Action {
  const resources = [...about(server), { id: attachment.networkId, type: "network" as const }];
  return project.actions.start("detach_from_network", resources, {
    begin: () => {
      attachment.leaving = true;
    },
    finish: () => {
      server.attachments = server.attachments.filter((other) => other !== attachment);
    },
  });
}

/**
 * Deletes a server. It is gone from the API at once; what it held is free when the action has ended. When the action
 * fails, the server is back, off, and never stopped billing.
 * @param onDeleted called at the end of the action
 */
export function deleteServer(project: Project, server: ServerRecord, onDeleted: () => void): Action {
  server.status = "deleting";
  server.machine.powerOff();
  project.servers.remove(server);
  project.leaving.add(server);
  return project.actions.start("delete_server", about(server), {
    finish: () => {
      project.leaving.delete(server);
      project.ledger.end(server);
      for (const ip of project.primaryIps.all()) {
        if (ip.assigneeId !== server.id) continue;
        if (ip.autoDelete) removePrimaryIp(project, ip);
        else unassign(ip, undefined);
      }
      onDeleted();
    },
    failed: () => {
      project.leaving.delete(server);
      server.status = "off";
      project.servers.add(server);
    },
  });
}
