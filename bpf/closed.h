/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* The event that tells a close, as TCP and UDP send it. */
#ifndef PORTOLAN_CLOSED_H
#define PORTOLAN_CLOSED_H

#include "maps.h"

/*
 * Room in the ring with the record in it, to be submitted or discarded; NULL when the ring is full.
 * Nobody is woken by either: user space drains by time, a wake-up per event costs more than the rest.
 */
static __always_inline struct closed_event *prepare_closed(const struct conn *conn)
{
	struct closed_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return NULL;
	event->kind = EVENT_CLOSED;
	event->pad = 0;
	event->conn = *conn;
	return event;
}

#endif
