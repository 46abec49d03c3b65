import type { Config } from "../config/schema.ts";
import { CollectorClient } from "../tracer/client.ts";
import type { CollectorConfig } from "../tracer/protocol.ts";
import { requirePrivileges } from "./privileges.ts";

/**
 * Starts a tracer in this process.
 *
 * @throws PortolanError when privileges are missing or nothing can be traced.
 */
export function startTracer(config: Config): Promise<CollectorClient> {
  requirePrivileges();
  return CollectorClient.start(collectorConfig(config));
}

/** The part of the configuration that concerns the collector. */
export function collectorConfig(config: Config): CollectorConfig {
  return {
    maxTrackedConnections: config.max_tracked_connections,
    maxClosedConnections: config.max_closed_connections,
    clientExpirySeconds: config.client_expiry,
    ringBytes: config.ring_bytes,
    udp: config["udp.enabled"],
    udpTimeoutSeconds: config["udp.timeout"],
    connectErrors: config.connect_errors,
    attach: config.attach,
    ...(config.btf !== undefined && { btf: config.btf }),
    ...(config.libbpf !== undefined && { libbpf: config.libbpf }),
  };
}
