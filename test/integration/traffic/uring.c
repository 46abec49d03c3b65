/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "traffic.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ENTRIES 4

/* io_uring by its raw system calls: liburing would be one more package for sixty lines. */
struct ring {
	int fd;
	struct io_uring_params params;
	char *rings; /* both rings, one mapping: IORING_FEAT_SINGLE_MMAP, Linux 5.4 */
	struct io_uring_sqe *sqes;
};

struct ring *ring_open(void)
{
	struct ring *ring = calloc(1, sizeof(*ring));

	die_if(!ring, "allocate");
	ring->fd = syscall(SYS_io_uring_setup, ENTRIES, &ring->params);
	die_if(ring->fd < 0, "io_uring_setup");
	errno = ENOSYS;
	die_if(!(ring->params.features & IORING_FEAT_SINGLE_MMAP), "io_uring: one mapping");

	size_t submissions = ring->params.sq_off.array + ring->params.sq_entries * sizeof(__u32);
	size_t completions =
		ring->params.cq_off.cqes + ring->params.cq_entries * sizeof(struct io_uring_cqe);

	ring->rings = mmap(NULL, submissions > completions ? submissions : completions,
			   PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	die_if(ring->rings == MAP_FAILED, "mmap the rings");
	ring->sqes = mmap(NULL, ring->params.sq_entries * sizeof(*ring->sqes),
			  PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQES);
	die_if(ring->sqes == MAP_FAILED, "mmap the submission entries");
	return ring;
}

static __u32 *word(struct ring *ring, __u32 offset)
{
	return (__u32 *)(ring->rings + offset);
}

int ring_call(struct ring *ring, int opcode, int fd, const void *addr, unsigned int len,
	      uint64_t offset)
{
	const struct io_sqring_offsets *sq = &ring->params.sq_off;
	const struct io_cqring_offsets *cq = &ring->params.cq_off;
	__u32 tail = *word(ring, sq->tail);
	__u32 slot = tail & *word(ring, sq->ring_mask);

	memset(&ring->sqes[slot], 0, sizeof(*ring->sqes));
	ring->sqes[slot].opcode = opcode;
	ring->sqes[slot].fd = fd;
	ring->sqes[slot].addr = (uintptr_t)addr;
	ring->sqes[slot].len = len;
	ring->sqes[slot].off = offset;
	word(ring, sq->array)[slot] = slot;
	__atomic_store_n(word(ring, sq->tail), tail + 1, __ATOMIC_RELEASE);

	int submitted;

	do
		submitted = syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS,
				    NULL, 0);
	while (submitted < 0 && errno == EINTR);
	die_if(submitted < 0, "io_uring_enter");

	__u32 head = *word(ring, cq->head);

	errno = EAGAIN;
	die_if(__atomic_load_n(word(ring, cq->tail), __ATOMIC_ACQUIRE) == head,
	       "io_uring completion");

	const struct io_uring_cqe *cqes = (const struct io_uring_cqe *)(ring->rings + cq->cqes);
	int result = cqes[head & *word(ring, cq->ring_mask)].res;

	__atomic_store_n(word(ring, cq->head), head + 1, __ATOMIC_RELEASE);
	if (result < 0) {
		errno = -result;
		return -1;
	}
	return result;
}
