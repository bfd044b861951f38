import assert from "node:assert/strict";
import test from "node:test";
import { notOutside, portOf, toInternet, toKubernetesApi } from "./network-peers.ts";

test("a URL's port is the one it names, or its scheme's; Git's short form is SSH", () => {
  const ports: [string, number][] = [
    ["https://github.com/trading-cz/trading-platform.git", 443],
    ["https://git.example.com:8443/a.git", 8443],
    ["http://127.0.0.1:3000/a.git", 3000],
    ["wss://stream.example.com/v2/iex", 443],
    ["ssh://git@git.example.com:2222/a.git", 2222],
    ["ssh://git@git.example.com/a.git", 22],
    ["git@github.com:trading-cz/trading-platform.git", 22],
  ];
  for (const [url, port] of ports) assert.equal(portOf(url), port, url);
  assert.throws(() => portOf("ftp://example.com"), /ftp:\/\/ has no port/);
});

test("what is outside is no machine, pod, service or metadata service", () => {
  assert.ok(notOutside.includes("169.254.0.0/16"));
  assert.deepEqual(toInternet(443), {
    to: [{ ipBlock: { cidr: "0.0.0.0/0", except: [...notOutside] } }],
    ports: [{ protocol: "TCP", port: 443 }],
  });
});

test("the API is the control plane's private address, as packets show it behind the service", () => {
  assert.deepEqual(toKubernetesApi, {
    to: [{ ipBlock: { cidr: "10.0.1.1/32" } }],
    ports: [{ protocol: "TCP", port: 6443 }],
  });
});
