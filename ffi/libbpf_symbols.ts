import type { FFIFunction } from "bun:ffi";
import { type LibrarySource, openLibrary } from "./library.ts";

/**
 * Everything that we call in libbpf 1.x. A function that returns `i32` returns a negative errno when
 * it fails; one that returns `ptr` returns NULL and sets errno.
 */
const symbols = {
  libbpf_major_version: { args: [], returns: "u32" },
  libbpf_version_string: { args: [], returns: "cstring" },
  libbpf_strerror: { args: ["i32", "ptr", "usize"], returns: "i32" },
  libbpf_set_print: { args: ["ptr"], returns: "ptr" },
  libbpf_num_possible_cpus: { args: [], returns: "i32" },

  bpf_object__open_mem: { args: ["ptr", "usize", "ptr"], returns: "ptr" },
  bpf_object__load: { args: ["ptr"], returns: "i32" },
  bpf_object__close: { args: ["ptr"], returns: "void" },
  bpf_object__next_program: { args: ["ptr", "ptr"], returns: "ptr" },
  bpf_object__next_map: { args: ["ptr", "ptr"], returns: "ptr" },

  bpf_program__name: { args: ["ptr"], returns: "cstring" },
  bpf_program__section_name: { args: ["ptr"], returns: "cstring" },
  bpf_program__set_autoload: { args: ["ptr", "bool"], returns: "i32" },
  bpf_program__fd: { args: ["ptr"], returns: "i32" },
  bpf_program__attach: { args: ["ptr"], returns: "ptr" },
  bpf_program__attach_cgroup: { args: ["ptr", "i32"], returns: "ptr" },
  bpf_program__attach_perf_event: { args: ["ptr", "i32"], returns: "ptr" },
  bpf_prog_test_run_opts: { args: ["i32", "ptr"], returns: "i32" },
  bpf_link__destroy: { args: ["ptr"], returns: "i32" },

  bpf_map__name: { args: ["ptr"], returns: "cstring" },
  bpf_map__fd: { args: ["ptr"], returns: "i32" },
  bpf_map__type: { args: ["ptr"], returns: "u32" },
  bpf_map__key_size: { args: ["ptr"], returns: "u32" },
  bpf_map__value_size: { args: ["ptr"], returns: "u32" },
  bpf_map__max_entries: { args: ["ptr"], returns: "u32" },
  bpf_map__is_internal: { args: ["ptr"], returns: "bool" },
  bpf_map__initial_value: { args: ["ptr", "ptr"], returns: "ptr" },
  bpf_map__set_max_entries: { args: ["ptr", "u32"], returns: "i32" },
  bpf_map__set_map_flags: { args: ["ptr", "u32"], returns: "i32" },
  bpf_map__set_autocreate: { args: ["ptr", "bool"], returns: "i32" },
  bpf_map__reuse_fd: { args: ["ptr", "i32"], returns: "i32" },

  bpf_map_lookup_elem: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  bpf_map_update_elem: { args: ["i32", "ptr", "ptr", "u64"], returns: "i32" },
  bpf_map_delete_elem: { args: ["i32", "ptr"], returns: "i32" },
  bpf_map_get_next_key: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  bpf_map_lookup_batch: {
    args: ["i32", "ptr", "ptr", "ptr", "ptr", "ptr", "ptr"],
    returns: "i32",
  },
} as const satisfies Record<string, FFIFunction>;

/** Loads libbpf and binds its functions. */
export function openLibbpf(source: LibrarySource) {
  return openLibrary("libbpf", source, symbols);
}

/** The functions of one loaded libbpf. */
export type LibbpfSymbols = ReturnType<typeof openLibbpf>;
