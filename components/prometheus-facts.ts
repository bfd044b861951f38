/** Where Prometheus is; of the chart's names only the governing service's is the operator's own and stays. */
export const prometheusFacts = {
  namespace: "monitoring",
  url: "http://prometheus-operated.monitoring.svc.cluster.local:9090",
} as const;
