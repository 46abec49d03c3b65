import { readFileSync } from "node:fs";

/**
 * The numbers that the kernel shows of one of our descriptors in /proc/self/fdinfo (proc(5)), for BPF
 * programs and maps those of bpf_prog_show_fdinfo and bpf_map_show_fdinfo. Chosen over
 * BPF_OBJ_GET_INFO_BY_FD because it needs no struct layout, and has the memory of a map besides.
 */
export function readFdInfo(fd: number): Map<string, number> {
  const text = readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");
  const numbers = text.matchAll(/^(\w+):\s*(\d+)$/gm);
  return new Map(numbers.map(([, key = "", value]) => [key, Number(value)]));
}
