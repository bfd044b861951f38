/**
 * The two gRPC services that a Pulumi program talks to: the resource monitor and the engine. Each call is translated
 * and handed on; what we do not do is refused by name, so that no option is ever silently ignored.
 */
import grpc from "@grpc/grpc-js";
import emptyPb from "google-protobuf/google/protobuf/empty_pb.js";
import engineGrpc from "@pulumi/pulumi/proto/engine_grpc_pb.js";
import enginePb from "@pulumi/pulumi/proto/engine_pb.js";
import providerPb from "@pulumi/pulumi/proto/provider_pb.js";
import resourceGrpc from "@pulumi/pulumi/proto/resource_grpc_pb.js";
import resourcePb from "@pulumi/pulumi/proto/resource_pb.js";
import { messageOf, UnsupportedError } from "./errors.ts";
import { readGoal } from "./goal.ts";
import { fromStruct, toStruct } from "./properties.ts";
import { NotAcceptingError, type Registrar } from "./registrar.ts";
import type { Run } from "./run.ts";

/** What the SDK may ask for with SupportsFeature and gets a yes. Everything else is a no. */
const features: ReadonlySet<string> = new Set(["secrets", "deletedWith", "aliasSpecs"]);

/** As the SDK's own limit: resources may carry large texts. */
const maximumMessageBytes = 400 * 1024 * 1024;

/** The services of one run, listening on loopback. */
export interface Monitor {
  /** `127.0.0.1:<port>` for both services. */
  address: string;
  /** Error lines that the program logged; any of them makes the run fail, as with Pulumi. */
  errors: string[];
  close(): void;
}

type Handler<Request, Response> = (request: Request) => Response | Promise<Response>;

function unary<Request, Response>(
  handler: Handler<Request, Response>,
  failed: (error: unknown) => void = () => undefined,
): grpc.handleUnaryCall<Request, Response> {
  return (call, callback) => {
    Promise.resolve()
      .then(() => handler(call.request))
      .then(
        (response) => callback(null, response),
        (error: unknown) => {
          // UNAVAILABLE makes the SDK end quietly: the engine itself reports what happened.
          const stopping = error instanceof NotAcceptingError;
          if (!stopping) failed(error);
          callback({
            code: stopping ? grpc.status.UNAVAILABLE : grpc.status.UNKNOWN,
            details: messageOf(error),
          });
        },
      );
  };
}

const severities = ["debug", "info", "warning", "error"] as const;

/**
 * Starts both services.
 * @param registrar does the work
 * @param unknowns whether values may be unknown: only in a preview
 */
export async function startMonitor(
  run: Run,
  registrar: Registrar,
  unknowns: "refused" | "allowed",
): Promise<Monitor> {
  const server = new grpc.Server({
    "grpc.max_receive_message_length": maximumMessageBytes,
    "grpc.max_send_message_length": maximumMessageBytes,
  });
  const errors: string[] = [];
  let rootUrn = "";

  // An unsupported option is a failure of the run even if the program catches the error.
  const refused = (error: unknown): void => {
    if (error instanceof UnsupportedError) run.fail("check", error);
  };
  const refuse = <Request, Response>(call: string): grpc.handleUnaryCall<Request, Response> =>
    unary(() => {
      throw new UnsupportedError(call, "the program");
    }, refused);

  server.addService(resourceGrpc.ResourceMonitorService, {
    getDeploymentInfo: refuse("GetDeploymentInfo"),
    supportsFeature: unary((request: resourcePb.SupportsFeatureRequest) =>
      new resourcePb.SupportsFeatureResponse().setHassupport(features.has(request.getId())),
    ),
    registerResource: unary(async (request: resourcePb.RegisterResourceRequest) => {
      const registered = await registrar.register(readGoal(request, unknowns));
      return new resourcePb.RegisterResourceResponse()
        .setUrn(registered.urn)
        .setId(registered.id)
        .setObject(toStruct(registered.outputs))
        .setResult(resourcePb.Result.SUCCESS);
    }, refused),
    registerResourceOutputs: unary(async (request: resourcePb.RegisterResourceOutputsRequest) => {
      const outputs = fromStruct(request.getOutputs(), `outputs of ${request.getUrn()}`, unknowns);
      await registrar.registerOutputs(request.getUrn(), outputs);
      return new emptyPb.Empty();
    }, refused),
    invoke: unary(async (request: resourcePb.ResourceInvokeRequest) => {
      const token = request.getTok();
      if (request.getPackageref() !== "") throw new UnsupportedError("parameterized package", token);
      const args = fromStruct(request.getArgs(), token);
      const provider = request.getProvider();
      const result = await registrar.invoke(token, args, provider === "" ? undefined : provider);
      return new providerPb.InvokeResponse().setReturn(toStruct(result));
    }, refused),
    readResource: refuse("ReadResource (a resource's get function)"),
    call: refuse("Call (a method of a provider's resource)"),
    registerStackTransform: refuse("RegisterStackTransform (transforms)"),
    registerStackInvokeTransform: refuse("RegisterStackInvokeTransform (invoke transforms)"),
    registerResourceHook: refuse("RegisterResourceHook (hooks)"),
    registerErrorHook: refuse("RegisterErrorHook (hooks)"),
    registerPackage: refuse("RegisterPackage (parameterized package)"),
    signalAndWaitForShutdown: unary(() => new emptyPb.Empty()),
  });

  server.addService(engineGrpc.EngineService, {
    log: unary((request: enginePb.LogRequest) => {
      const severity = severities[request.getSeverity()] ?? "info";
      if (severity !== "debug") {
        const urn = request.getUrn();
        const message = request.getMessage();
        if (severity === "error") errors.push(message);
        run.emit({ kind: "diagnostic", severity, source: "log", message, ...(urn === "" ? {} : { urn }) });
      }
      return new emptyPb.Empty();
    }),
    getRootResource: unary(() => new enginePb.GetRootResourceResponse().setUrn(rootUrn)),
    setRootResource: unary((request: enginePb.SetRootResourceRequest) => {
      rootUrn = request.getUrn();
      return new enginePb.SetRootResourceResponse();
    }),
    startDebugging: refuse("StartDebugging"),
    requirePulumiVersion: refuse("RequirePulumiVersion"),
  });

  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  return { address: `127.0.0.1:${port}`, errors, close: () => server.forceShutdown() };
}
