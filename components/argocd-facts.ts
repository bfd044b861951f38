/** Names of Argo CD that others rely on. Plain values: who only asks for a name needs no provider. */
export const argoCdFacts = {
  namespace: "argocd",
  /** The AppProject and the Application of the services. */
  project: "trading",
  application: "trading",
  /** The chart's name for the account that applies what Git says (`controller.serviceAccount.name`). */
  controllerAccount: "argocd-application-controller",
  /** Argo CD's name for the cluster in which it runs. */
  server: "https://kubernetes.default.svc",
} as const;
