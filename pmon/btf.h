/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A reader of raw BTF, as in /sys/kernel/btf/vmlinux: enough of it to say what
 * the prototype of a function of the running kernel is. pmon compares that
 * with what its hooks were written for before it installs any of them.
 *
 * The canonical form of a prototype is
 *
 *	RETURN NAME(TYPE, TYPE, ...)
 *
 * with no parameter names and one space after each comma, and
 *
 *	typedefs		by their name, not looked through: vm_flags_t
 *	base types		by the name BTF has: long unsigned int, _Bool
 *	struct, union, enum	tag and name, "(anon)" without one: struct file
 *	pointers		T *, T **, T ***
 *	pointers to functions	fn *, whatever the function takes
 *	arrays			T [N], a pointer to one T [N] *
 *	const, volatile, restrict and type tags (__user, __rcu) left out
 *	no parameters		(void); variable arguments: ... as the last one
 *
 * Example:
 *
 *	int do_brk_flags(struct ma_state *, struct vm_area_struct *,
 *			 long unsigned int, long unsigned int, long unsigned int)
 *
 * on one line. Pure: no kernel objects, no allocation, no locks. The data is
 * not trusted; each offset is checked before it is followed.
 */
#ifndef PMON_BTF_H
#define PMON_BTF_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stddef.h>
#include <stdint.h>
typedef uint32_t u32;
typedef uint8_t u8;
#endif

/**
 * struct btf_view - a BTF blob under inspection; the blob is not copied
 * @types, @types_len: type section
 * @strings, @strings_len: string section; its last byte is NUL
 * @offsets: where in @types each type begins; [0] is type id 1
 * @nr_types: entries of @offsets, 0 before btf_view_index()
 */
struct btf_view {
	const u8 *types;
	u32 types_len;
	const char *strings;
	u32 strings_len;
	const u32 *offsets;
	u32 nr_types;
};

/**
 * btf_view_init - check header and section bounds
 *
 * @data must stay as it is while @v is used; any alignment will do.
 * Return: 0; -EBADMSG: not BTF of this byte order and version, or truncated.
 */
int btf_view_init(struct btf_view *v, const void *data, u32 size);

/**
 * btf_count_types - how many entries btf_view_index() needs
 * Return: > 0; -EBADMSG when the type section is malformed.
 */
int btf_count_types(const struct btf_view *v);

/**
 * btf_view_index - find all types, so that ids can be followed
 * @offsets: array of @nr, kept in @v
 * Return: 0; -ENOSPC when @nr is too small; -EBADMSG as above.
 */
int btf_view_index(struct btf_view *v, u32 *offsets, u32 nr);

/**
 * btf_prototype - canonical prototype of a function
 * @func: name of the function
 * @out: @size bytes, NUL-terminated on success
 *
 * Return: 0; -ENOENT: no such function; -ENOTUNIQ: functions of that name with
 * different prototypes exist, the first one is in @out; -ENOSPC: @out too
 * small; -EBADMSG: corrupt; -EINVAL: no index yet. @out is the empty string
 * after all errors but -ENOTUNIQ.
 */
int btf_prototype(const struct btf_view *v, const char *func, char *out,
		  size_t size);

/**
 * btf_member - where a structure has a member, and its type
 * @structure: name of the structure, without "struct"
 * @member: a direct member: not one of an unnamed structure or union inside
 * @offset: in bytes
 * @type: canonical form of its type, @size bytes, as in btf_prototype()
 *
 * Return: 0; -ENOENT: no such structure, or no such member of it; -ENOTUNIQ:
 * structures of that name differ in it; -EDOM: it is a bit field; else as
 * btf_prototype(). @type is the empty string after all errors but -ENOTUNIQ.
 */
int btf_member(const struct btf_view *v, const char *structure,
	       const char *member, u32 *offset, char *type, size_t size);

#endif /* PMON_BTF_H */
