/** Configuration values for tests of components and stacks. None of them opens anything. */

/** Entries as Pulumi hands them over: full keys, text values. Made secrets, of the right form. */
export function exampleEntries(
  overrides: Readonly<Record<string, string | undefined>> = {},
): Record<string, string> {
  const entries: Record<string, string | undefined> = {
    "trading:adminCidrs": '["203.0.113.0/24"]',
    "trading:archive": '{"endpoint":"https://s3.example.com","region":"fsn1","bucket":"archive-dev"}',
    "trading:delivery": "direct",
    "trading:venues": '{"nearIntents":{"salt":"252812b3"}}',
    "trading:hcloudToken": "t".repeat(64),
    "trading:archiveAccessKeyId": "archive-key",
    "trading:archiveSecretAccessKey": "archive-secret",
    "trading:alpacaKeyId": "alpaca-key",
    "trading:alpacaSecretKey": "alpaca-secret",
    "trading:nearRelayToken": "relay-token",
    "trading:nearSignerId": "solver.near",
    "trading:nearPrivateKey":
      "ed25519:3D4YudUahN1nawWogh8pAKSj92sUNMdbZGjn7kERKzYoTy8tnFQuwoGUC51DowKqorvkr2pytJSnwuSbsNVfqygr",
    ...overrides,
  };
  return Object.fromEntries(
    Object.entries(entries).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
