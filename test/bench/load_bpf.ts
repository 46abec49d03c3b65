/**
 * Loads and attaches the kernel programs with the default configuration and takes them away again: run
 * by start.ts in a process of its own with PORTOLAN_TRACE_FFI=1, which tells what libbpf took.
 */
import { collectorConfig } from "../../src/cli/tracer.ts";
import { configSchema } from "../../src/config/schema.ts";
import { startCollector } from "../../src/tracer/start.ts";

startCollector(collectorConfig(configSchema.parse({}))).close();
