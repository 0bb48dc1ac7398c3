-- SPDX-License-Identifier: GPL-2.0
-- A table in memory, sorted, indexed and joined there: no temporary files. The
-- first line is its size in bytes.
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -262144;
CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c TEXT);
WITH RECURSIVE n(i, x) AS (
	SELECT 1, 88172645463325252
	UNION ALL
	SELECT i + 1, (x * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffff
	FROM n WHERE i < (SELECT max FROM size))
INSERT INTO t SELECT i, (x >> 9) & 0xffffff, printf('%064x-%d', x, i),
	printf('%0900x', x * 3) FROM n;
SELECT page_count * 4096 FROM pragma_page_count();
SELECT count(*), sum(a), min(b), max(b), min(c) FROM t;
SELECT id, a, b, length(c), substr(c, -12) FROM (SELECT *, row_number() OVER (ORDER BY a, b DESC) r FROM t)
	WHERE r % 997 = 0;
CREATE INDEX ab ON t (b, a);
SELECT b FROM t ORDER BY b LIMIT 5 OFFSET 3000;
UPDATE t SET a = a * 7 & 0xffffff WHERE id % 3 = 0;
DELETE FROM t WHERE id % 11 = 0;
SELECT count(*), sum(a), avg(a) FROM t;
CREATE INDEX a ON t (a);
SELECT l.id, r.id FROM t l JOIN t r ON l.a = r.a AND l.id < r.id ORDER BY 1, 2 LIMIT 200;
PRAGMA integrity_check;
