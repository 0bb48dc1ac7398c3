// SPDX-License-Identifier: GPL-2.0
/*
 * This test will check the BTF reader of pmon against blobs made by hand,
 * truncated and corrupted ones, and the blobs of real kernels where there are.
 *
 *	cc -std=gnu11 -g -Wall -Wextra -fsanitize=address,undefined \
 *	   -o test_btf test_btf.c ../../pmon/btf.c -lcmocka
 *
 * SK_BTF_SEED=n repeats a run of the random part.
 */
#include <elf.h>
#include <errno.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <linux/btf.h>

#include "../../pmon/btf.h"

#define INFO(kind, vlen)	((u32)(kind) << 24 | (u32)(vlen))

/* ---- making a blob ------------------------------------------------------- */

struct blob {
	u32 types[4096];
	char strings[4096];
	u32 type_words;
	u32 str_len;
	u32 nr_types;
};

static void blob_start(struct blob *b)
{
	memset(b, 0, sizeof(*b));
	b->str_len = 1;
}

static u32 str(struct blob *b, const char *s)
{
	u32 off = b->str_len;

	if (!*s)
		return 0;
	strcpy(b->strings + off, s);
	b->str_len += strlen(s) + 1;
	return off;
}

static void word(struct blob *b, u32 value)
{
	b->types[b->type_words++] = value;
}

static u32 type(struct blob *b, const char *name, u32 info, u32 size_or_type)
{
	word(b, str(b, name));
	word(b, info);
	word(b, size_or_type);
	return ++b->nr_types;
}

static u32 type_int(struct blob *b, const char *name)
{
	u32 id = type(b, name, INFO(BTF_KIND_INT, 0), 8);

	word(b, 64);
	return id;
}

static u32 type_array(struct blob *b, u32 elem, u32 nelems)
{
	u32 id = type(b, "", INFO(BTF_KIND_ARRAY, 0), 0);

	word(b, elem);
	word(b, elem);
	word(b, nelems);
	return id;
}

static u32 func(struct blob *b, const char *name, u32 ret, int nr, ...)
{
	u32 proto = type(b, "", INFO(BTF_KIND_FUNC_PROTO, nr), ret);
	va_list ap;

	va_start(ap, nr);
	while (nr--) {
		word(b, str(b, "arg"));
		word(b, va_arg(ap, u32));
	}
	va_end(ap);
	return type(b, name, INFO(BTF_KIND_FUNC, 0), proto);
}

/* A heap copy of the exact length, so that ASan sees each byte read beyond. */
static void *blob_end(const struct blob *b, u32 *size)
{
	struct btf_header hdr = {
		.magic = BTF_MAGIC,
		.version = BTF_VERSION,
		.hdr_len = sizeof(hdr),
		.type_len = b->type_words * 4,
		.str_off = b->type_words * 4,
		.str_len = b->str_len,
	};
	char *p;

	*size = sizeof(hdr) + hdr.type_len + hdr.str_len;
	p = malloc(*size);
	memcpy(p, &hdr, sizeof(hdr));
	memcpy(p + sizeof(hdr), b->types, hdr.type_len);
	memcpy(p + sizeof(hdr) + hdr.str_off, b->strings, b->str_len);
	return p;
}

/* All steps on @data, as pmon takes them. */
static int prototype(const void *data, u32 size, const char *name, char *out,
		     size_t out_size)
{
	struct btf_view v;
	u32 *offsets;
	int err, nr;

	err = btf_view_init(&v, data, size);
	if (err)
		return err;
	nr = btf_count_types(&v);
	if (nr < 0)
		return nr;
	assert_true(nr > 0);
	offsets = malloc(nr * sizeof(*offsets));
	err = btf_view_index(&v, offsets, nr);
	if (!err)
		err = btf_prototype(&v, name, out, out_size);
	free(offsets);
	return err;
}

static void expect(const struct blob *b, const char *name, int err,
		   const char *text)
{
	char out[256] = "untouched";
	u32 size;
	void *p = blob_end(b, &size);

	assert_int_equal(prototype(p, size, name, out, sizeof(out)), err);
	assert_string_equal(out, text);
	free(p);
}

/* One blob with each kind in it; ids are what the later tests corrupt. */
static void blob_of_all_kinds(struct blob *b)
{
	u32 ul, file, pfile, ppfile, cfile, pcfile, flags, e, fn, pfn, arr, anon;
	u32 fwd, vol, tag, var;

	blob_start(b);
	ul = type_int(b, "long unsigned int");
	file = type(b, "file", INFO(BTF_KIND_STRUCT, 1), 8);
	word(b, str(b, "f_pos"));
	word(b, ul);
	word(b, 0);
	pfile = type(b, "", INFO(BTF_KIND_PTR, 0), file);
	ppfile = type(b, "", INFO(BTF_KIND_PTR, 0), pfile);
	cfile = type(b, "", INFO(BTF_KIND_CONST, 0), file);
	pcfile = type(b, "", INFO(BTF_KIND_PTR, 0), cfile);
	flags = type(b, "vm_flags_t", INFO(BTF_KIND_TYPEDEF, 0), ul);
	e = type(b, "color", INFO(BTF_KIND_ENUM, 1), 4);
	word(b, str(b, "RED"));
	word(b, 0);
	fn = type(b, "", INFO(BTF_KIND_FUNC_PROTO, 0), 0);
	pfn = type(b, "", INFO(BTF_KIND_PTR, 0), fn);
	arr = type_array(b, pfile, 12);
	anon = type(b, "", INFO(BTF_KIND_UNION, 0), 8);
	fwd = type(b, "later", INFO(BTF_KIND_FWD, 0), 0);
	vol = type(b, "", INFO(BTF_KIND_VOLATILE, 0), pcfile);
	tag = type(b, "user", INFO(BTF_KIND_TYPE_TAG, 0), vol);
	var = type(b, "v", INFO(BTF_KIND_VAR, 0), ul);
	word(b, 1);
	type(b, ".data", INFO(BTF_KIND_DATASEC, 1), 8);
	word(b, var);
	word(b, 0);
	word(b, 8);
	type(b, "double", INFO(BTF_KIND_FLOAT, 0), 8);
	type(b, "deprecated", INFO(BTF_KIND_DECL_TAG, 0), file);
	word(b, (u32)-1);
	type(b, "wide", INFO(BTF_KIND_ENUM64, 1), 8);
	word(b, str(b, "W"));
	word(b, 0);
	word(b, 1);

	func(b, "simple", 0, 0);
	func(b, "map", ul, 4, pfile, flags, ppfile, pcfile);
	func(b, "odd", type(b, "", INFO(BTF_KIND_PTR, 0), 0), 5, e, pfn,
	     type(b, "", INFO(BTF_KIND_PTR, 0), arr), anon, tag);
	func(b, "fwd", 0, 2, type(b, "", INFO(BTF_KIND_PTR, 0), fwd), 0);
}

static void test_forms(void **state)
{
	struct blob b;

	(void)state;
	blob_of_all_kinds(&b);
	expect(&b, "simple", 0, "void simple(void)");
	expect(&b, "map", 0, "long unsigned int map(struct file *, vm_flags_t, "
	       "struct file **, struct file *)");
	expect(&b, "odd", 0, "void * odd(enum color, fn *, struct file * [12] *, "
	       "union (anon), struct file *)");
	expect(&b, "fwd", 0, "void fwd(struct later *, ...)");
	expect(&b, "none", -ENOENT, "");
	expect(&b, "file", -ENOENT, "");
	expect(&b, "simpl", -ENOENT, "");
}

static void test_same_name(void **state)
{
	struct blob b;
	u32 i, l;

	(void)state;
	blob_start(&b);
	i = type_int(&b, "int");
	l = type_int(&b, "long int");
	func(&b, "twin", i, 1, l);
	func(&b, "twin", i, 1, l);
	func(&b, "differ", i, 1, l);
	func(&b, "differ", l, 1, l);
	func(&b, "longer", i, 1, l);
	func(&b, "longer", i, 2, l, l);
	expect(&b, "twin", 0, "int twin(long int)");
	expect(&b, "differ", -ENOTUNIQ, "int differ(long int)");
	expect(&b, "longer", -ENOTUNIQ, "int longer(long int)");

	/* A name made so that one prototype is the beginning of the other. */
	blob_start(&b);
	i = type(&b, "a) a(b", INFO(BTF_KIND_TYPEDEF, 0), 0);
	l = type(&b, "a", INFO(BTF_KIND_TYPEDEF, 0), 0);
	func(&b, "f", l, 1, type(&b, "x) y", INFO(BTF_KIND_TYPEDEF, 0), 0));
	func(&b, "f", l, 1, type(&b, "x", INFO(BTF_KIND_TYPEDEF, 0), 0));
	expect(&b, "f", -ENOTUNIQ, "a f(x) y)");
}

static void test_malformed(void **state)
{
	struct blob b;
	u32 i, p, k;

	(void)state;
	blob_start(&b);
	i = type_int(&b, "int");
	p = type(&b, "", INFO(BTF_KIND_PTR, 0), 0);
	b.types[b.type_words - 1] = p;			/* points to itself */
	func(&b, "loop", 0, 1, p);
	func(&b, "far", 0, 1, 4711u);
	func(&b, "nomore", 0, 2, 0, i);			/* void, then int */
	func(&b, "isfunc", 0, 1, func(&b, "x", 0, 0));
	type(&b, "noproto", INFO(BTF_KIND_FUNC, 0), i);
	type(&b, "nowhere", INFO(BTF_KIND_FUNC, 0), 0);
	func(&b, "nameless", 0, 1, type_int(&b, ""));
	func(&b, "bell", 0, 1, type_int(&b, "in\at"));
	k = type_int(&b, "int");
	func(&b, "badname", 0, 1, k);
	expect(&b, "loop", -EBADMSG, "");
	expect(&b, "far", -EBADMSG, "");
	expect(&b, "nomore", -EBADMSG, "");
	expect(&b, "isfunc", -EBADMSG, "");
	expect(&b, "noproto", -EBADMSG, "");
	expect(&b, "nowhere", -EBADMSG, "");
	expect(&b, "nameless", -EBADMSG, "");
	expect(&b, "bell", -EBADMSG, "");

	b.types[0] = 0xffffffff;			/* name of "int" */
	expect(&b, "x", 0, "void x(void)");

	type(&b, "", INFO(25, 0), 0);			/* kind unknown */
	expect(&b, "x", -EBADMSG, "untouched");
}

/* Type and offset of a member, or the error. */
static void expect_member(const struct blob *b, const char *structure,
			  const char *member, int err, u32 offset,
			  const char *text)
{
	u32 size, at = 4711, offsets[64];
	char out[64] = "untouched";
	void *p = blob_end(b, &size);
	struct btf_view v;

	assert_int_equal(btf_view_init(&v, p, size), 0);
	assert_int_equal(btf_view_index(&v, offsets, 64), 0);
	assert_int_equal(btf_member(&v, structure, member, &at, out,
				    sizeof(out)), err);
	assert_string_equal(out, text);
	if (!err)
		assert_int_equal(at, offset);
	free(p);
}

static void member(struct blob *b, const char *name, u32 id, u32 offset)
{
	word(b, str(b, name));
	word(b, id);
	word(b, offset);
}

static void test_member(void **state)
{
	struct blob b;
	u32 i, ul;

	(void)state;
	blob_start(&b);
	i = type_int(&b, "int");
	ul = type_int(&b, "long unsigned int");
	type(&b, "vms", INFO(BTF_KIND_STRUCT, 3), 24);
	member(&b, "first", i, 0);
	member(&b, "start", ul, 64);
	member(&b, "odd", i, 131);
	/* With the kind flag offsets carry the width of bit fields. */
	type(&b, "bits", INFO(BTF_KIND_STRUCT, 3) | 1u << 31, 16);
	member(&b, "one", i, 1u << 24 | 8);
	member(&b, "whole", ul, 64);
	member(&b, "lost", 4711, 0);
	type(&b, "twin", INFO(BTF_KIND_STRUCT, 1), 8);
	member(&b, "a", i, 0);
	type(&b, "twin", INFO(BTF_KIND_STRUCT, 1), 8);
	member(&b, "a", ul, 0);
	type(&b, "same", INFO(BTF_KIND_STRUCT, 1), 8);
	member(&b, "a", i, 32);
	type(&b, "same", INFO(BTF_KIND_STRUCT, 1), 8);
	member(&b, "a", i, 32);
	type(&b, "half", INFO(BTF_KIND_STRUCT, 1), 8);
	member(&b, "a", i, 0);
	type(&b, "half", INFO(BTF_KIND_STRUCT, 0), 0);
	type(&b, "both", INFO(BTF_KIND_UNION, 1), 8);
	member(&b, "a", i, 0);

	expect_member(&b, "vms", "first", 0, 0, "int");
	expect_member(&b, "vms", "start", 0, 8, "long unsigned int");
	expect_member(&b, "vms", "odd", -EDOM, 0, "");
	expect_member(&b, "vms", "star", -ENOENT, 0, "");
	expect_member(&b, "vm", "start", -ENOENT, 0, "");
	expect_member(&b, "bits", "one", -EDOM, 0, "");
	expect_member(&b, "bits", "whole", 0, 8, "long unsigned int");
	expect_member(&b, "bits", "lost", -EBADMSG, 0, "");
	expect_member(&b, "twin", "a", -ENOTUNIQ, 0, "int");
	expect_member(&b, "same", "a", 0, 4, "int");
	expect_member(&b, "half", "a", -ENOTUNIQ, 0, "int");
	expect_member(&b, "both", "a", -ENOENT, 0, "");
	expect_member(&b, "vms", "", -EINVAL, 0, "untouched");
	expect_member(&b, "", "a", -EINVAL, 0, "untouched");
}

static void test_depth(void **state)
{
	struct blob b;
	char text[256] = "void deep(void ";
	u32 id = 0;
	int i;

	(void)state;
	blob_start(&b);
	for (i = 0; i < 31; i++)
		id = type(&b, "", INFO(BTF_KIND_PTR, 0), id);
	func(&b, "deep", 0, 1, id);
	memset(text + strlen(text), '*', 31);
	strcat(text, ")");
	expect(&b, "deep", 0, text);
	id = type(&b, "", INFO(BTF_KIND_PTR, 0), id);
	func(&b, "deeper", 0, 1, id);
	expect(&b, "deeper", -EBADMSG, "");
}

static void test_room(void **state)
{
	const char *want = "void simple(void)";
	struct blob b;
	struct btf_view v;
	u32 size, offsets[64];
	char out[64];
	void *p;
	size_t n;

	(void)state;
	blob_of_all_kinds(&b);
	p = blob_end(&b, &size);
	assert_int_equal(btf_view_init(&v, p, size), 0);
	assert_int_equal(btf_prototype(&v, "simple", out, sizeof(out)), -EINVAL);
	assert_int_equal(btf_count_types(&v), b.nr_types);
	assert_int_equal(btf_view_index(&v, offsets, b.nr_types - 1), -ENOSPC);
	assert_int_equal(btf_view_index(&v, offsets, b.nr_types), 0);
	assert_int_equal(btf_prototype(&v, "", out, sizeof(out)), -EINVAL);
	assert_int_equal(btf_prototype(&v, "simple", out, 0), -EINVAL);
	for (n = 1; n <= strlen(want); n++) {
		char *small = malloc(n);

		assert_int_equal(btf_prototype(&v, "simple", small, n), -ENOSPC);
		assert_int_equal(small[0], 0);
		free(small);
	}
	assert_int_equal(btf_prototype(&v, "simple", out, n), 0);
	assert_string_equal(out, want);
	free(p);
}

static void test_header(void **state)
{
	struct btf_header *hdr, good;
	struct btf_view v;
	struct blob b;
	u32 size;

	(void)state;
	blob_of_all_kinds(&b);
	hdr = blob_end(&b, &size);
	good = *hdr;
#define REFUSED(field, value) do {					\
	hdr->field = (value);						\
	assert_int_equal(btf_view_init(&v, hdr, size), -EBADMSG);	\
	*hdr = good;							\
} while (0)
	REFUSED(magic, 0x9feb);
	REFUSED(version, 2);
	REFUSED(flags, 1);
	REFUSED(hdr_len, 0);
	REFUSED(hdr_len, 23);
	REFUSED(hdr_len, size + 1);
	REFUSED(hdr_len, 0xffffffff);
	REFUSED(type_off, size);
	REFUSED(type_off, 0xffffffff);
	REFUSED(type_len, 0);
	REFUSED(type_len, size);
	REFUSED(type_len, 0xffffffff);
	REFUSED(str_off, good.str_off + 1);
	REFUSED(str_off, 0xfffffff0);
	REFUSED(str_len, 0);
	REFUSED(str_len, good.str_len - 1);
	REFUSED(str_len, good.str_len + 1);
#undef REFUSED
	assert_int_equal(btf_view_init(&v, hdr, size), 0);
	free(hdr);
}

static const char *const blob_funcs[] = { "simple", "map", "odd", "fwd", "no" };

static void try_all(const void *data, u32 size)
{
	char out[128];
	size_t i;
	int err;

	for (i = 0; i < sizeof(blob_funcs) / sizeof(*blob_funcs); i++) {
		err = prototype(data, size, blob_funcs[i], out, sizeof(out));
		if (!err)
			assert_true(strlen(out) < sizeof(out));
		else
			assert_true(err == -EBADMSG || err == -ENOENT ||
				    err == -ENOSPC || err == -ENOTUNIQ);
	}
}

static void test_truncation(void **state)
{
	struct blob b;
	u32 size, n;
	char *p;

	(void)state;
	blob_of_all_kinds(&b);
	p = blob_end(&b, &size);
	for (n = 0; n < size; n++) {
		char *cut = malloc(n ? n : 1);
		char out[64];

		memcpy(cut, p, n);
		assert_int_equal(prototype(cut, n, "map", out, sizeof(out)),
				 -EBADMSG);
		free(cut);
	}
	/* The same with a header that fits: types cut at each byte. */
	for (n = 1; n < b.type_words * 4; n++) {
		((struct btf_header *)p)->type_len = n;
		try_all(p, size);
	}
	free(p);
}

static void test_corruption(void **state)
{
	const char *env = getenv("SK_BTF_SEED");
	unsigned int seed = env ? strtoul(env, NULL, 0) : (unsigned int)time(NULL);
	struct blob b;
	u32 size, n;
	char *good, *bad;
	int round;

	(void)state;
	print_message("SK_BTF_SEED=%u\n", seed);
	srandom(seed);
	blob_of_all_kinds(&b);
	good = blob_end(&b, &size);
	bad = malloc(size);
	for (round = 0; round < 20000; round++) {
		memcpy(bad, good, size);
		for (n = random() % 8 + 1; n; n--)
			bad[random() % size] = random();
		try_all(bad, size);
	}
	free(bad);
	free(good);
}

/* ---- blobs of real kernels ----------------------------------------------- */

static void *read_whole(const char *path, size_t *size)
{
	size_t room = 1 << 20, n;
	FILE *f = fopen(path, "rb");
	char *p = malloc(room);

	*size = 0;
	while (f && (n = fread(p + *size, 1, room - *size, f)) > 0) {
		*size += n;
		if (*size == room)
			p = realloc(p, room *= 2);
	}
	if (f)
		fclose(f);
	if (*size)
		return p;
	free(p);
	return NULL;
}

/* Section .BTF of an ELF file, or the file itself if it is no ELF file. */
static void *read_btf(const char *path, size_t *size)
{
	char *p = read_whole(path, size), *out;
	const Elf64_Ehdr *eh = (void *)p;
	const Elf64_Shdr *sh;
	int i;

	if (!p || memcmp(p, ELFMAG, SELFMAG))
		return p;
	sh = (void *)(p + eh->e_shoff);
	for (i = 0; i < eh->e_shnum; i++) {
		if (strcmp(p + sh[eh->e_shstrndx].sh_offset + sh[i].sh_name,
			   ".BTF"))
			continue;
		*size = sh[i].sh_size;
		out = malloc(*size);
		memcpy(out, p + sh[i].sh_offset, *size);
		free(p);
		return out;
	}
	free(p);
	return NULL;
}

static void check_real(const char *path)
{
	char out[512];
	size_t size;
	char *p = read_btf(path, &size);
	int round, n;

	if (!p)
		return;
	print_message("%s: %zu bytes\n", path, size);
	assert_int_equal(prototype(p, size, "exit_mmap", out, sizeof(out)), 0);
	assert_string_equal(out, "void exit_mmap(struct mm_struct *)");
	assert_int_equal(prototype(p, size, "kfree", out, sizeof(out)), 0);
	assert_string_equal(out, "void kfree(void *)");
	assert_int_equal(prototype(p, size, "_printk", out, sizeof(out)), 0);
	assert_string_equal(out, "int _printk(char *, ...)");
	assert_int_equal(prototype(p, size, "no_such_function", out,
				   sizeof(out)), -ENOENT);
	assert_int_equal(prototype(p, size - 1, "kfree", out, sizeof(out)),
			 -EBADMSG);
	for (round = 0; round < 20; round++) {
		for (n = 0; n < 50; n++)
			p[random() % size] = random();
		prototype(p, size, "mmap_region", out, sizeof(out));
	}
	free(p);
}

static void test_real(void **state)
{
	const char *env = getenv("SK_BTF_BLOB");
	glob_t g;
	size_t i;

	(void)state;
	if (env)
		check_real(env);
	check_real("/sys/kernel/btf/vmlinux");
	if (glob("/usr/lib/modules/*/build/vmlinux", 0, NULL, &g))
		return;
	for (i = 0; i < g.gl_pathc; i++)
		check_real(g.gl_pathv[i]);
	globfree(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_same_name),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_member),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_corruption),
		cmocka_unit_test(test_real),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
