import { NativeError } from "./errors.ts";
import * as libc from "./libc.ts";
import { addressOf } from "./pointer.ts";

const SYS_perf_event_open: Partial<Record<NodeJS.Architecture, number>> = { x64: 298, arm64: 241 };
const PERF_TYPE_TRACEPOINT = 2n;
const PERF_FLAG_FD_CLOEXEC = 8;

/** struct perf_event_attr as first published: u32 type, u32 size, u64 config, and six words of zero. */
const attributes = new BigUint64Array(8);

/**
 * A perf event of a kernel tracepoint, to attach a program to. By its id rather than by its name as
 * libbpf does it, which asks for a tracefs mounted at its usual place.
 *
 * @param id content of the file `events/CATEGORY/NAME/id` in tracefs
 */
export function openTracepoint(id: number): number {
  const operation = "open tracepoint";
  const syscall = SYS_perf_event_open[process.arch];
  if (syscall === undefined) {
    throw new NativeError(operation, `${id}`, `unknown architecture ${process.arch}`);
  }
  attributes[0] = (BigInt(attributes.byteLength) << 32n) | PERF_TYPE_TRACEPOINT;
  attributes[1] = BigInt(id);
  // Any process on CPU 0, as perf asks for one of them; a program attached to it runs on every CPU.
  const [pid, cpu, group] = [-1, 0, -1];
  const address = addressOf(attributes);
  return libc.syscall(operation, `${id}`, syscall, address, pid, cpu, group, PERF_FLAG_FD_CLOEXEC);
}
