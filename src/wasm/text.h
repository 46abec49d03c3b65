/* SPDX-License-Identifier: MIT */
/*
 * Writes literals, decimal numbers and addresses. Each function returns the end of what it wrote.
 */
#ifndef PORTOLAN_TEXT_H
#define PORTOLAN_TEXT_H

#include "state.h"

/*
 * Copies a literal, whose length is known at compile time, by a few loads and stores that overlap
 * at its end. A memcpy of this size would become the memory.copy instruction: a call into the
 * engine.
 */
INLINE char *put_bytes(char *p, const char *text, __u32 length)
{
	if (length >= 16) {
		for (__u32 i = 0; i + 16 <= length; i += 16)
			__builtin_memcpy(p + i, text + i, 16);
		__builtin_memcpy(p + length - 16, text + length - 16, 16);
	} else if (length >= 8) {
		__builtin_memcpy(p, text, 8);
		__builtin_memcpy(p + length - 8, text + length - 8, 8);
	} else if (length >= 4) {
		__builtin_memcpy(p, text, 4);
		__builtin_memcpy(p + length - 4, text + length - 4, 4);
	} else {
		for (__u32 i = 0; i < length; i++)
			p[i] = text[i];
	}
	return p + length;
}

#define PUT(p, literal) ((p) = put_bytes(p, literal, sizeof(literal) - 1))

/* A name chosen at run time; short enough to be copied whole. */
struct name {
	__u8 length;
	char text[31];
};

#define NAME(literal)                        \
	{                                    \
		sizeof(literal) - 1, literal \
	}

INLINE char *put_name(char *p, const struct name *name)
{
	__builtin_memcpy(p, name->text, 16);
	__builtin_memcpy(p + 15, name->text + 15, 16);
	return p + name->length;
}

static const char two_digits[200] = {"0001020304050607080910111213141516171819"
				     "2021222324252627282930313233343536373839"
				     "4041424344454647484950515253545556575859"
				     "6061626364656667686970717273747576777879"
				     "8081828384858687888990919293949596979899"};

/* Engines compile a division by a constant to a division; this product is exact for all 32 bits. */
INLINE __u32 divide_by_100(__u32 value)
{
	return (__u32)((value * 0x51eb851full) >> 37);
}

/* `digits` digits of a value that has no more of them, leading zeros included. */
INLINE char *put_digits(char *p, __u32 value, int digits)
{
	for (int at = digits; at >= 2; at -= 2) {
		__u32 rest = divide_by_100(value);

		__builtin_memcpy(p + at - 2, &two_digits[(value - rest * 100) * 2], 2);
		value = rest;
	}
	if (digits & 1)
		p[0] = (char)('0' + value);
	return p + digits;
}

INLINE char *put_u32(char *p, __u32 value)
{
	if (value < 10)
		return put_digits(p, value, 1);
	if (value < 100)
		return put_digits(p, value, 2);
	if (value < 10000)
		return value < 1000 ? put_digits(p, value, 3) : put_digits(p, value, 4);
	if (value < 1000000)
		return value < 100000 ? put_digits(p, value, 5) : put_digits(p, value, 6);
	if (value < 100000000)
		return value < 10000000 ? put_digits(p, value, 7) : put_digits(p, value, 8);
	return value < 1000000000 ? put_digits(p, value, 9) : put_digits(p, value, 10);
}

/* Out of line, as is put_medium: these at each of 40 numbers would push the row out of the caches. */
static __attribute__((noinline)) char *put_long(char *p, __u64 value)
{
	const __u32 unit = 100000000;
	__u64 upper = value / unit;

	p = upper > 0xffffffff
		    ? put_digits(put_u32(p, (__u32)(upper / unit)), (__u32)(upper % unit), 8)
		    : put_u32(p, (__u32)upper);
	return put_digits(p, (__u32)(value % unit), 8);
}

static __attribute__((noinline)) char *put_medium(char *p, __u32 value)
{
	return put_u32(p, value);
}

INLINE char *put_u64(char *p, __u64 value)
{
	if (value < 10) {
		*p = (char)('0' + value);
		return p + 1;
	}
	return value > 0xffffffff ? put_long(p, value) : put_medium(p, (__u32)value);
}

/* RFC 4291, 2.5.5.2 */
INLINE int address_is_mapped(const __u8 *address)
{
	__u64 zero;
	__u32 prefix;

	__builtin_memcpy(&zero, address, 8);
	__builtin_memcpy(&prefix, address + 8, 4);
	return zero == 0 && prefix == 0xffff0000;
}

INLINE int address_is_zero(const __u8 *address)
{
	__u64 half[2];

	__builtin_memcpy(half, address, 16);
	return (half[0] | half[1]) == 0;
}

#define ADDRESS_TEXT_MAX 48 /* longest is 39: eight groups of four digits */

char *put_ipv6(char *p, const __u8 *address);

/*
 * The one place where a mapped address, or the unspecified one of an IPv4 connection, becomes IPv4.
 */
INLINE char *put_address(char *p, const __u8 *address, int v4)
{
	if (!address_is_mapped(address) && !(v4 && address_is_zero(address)))
		return put_ipv6(p, address);
	for (int i = 12; i < 16; i++) {
		p = put_medium(p, address[i]);
		*p++ = '.';
	}
	return p - 1;
}

#endif
