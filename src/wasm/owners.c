/* SPDX-License-Identifier: MIT */
/*
 * Descriptions of the owners of open connections: each distinct pid is asked for once per document,
 * in TypeScript, between these two steps.
 */
#include "state.h"

/*
 * Writes the distinct pids of open connections to `pids`, and their position there + 1 to the rows'
 * `process`. `slots` is an open-addressing table of mask + 1 zeros, at least twice as many as rows.
 */
EXPORT(owners_gather)
__u32 owners_gather(struct row *rows, __u32 count, __u32 *pids, __u32 *slots, __u32 mask)
{
	__u32 found = 0;

	for (__u32 i = 0; i < count; i++) {
		__u32 pid = rows[i].record->pid;
		__u32 at = (pid * 0x9e3779b1u >> 7) & mask;

		if (!pid)
			continue;
		while (slots[at] && pids[slots[at] - 1] != pid)
			at = (at + 1) & mask;
		if (!slots[at]) {
			pids[found++] = pid;
			slots[at] = found;
		}
		rows[i].process = slots[at];
	}
	return found;
}

/* Replaces the positions by what was found for them: indices of process descriptions, or 0. */
EXPORT(owners_assign)
void owners_assign(struct row *rows, __u32 count, const __u32 *processes)
{
	for (__u32 i = 0; i < count; i++)
		if (rows[i].process)
			rows[i].process = processes[rows[i].process - 1];
}
