/**
 * A mutant of the service `executor-alpaca`, to show that a chaos run is able to fail: it calls the venue before the INTENT
 * is in the journal. So what it sent right before it was killed is nowhere, and its successor sends it again.
 */
import { runService } from "../../../services/core/service.ts";
import type { ExecutionVenue, PreparedOrder, Submission } from "../../../services/core/execution-venue.ts";
import { decodeEvent } from "../../../services/core/events.ts";
import type { PartitionLog } from "../../../services/execution/executor.ts";
import { openPartitionLog } from "../../../services/execution/partitions.ts";
import { riskVariables } from "../../../services/execution/risk.ts";
import { startExecutor } from "../../../services/execution/service.ts";
import {
  alpacaExecutionSecrets,
  alpacaExecutionVariables,
  openAlpacaVenue,
} from "../../../services/venues/alpaca/execute.ts";

/** The venue's answers, by command id. */
const answers = new Map<string, Promise<Submission>>();

/** The venue, but a prepared order has been sent already. */
function sendingFirst(venue: ExecutionVenue): ExecutionVenue {
  const prepare = (command: Parameters<ExecutionVenue["prepare"]>[0]): PreparedOrder => {
    const order = venue.prepare(command);
    const answer = order.submit(() => undefined);
    answers.set(command.command_id, answer);
    return {
      reference: order.reference,
      symbols: order.symbols,
      notional: order.notional,
      submit: () => answer,
    };
  };
  return new Proxy(venue, {
    get: (target, name) => {
      if (name === "prepare") return prepare;
      // What is sent twice is in the account twice: the comparison would stop trading before many are.
      if (name === "account") return undefined;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === "function" ? (member.bind(target) as unknown) : member;
    },
  });
}

/** The journal, but an INTENT is written when the venue has answered. */
function intentLast(log: PartitionLog): PartitionLog {
  return {
    send: async (records) => {
      for (const { topic, value } of records) {
        if (topic !== "exec.journal") continue;
        const { payload } = decodeEvent("exec.journal", value);
        if (payload.state === "INTENT") await answers.get(payload.command_id);
      }
      await log.send(records);
    },
    lost: log.lost,
    close: () => log.close(),
    abandon: () => log.abandon(),
  };
}

await runService({
  variables: { ...alpacaExecutionVariables, ...riskVariables },
  secrets: alpacaExecutionSecrets,
  start: (context, config) =>
    startExecutor(context, () => sendingFirst(openAlpacaVenue(context, config)), {
      limits: config,
      openLog: async (partition, options) => intentLast(await openPartitionLog(partition, options)),
    }),
});
