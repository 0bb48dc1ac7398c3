#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# redis-server under redis-benchmark, with a BGSAVE while a transaction keeps two
# counters equal. What the dump holds must be one point in time: the counters
# agree, and all that did not change during the save has the digest it had.
#
#   redis.sh REQUESTS
requests=$1
dir=/tmp/redis
socket=$dir/socket
cli() {
	redis-cli -s "$socket" "$@"
}

serve() {
	redis-server --port 0 --unixsocket "$socket" --save '' --dir $dir \
		--enable-debug-command yes --daemonize no --loglevel warning \
		--rdbchecksum yes > $dir/log 2>&1 &
	server=$!
	until [ "$(cli ping 2>/dev/null)" = PONG ]; do
		kill -0 "$server" || { cat $dir/log; exit 1; }
		sleep 0.2
	done
}

# What must be the same before and after, whatever the counters are meanwhile.
digest() {
	cli eval "
		local keys = redis.call('keys', '*')
		table.sort(keys)
		local sum = ''
		for _, key in ipairs(keys) do
			if key ~= 'one' and key ~= 'two' then
				sum = redis.sha1hex(sum .. key ..
					redis.call('debug', 'digest-value', key)[1])
			end
		end
		return #keys .. ' ' .. sum" 0
}

bench() {
	redis-benchmark -s "$socket" -q -c 10 "$@" > /dev/null || exit 1
}

rm -rf $dir; mkdir $dir
serve
# The benchmark's keys differ from run to run; these do not.
awk -v n="$requests" 'BEGIN {
	for (i = 0; i < n; i++) {
		printf "SET fixed:%d %0*d\r\n", i * 7919 % 10007, i % 300 + 1, i
		printf "HSET fixed:h%d f%d %d\r\n", i % 50, i, i * i
	}
}' | cli --pipe | tail -1
echo "fixed $(cli debug digest)"
bench -n "$requests" -r 100000 -d 200 -t set,incr,hset,sadd,zadd
bench -n $((requests / 4)) -d 100 -t lpush,rpush,spop
cli set one 0; cli set two 0
before=$(digest)
bench -n $((requests / 2)) -P 4 eval \
	"redis.call('incr', 'one'); return redis.call('incr', 'two')" 0 &
writer=$!
while [ "$(cli get one)" = 0 ]; do
	sleep 0.1
done
cli bgsave
while cli info persistence | grep -q rdb_bgsave_in_progress:1; do
	sleep 0.3
done
wait "$writer" || exit 1
cli info persistence | grep rdb_last_bgsave_status
echo "one $(cli get one) two $(cli get two)"
[ "$(digest)" = "$before" ] || echo "the data changed"
cli shutdown nosave
wait "$server"
echo "server ended with $?"
redis-check-rdb $dir/dump.rdb > $dir/check || cat $dir/check
serve
[ "$(digest)" = "$before" ] || echo "the dump differs: $(digest)"
[ "$(cli get one)" = "$(cli get two)" ] || echo "torn: $(cli get one) $(cli get two)"
cli shutdown nosave
wait "$server"
