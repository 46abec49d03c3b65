/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * The load-time switches. User space writes them before load, so that the verifier sees constants and
 * prunes what is off.
 */
#ifndef PORTOLAN_CONFIG_H
#define PORTOLAN_CONFIG_H

#include "kernel.h"

const volatile struct config config SEC(".rodata.config") = {
	.udp_timeout_ns = 120ull * 1000 * 1000 * 1000,
};

#endif
