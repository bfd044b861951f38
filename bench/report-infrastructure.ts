/** The infrastructure's figures as Markdown tables. */
import type { InfrastructureResult } from "./infrastructure.ts";
import { table, verdict } from "./table.ts";
import { infrastructureTargets, type Target } from "./targets.ts";

const seconds = (milliseconds: number): string => `${(milliseconds / 1_000).toFixed(1)} s`;

/** Describes one stack's result. */
export function describeInfrastructure(result: InfrastructureResult): string {
  const { stack, measured, unavoidable, sequentialMs, ratios } = result;
  const ratio = (name: string, ours: number, other: number, value: number, target: Target, is: string) => [
    name,
    seconds(ours),
    seconds(other),
    value.toFixed(3),
    ...verdict(target, Number(value.toFixed(4))),
    is,
  ];
  const { upToChain, sequentialToUp, destroySeconds, requests } = infrastructureTargets;
  const chain = "the longest unavoidable chain";
  return [
    `The stack ${stack}, all four nodes, in the time of the latency model (nothing here was measured in a real cloud).`,
    table(
      ["measured", "ours", "other", "ratio", "target", "", "other is"],
      [
        ratio(
          "up, until everything is Ready",
          measured.readyMs,
          unavoidable.readyMs,
          ratios.ready,
          upToChain,
          chain,
        ),
        ratio("up, until the program ends", measured.upMs, unavoidable.upMs, ratios.up, upToChain, chain),
        ratio(
          "one after the other ÷ up",
          measured.readyMs,
          sequentialMs,
          ratios.sequential,
          sequentialToUp,
          "seed 000's bootstrap sequence",
        ),
        [
          "destroy after the seal",
          seconds(measured.destroyMs),
          "",
          "",
          ...verdict(destroySeconds, measured.destroyMs / 1_000),
          "",
        ],
        [
          "API requests of an up",
          String(measured.requests),
          "",
          "",
          ...verdict(requests, measured.requests),
          "",
        ],
      ],
    ),
    table(
      ["the longest unavoidable chain", "where", "takes"],
      unavoidable.chain.map(({ name, place, takes }) => [name, place, seconds(takes)]),
    ),
    `Timeline: ${result.files.join(", ")}`,
  ].join("\n\n");
}
