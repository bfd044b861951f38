/** Name of the ConfigMap with what every service needs to know. */
export const settingsName = "trading-settings";
