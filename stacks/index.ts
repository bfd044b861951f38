/** Entry of the Pulumi program: reads the configuration, builds the stack, exports its outputs. */
import * as pulumi from "@pulumi/pulumi";
import { readStackConfig } from "./pulumi-config.ts";
import { tradingStack } from "./trading-stack.ts";

const outputs = await tradingStack(pulumi.getStack(), readStackConfig());

export const clusterId = outputs.clusterId;
export const businessDate = outputs.businessDate;
export const location = outputs.location;
export const controlPlaneAddress = outputs.controlPlaneAddress;
export const kubeconfig = outputs.kubeconfig;
export const archivePrefix = outputs.archivePrefix;
