/** Made up, of the form that the configuration demands. */
export const madeUpSecrets: Readonly<Record<string, string>> = {
  "trading:archiveAccessKeyId": "archive-access-key-id",
  "trading:archiveSecretAccessKey": "archive-secret-access-key",
  "trading:alpacaKeyId": "alpaca-key-id",
  "trading:alpacaSecretKey": "alpaca-secret-key",
  "trading:nearRelayToken": "near-relay-token",
  "trading:nearSignerId": "solver.near",
  "trading:nearPrivateKey": `ed25519:${"1".repeat(64)}`,
};
