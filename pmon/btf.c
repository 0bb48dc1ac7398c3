// SPDX-License-Identifier: GPL-2.0
/*
 * Reader of raw BTF. See btf.h for the canonical form.
 *
 * Type ids are positional: type n is the n-th record of the type section, and
 * records differ in length. So one pass notes where each record begins, in an
 * array that the caller gives. That pass also proves that each record, with
 * what belongs to its kind, lies within the section; later steps rely on it.
 */
#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/string.h>
#include <uapi/linux/btf.h>
#else
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <linux/btf.h>
#endif

#include "btf.h"

/* Chains of pointers and modifiers longer than this are loops or nonsense. */
#define BTF_DEPTH_MAX	32

/* Shortest record: at most types_len / 12 of them, so counts fit an int. */
#define BTF_RECORD_MIN	((u32)sizeof(struct btf_type))

int btf_view_init(struct btf_view *v, const void *data, u32 size)
{
	struct btf_header hdr;
	u32 room;

	memset(v, 0, sizeof(*v));
	if (size < sizeof(hdr))
		return -EBADMSG;
	memcpy(&hdr, data, sizeof(hdr));
	if (hdr.magic != BTF_MAGIC || hdr.version != BTF_VERSION || hdr.flags)
		return -EBADMSG;
	if (hdr.hdr_len < sizeof(hdr) || hdr.hdr_len > size)
		return -EBADMSG;

	room = size - hdr.hdr_len;
	if (hdr.type_off > room || hdr.type_len > room - hdr.type_off)
		return -EBADMSG;
	if (hdr.str_off > room || hdr.str_len > room - hdr.str_off)
		return -EBADMSG;
	if (!hdr.type_len || !hdr.str_len)
		return -EBADMSG;

	v->types = (const u8 *)data + hdr.hdr_len + hdr.type_off;
	v->types_len = hdr.type_len;
	v->strings = (const char *)data + hdr.hdr_len + hdr.str_off;
	v->strings_len = hdr.str_len;

	/* Offset 0 is "no name"; the last NUL ends whatever string is open. */
	if (v->strings[0] || v->strings[v->strings_len - 1])
		return -EBADMSG;
	return 0;
}

/* Bytes that follow struct btf_type; -1 for a kind that nobody knows. */
static int btf_tail_len(u32 info)
{
	int vlen = BTF_INFO_VLEN(info);

	switch (BTF_INFO_KIND(info)) {
	case BTF_KIND_PTR:
	case BTF_KIND_FWD:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case BTF_KIND_FLOAT:
	case BTF_KIND_TYPE_TAG:
		return 0;
	case BTF_KIND_INT:
		return sizeof(u32);
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return vlen * (int)sizeof(struct btf_member);
	case BTF_KIND_ENUM:
		return vlen * (int)sizeof(struct btf_enum);
	case BTF_KIND_ENUM64:
		return vlen * (int)sizeof(struct btf_enum64);
	case BTF_KIND_FUNC_PROTO:
		return vlen * (int)sizeof(struct btf_param);
	case BTF_KIND_VAR:
		return sizeof(struct btf_var);
	case BTF_KIND_DATASEC:
		return vlen * (int)sizeof(struct btf_var_secinfo);
	case BTF_KIND_DECL_TAG:
		return sizeof(struct btf_decl_tag);
	default:
		return -1;
	}
}

/* Length of the record at @off; -EBADMSG if it does not fit the section. */
static int btf_record_len(const struct btf_view *v, u32 off)
{
	u32 room = v->types_len - off;
	struct btf_type type;
	int tail;

	if (room < BTF_RECORD_MIN)
		return -EBADMSG;
	memcpy(&type, v->types + off, sizeof(type));
	tail = btf_tail_len(type.info);
	if (tail < 0 || (u32)tail > room - BTF_RECORD_MIN)
		return -EBADMSG;
	return tail + (int)BTF_RECORD_MIN;
}

/* One pass over all records; @offsets may be NULL. */
static int btf_scan(const struct btf_view *v, u32 *offsets, u32 nr)
{
	u32 off, count = 0;
	int len;

	for (off = 0; off < v->types_len; off += len) {
		len = btf_record_len(v, off);
		if (len < 0)
			return len;
		if (offsets) {
			if (count == nr)
				return -ENOSPC;
			offsets[count] = off;
		}
		count++;
	}
	return count;
}

int btf_count_types(const struct btf_view *v)
{
	int count = btf_scan(v, NULL, 0);

	return count ? count : -EBADMSG;
}

int btf_view_index(struct btf_view *v, u32 *offsets, u32 nr)
{
	int count = btf_scan(v, offsets, nr);

	if (count < 0)
		return count;
	v->offsets = offsets;
	v->nr_types = count;
	return 0;
}

/* Fetch type @id; if @tail, also where what follows struct btf_type begins. */
static int btf_get(const struct btf_view *v, u32 id, struct btf_type *type,
		   const u8 **tail)
{
	const u8 *p;

	if (!id || id > v->nr_types)
		return -EBADMSG;
	p = v->types + v->offsets[id - 1];
	memcpy(type, p, sizeof(*type));
	if (tail)
		*tail = p + sizeof(*type);
	return 0;
}

static const char *btf_string(const struct btf_view *v, u32 off)
{
	return off < v->strings_len ? v->strings + off : NULL;
}

/*
 * Where text goes: into a buffer, or, to see whether a second function of the
 * same name looks the same, against a text that was rendered before.
 */
struct btf_sink {
	char *out;
	size_t size;		/* room in @out, or length of @expect */
	const char *expect;	/* compare instead of write */
	size_t len;
};

static int btf_put_char(struct btf_sink *s, char c)
{
	if (s->expect) {
		if (s->len == s->size || s->expect[s->len] != c)
			return -ENOTUNIQ;
	} else {
		if (s->len + 1 >= s->size)
			return -ENOSPC;
		s->out[s->len] = c;
	}
	s->len++;
	return 0;
}

static int btf_put(struct btf_sink *s, const char *text)
{
	int err;

	for (; *text; text++) {
		/* It may be shown in the kernel log: no control characters. */
		if (*text < 0x20 || *text > 0x7e)
			return -EBADMSG;
		err = btf_put_char(s, *text);
		if (err)
			return err;
	}
	return 0;
}

static int btf_put_u32(struct btf_sink *s, u32 value)
{
	char buf[11], *p = buf + sizeof(buf) - 1;

	*p = '\0';
	do {
		*--p = '0' + value % 10;
		value /= 10;
	} while (value);
	return btf_put(s, p);
}

/* @tag is "struct ", "enum " ... or empty; only tagged types may be nameless. */
static int btf_put_name(const struct btf_view *v, struct btf_sink *s,
			const char *tag, u32 name_off)
{
	const char *name = btf_string(v, name_off);
	int err;

	if (!name || (!*name && !*tag))
		return -EBADMSG;
	err = btf_put(s, tag);
	if (err)
		return err;
	return btf_put(s, *name ? name : "(anon)");
}

/* Types that end a chain, that is: all but pointers, arrays and modifiers. */
static int btf_put_leaf(const struct btf_view *v, struct btf_sink *s,
			const struct btf_type *type)
{
	switch (BTF_INFO_KIND(type->info)) {
	case BTF_KIND_INT:
	case BTF_KIND_FLOAT:
	case BTF_KIND_TYPEDEF:
		return btf_put_name(v, s, "", type->name_off);
	case BTF_KIND_STRUCT:
		return btf_put_name(v, s, "struct ", type->name_off);
	case BTF_KIND_UNION:
		return btf_put_name(v, s, "union ", type->name_off);
	case BTF_KIND_FWD:
		return btf_put_name(v, s, BTF_INFO_KFLAG(type->info) ?
				    "union " : "struct ", type->name_off);
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		return btf_put_name(v, s, "enum ", type->name_off);
	case BTF_KIND_FUNC_PROTO:
		return btf_put(s, "fn");
	default:
		return -EBADMSG;
	}
}

/* A chain read from the outside in: what is put behind the innermost type. */
struct btf_suffix {
	bool array;
	u32 nelems;
};

static int btf_put_suffixes(struct btf_sink *s, const struct btf_suffix *suffix,
			    int nr)
{
	bool space = true;
	int err;

	while (nr--) {
		err = space || suffix[nr].array ? btf_put(s, " ") : 0;
		if (err)
			return err;
		if (suffix[nr].array) {
			err = btf_put(s, "[");
			if (!err)
				err = btf_put_u32(s, suffix[nr].nelems);
			if (!err)
				err = btf_put(s, "]");
		} else {
			err = btf_put(s, "*");
		}
		if (err)
			return err;
		space = suffix[nr].array;
	}
	return 0;
}

static int btf_put_type(const struct btf_view *v, struct btf_sink *s, u32 id)
{
	struct btf_suffix suffix[BTF_DEPTH_MAX];
	struct btf_array array;
	struct btf_type type;
	const u8 *tail;
	int depth, nr = 0, err;

	for (depth = 0; depth < BTF_DEPTH_MAX; depth++) {
		if (!id) {
			err = btf_put(s, "void");
			return err ? err : btf_put_suffixes(s, suffix, nr);
		}
		err = btf_get(v, id, &type, &tail);
		if (err)
			return err;

		switch (BTF_INFO_KIND(type.info)) {
		case BTF_KIND_PTR:
			suffix[nr++] = (struct btf_suffix){ .array = false };
			id = type.type;
			break;
		case BTF_KIND_ARRAY:
			memcpy(&array, tail, sizeof(array));
			suffix[nr++] = (struct btf_suffix){ true, array.nelems };
			id = array.type;
			break;
		case BTF_KIND_CONST:
		case BTF_KIND_VOLATILE:
		case BTF_KIND_RESTRICT:
		case BTF_KIND_TYPE_TAG:
			id = type.type;
			break;
		default:
			err = btf_put_leaf(v, s, &type);
			return err ? err : btf_put_suffixes(s, suffix, nr);
		}
	}
	return -EBADMSG;
}

static int btf_put_params(const struct btf_view *v, struct btf_sink *s,
			  const u8 *tail, u32 vlen)
{
	struct btf_param param;
	u32 i;
	int err;

	if (!vlen)
		return btf_put(s, "void");
	for (i = 0; i < vlen; i++) {
		memcpy(&param, tail + i * sizeof(param), sizeof(param));
		err = i ? btf_put(s, ", ") : 0;
		if (err)
			return err;
		/* void is no parameter: as the last one it means "...". */
		if (!param.type)
			err = i + 1 == vlen ? btf_put(s, "...") : -EBADMSG;
		else
			err = btf_put_type(v, s, param.type);
		if (err)
			return err;
	}
	return 0;
}

static int btf_put_func(const struct btf_view *v, struct btf_sink *s,
			const char *name, u32 proto_id)
{
	struct btf_type proto;
	const u8 *tail;
	int err;

	err = btf_get(v, proto_id, &proto, &tail);
	if (err)
		return err;
	if (BTF_INFO_KIND(proto.info) != BTF_KIND_FUNC_PROTO)
		return -EBADMSG;

	err = btf_put_type(v, s, proto.type);
	if (!err)
		err = btf_put(s, " ");
	if (!err)
		err = btf_put(s, name);
	if (!err)
		err = btf_put(s, "(");
	if (!err)
		err = btf_put_params(v, s, tail, BTF_INFO_VLEN(proto.info));
	if (!err)
		err = btf_put(s, ")");
	return err;
}

/* Next FUNC called @name with an id above *@id. */
static int btf_next_func(const struct btf_view *v, const char *name, u32 *id,
			 u32 *proto_id)
{
	struct btf_type type;
	const char *string;
	int err;

	while (*id < v->nr_types) {
		err = btf_get(v, ++*id, &type, NULL);
		if (err)
			return err;
		if (BTF_INFO_KIND(type.info) != BTF_KIND_FUNC)
			continue;
		string = btf_string(v, type.name_off);
		if (!string)
			return -EBADMSG;
		if (strcmp(string, name))
			continue;
		*proto_id = type.type;
		return 0;
	}
	return -ENOENT;
}

int btf_prototype(const struct btf_view *v, const char *func, char *out,
		  size_t size)
{
	struct btf_sink write = { .out = out, .size = size };
	u32 id = 0, proto_id = 0, first;
	int err;

	if (!size || !v->offsets || !*func)
		return -EINVAL;
	out[0] = '\0';

	err = btf_next_func(v, func, &id, &proto_id);
	if (!err)
		err = btf_put_func(v, &write, func, proto_id);
	if (err)
		goto fail;
	out[write.len] = '\0';

	for (first = proto_id;;) {
		struct btf_sink compare = { .expect = out, .size = write.len };

		err = btf_next_func(v, func, &id, &proto_id);
		if (err == -ENOENT)
			return 0;
		if (!err && proto_id != first)
			err = btf_put_func(v, &compare, func, proto_id);
		if (!err && proto_id != first && compare.len != write.len)
			err = -ENOTUNIQ;
		if (err == -ENOTUNIQ)
			return err;
		if (err)
			goto fail;
	}
fail:
	out[0] = '\0';
	return err;
}

/* Offset in bits of @name in the structure whose members begin at @tail. */
static int btf_find_member(const struct btf_view *v, const struct btf_type *type,
			   const u8 *tail, const char *name,
			   struct btf_member *found)
{
	u32 i, vlen = BTF_INFO_VLEN(type->info);
	const char *string;

	for (i = 0; i < vlen; i++) {
		memcpy(found, tail + i * sizeof(*found), sizeof(*found));
		string = btf_string(v, found->name_off);
		if (!string)
			return -EBADMSG;
		if (strcmp(string, name))
			continue;
		/* With the flag set the upper byte is the width of a bit field. */
		if (BTF_INFO_KFLAG(type->info) &&
		    BTF_MEMBER_BITFIELD_SIZE(found->offset))
			return -EDOM;
		found->offset = BTF_INFO_KFLAG(type->info) ?
				BTF_MEMBER_BIT_OFFSET(found->offset) :
				found->offset;
		return found->offset % 8 ? -EDOM : 0;
	}
	return -ENOENT;
}

/* Next struct called @name with an id above *@id. */
static int btf_next_struct(const struct btf_view *v, const char *name, u32 *id,
			   struct btf_type *type, const u8 **tail)
{
	const char *string;
	int err;

	while (*id < v->nr_types) {
		err = btf_get(v, ++*id, type, tail);
		if (err)
			return err;
		if (BTF_INFO_KIND(type->info) != BTF_KIND_STRUCT)
			continue;
		string = btf_string(v, type->name_off);
		if (!string)
			return -EBADMSG;
		if (!strcmp(string, name))
			return 0;
	}
	return -ENOENT;
}

int btf_member(const struct btf_view *v, const char *structure,
	       const char *member, u32 *offset, char *type, size_t size)
{
	struct btf_sink write = { .out = type, .size = size };
	struct btf_member first, other;
	struct btf_type record;
	const u8 *tail;
	u32 id = 0;
	int err;

	if (!size || !v->offsets || !*structure || !*member)
		return -EINVAL;
	type[0] = '\0';

	err = btf_next_struct(v, structure, &id, &record, &tail);
	if (!err)
		err = btf_find_member(v, &record, tail, member, &first);
	if (!err)
		err = btf_put_type(v, &write, first.type);
	if (err)
		goto fail;
	type[write.len] = '\0';
	*offset = first.offset / 8;

	for (;;) {
		err = btf_next_struct(v, structure, &id, &record, &tail);
		if (err == -ENOENT)
			return 0;
		if (!err)
			err = btf_find_member(v, &record, tail, member, &other);
		if (err == -ENOENT || err == -EDOM ||
		    (!err && (other.offset != first.offset ||
			      other.type != first.type)))
			return -ENOTUNIQ;
		if (err)
			goto fail;
	}
fail:
	type[0] = '\0';
	return err;
}
