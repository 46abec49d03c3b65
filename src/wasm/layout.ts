/**
 * Layouts of the structs that the kernels and TypeScript pass to each other, in bytes. They are
 * written in state.h, delta.c and encoder.h, whose static asserts hold these numbers in place;
 * struct conn is in ffi/layout.gen.ts.
 */

/** struct counters */
export const counters = {
  size: 64,
  sent_bytes: 0,
  recv_bytes: 8,
  sent_packets: 16,
  recv_packets: 24,
  dropped_packets: 32,
  retransmits: 40,
  rto_count: 44,
  reord_seen: 48,
  delivered_ce: 52,
  established: 56,
  closed: 60,
} as const;

/** struct told */
export const told = { size: 72, cookie: 0, total: 8 } as const;

/** struct row */
export const row = {
  size: 152,
  cookie: 0,
  record: 8,
  process: 12,
  total: 16,
  last: 80,
  closed: 144,
} as const;

/**
 * struct delta: u32 fields by position. Tables are an array, its count, its slots and their mask.
 */
export const delta = {
  length: 29,
  open: 0,
  departed: 4,
  nextOpen: 8,
  nextOpenCount: 9,
  nextDeparted: 12,
  nextDepartedCount: 13,
  seen: 16,
  seenCount: 17,
  closed: 18,
  closedCount: 19,
  active: 22,
  activeCount: 23,
  budget: 24,
  expected: 25,
  dropped: 26,
  underflows: 27,
  duplicates: 28,
} as const;

/** struct encoder: u32 fields by position. */
export const encoder = {
  length: 6,
  out: 0,
  end: 1,
  processes: 2,
  first: 3,
  ephemeralFirst: 4,
  ephemeralLast: 5,
} as const;
